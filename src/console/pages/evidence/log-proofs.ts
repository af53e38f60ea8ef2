import { canonicalJson, type JsonValue } from '../../../core/kernel/index.js';

/**
 * What `src/core/audit` checks on nodes and in the command line, once more for browsers: they have no
 * `node:crypto`, and answer hashes and signatures later. `test/console/log-proofs.spec.ts` holds the two together.
 */

/** Something does not fit. The message says what, in words for people. */
export class ProofError extends Error {
  override readonly name = 'ProofError';
}

export type Hash = Uint8Array<ArrayBuffer>;

const HASH_BYTES = 32;
const KEY_ID_BYTES = 4;
const SIGNATURE_BYTES = 64;
/** signed-note: the algorithm byte of Ed25519. */
const ED25519 = 1;
/** As in core: ours have some 300 bytes. */
const CHECKPOINT_CHARS_MAX = 4_096;
const text = new TextEncoder();

/** Whether this page may use the cryptography of the browser: it is there with TLS, and on localhost. */
export const canVerify = (): boolean => 'crypto' in globalThis && 'subtle' in crypto;

async function sha256(...parts: readonly Uint8Array[]): Promise<Hash> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
}

const LEAF = new Uint8Array([0]);
const NODE = new Uint8Array([1]);
export const leafHash = (leaf: string): Promise<Hash> => sha256(LEAF, text.encode(leaf));
export const nodeHash = (left: Hash, right: Hash): Promise<Hash> => sha256(NODE, left, right);
export const emptyRoot = (): Promise<Hash> => sha256();

/** The leaf of an entry as it was answered: all its fields, and nothing that was not. */
export const leafOfEntry = (entry: object): string => canonicalJson(entry as unknown as JsonValue);

export const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

/** Strict: one spelling only, and this many bytes. */
export function fromBase64(given: string, bytes: number): Hash {
  let found = '';
  try {
    found = atob(given);
  } catch {
    // Told below.
  }
  if (found.length !== bytes || btoa(found) !== given)
    throw new ProofError(`not ${bytes} bytes in base64`);
  return Uint8Array.from(found, (char) => char.charCodeAt(0));
}

export const sameBytes = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, i) => byte === other[i]);

// -- proofs: RFC 9162, 2.1.3.2 and 2.1.4.2 ---------------------------------------------------------

interface Place {
  readonly position: number;
  readonly last: number;
}
const half = (value: number): number => Math.floor(value / 2);
const isOdd = (value: number): boolean => value % 2 === 1;
const above = ({ position, last }: Place): Place => ({
  position: half(position),
  last: half(last),
});
const isRight = ({ position, last }: Place): boolean => isOdd(position) || position === last;
function climbed(place: Place): Place {
  let at = place;
  if (isRight(at)) while (!isOdd(at.position) && at.position !== 0) at = above(at);
  return above(at);
}

export interface Tree {
  readonly size: number;
  readonly root: Hash;
}

/** That the leaf at `index` (from 0) is in the tree. Throws `ProofError` when it is not shown. */
export async function verifyInclusion(
  {
    index,
    leaf,
    path,
  }: { readonly index: number; readonly leaf: Hash; readonly path: readonly Hash[] },
  tree: Tree,
): Promise<void> {
  if (index >= tree.size) throw new ProofError('the entry lies behind the end of the tree');
  let place: Place = { position: index, last: tree.size - 1 };
  let hash = leaf;
  for (const sibling of path) {
    if (place.last === 0) throw new ProofError('the proof is too long');
    hash = await (isRight(place) ? nodeHash(sibling, hash) : nodeHash(hash, sibling));
    place = climbed(place);
  }
  if (place.last !== 0) throw new ProofError('the proof is too short');
  if (!sameBytes(hash, tree.root)) throw new ProofError('the proof does not lead to the root');
}

/** That `to` holds all of `from`, unchanged, at its beginning. Throws `ProofError` when it is not shown. */
export async function verifyConsistency(
  from: Tree,
  to: Tree,
  path: readonly Hash[],
): Promise<void> {
  if (from.size > to.size) throw new ProofError('the later tree is smaller');
  if (from.size === to.size || from.size === 0) return verifyTrivial(from, to, path);
  const isWhole = 2 ** Math.round(Math.log2(from.size)) === from.size;
  const [first, ...rest] = isWhole ? [from.root, ...path] : path;
  if (first === undefined) throw new ProofError('the proof is too short');
  let place: Place = { position: from.size - 1, last: to.size - 1 };
  while (isOdd(place.position)) place = above(place);
  let [before, after] = [first, first];
  for (const sibling of rest) {
    if (place.last === 0) throw new ProofError('the proof is too long');
    // What lies to the left is in both trees, what lies to the right only in the later one.
    if (isRight(place)) before = await nodeHash(sibling, before);
    after = await (isRight(place) ? nodeHash(sibling, after) : nodeHash(after, sibling));
    place = climbed(place);
  }
  if (place.last !== 0) throw new ProofError('the proof is too short');
  if (!sameBytes(before, from.root))
    throw new ProofError('the proof does not lead to the earlier root');
  if (!sameBytes(after, to.root)) throw new ProofError('the proof does not lead to the later root');
}

async function verifyTrivial(from: Tree, to: Tree, path: readonly Hash[]): Promise<void> {
  if (path.length > 0) throw new ProofError('the proof is too long');
  const wanted = from.size === 0 ? await emptyRoot() : to.root;
  if (!sameBytes(from.root, wanted)) {
    throw new ProofError(
      from.size === 0 ? 'a root of nothing that is not that of nothing' : 'two roots for one size',
    );
  }
}

/** A tree that grows at its right end: at most 53 hashes, whatever its size. */
export class GrowingTree {
  readonly #hashes: Hash[];
  #size: number;

  /** Goes on from hashes of complete subtrees. They need not be trusted: wrong ones give a wrong root. */
  constructor(size: number, hashes: readonly Hash[]) {
    let trees = 0;
    for (let rest = size; rest > 0; rest = half(rest)) if (isOdd(rest)) trees += 1;
    if (trees !== hashes.length) throw new ProofError('the export does not fit itself');
    this.#size = size;
    this.#hashes = [...hashes];
  }
  get size(): number {
    return this.#size;
  }
  async append(leaf: Hash): Promise<void> {
    let hash = leaf;
    for (let index = this.#size; isOdd(index); index = half(index)) {
      const left = this.#hashes.pop();
      if (left === undefined) throw new ProofError('a subtree without its left half');
      hash = await nodeHash(left, hash);
    }
    this.#hashes.push(hash);
    this.#size += 1;
  }
  async root(): Promise<Hash> {
    const last = this.#hashes.at(-1);
    if (last === undefined) return emptyRoot();
    let root = last;
    for (const left of this.#hashes.slice(0, -1).reverse()) root = await nodeHash(left, root);
    return root;
  }
}

// -- checkpoints: C2SP tlog-checkpoint in a signed note --------------------------------------------

/** Whose signatures are taken: of one log. */
export interface LogKey {
  readonly origin: string;
  readonly keyId: Hash;
  readonly key: Awaited<ReturnType<typeof crypto.subtle.importKey>>;
}

export interface Checkpoint extends Tree {
  readonly origin: string;
}

/** Reads `name+key id+key`. Refuses an id that is not that of name and key. */
export async function readKey(line: string): Promise<LogKey> {
  const [, origin = '', id = '', given = ''] =
    /^([^+\s]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{44})$/.exec(line.trim()) ?? [];
  if (origin === '') throw new ProofError('not a key of a log (name+id+key on one line)');
  const bytes = fromBase64(given, HASH_BYTES + 1);
  if (bytes[0] !== ED25519) throw new ProofError('not a key of Ed25519');
  const keyId = (await sha256(text.encode(`${origin}\n`), bytes)).slice(0, KEY_ID_BYTES);
  const spelled = [...keyId].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  if (spelled !== id) throw new ProofError('the id of the key does not belong to its name and key');
  const key = await crypto.subtle.importKey('raw', bytes.slice(1), 'Ed25519', false, ['verify']);
  return { origin, keyId, key };
}

/** The state of the log that a note tells, once its signature was checked. */
export async function readCheckpoint(note: string, by: LogKey): Promise<Checkpoint> {
  const cut = note.lastIndexOf('\n\n');
  if (note.length > CHECKPOINT_CHARS_MAX || cut < 1 || !note.endsWith('\n'))
    throw new ProofError('not a signed note: text, an empty line, signatures');
  const signed = note.slice(0, cut + 1);
  const [origin = '', size = '', root = ''] = signed.slice(0, -1).split('\n');
  if (origin !== by.origin)
    throw new ProofError(`it is of the log ${origin}; the key is for ${by.origin}`);
  if (!/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)))
    throw new ProofError('not a checkpoint: origin, size and root');
  const lines = note.slice(cut + 2, -1).split('\n');
  const isOurs = await Promise.all(lines.map((line) => isSignature(line, signed, by)));
  if (!isOurs.includes(true)) throw new ProofError('its signature is not of this key');
  return { origin, size: Number(size), root: fromBase64(root, HASH_BYTES) };
}

/** Signatures of others say nothing either way; a line that is none is not passed over. */
async function isSignature(line: string, signed: string, by: LogKey): Promise<boolean> {
  const [, name = '', given = ''] = /^\u2014 (\S{1,255}) ([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? [];
  if (name === '') throw new ProofError('a signature of the note cannot be read');
  if (name !== by.origin) return false;
  let bytes: Hash;
  try {
    bytes = fromBase64(given, KEY_ID_BYTES + SIGNATURE_BYTES);
  } catch {
    return false;
  }
  return (
    sameBytes(bytes.slice(0, KEY_ID_BYTES), by.keyId) &&
    crypto.subtle.verify('Ed25519', by.key, bytes.slice(KEY_ID_BYTES), text.encode(signed))
  );
}

/** Hashes of an answer. */
export const hashesOf = (given: readonly string[]): Hash[] =>
  given.map((one) => fromBase64(one, HASH_BYTES));
