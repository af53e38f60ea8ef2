import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { invariant, ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { HASH_BYTES, type Hash } from './merkle.js';

/**
 * Checkpoints in the formats of C2SP: a tlog-checkpoint (origin, size, root) inside a signed note with
 * an Ed25519 signature. So tools and witnesses of transparency logs can read ours.
 */

/** Ours have some 300 bytes; witnesses may add signatures. */
export const CHECKPOINT_BYTES_MAX = 4_096;
const SIGNATURES_MAX = 16;
const EXTENSIONS_MAX = 16;

/** signed-note: the algorithm byte of Ed25519. */
const ED25519 = Buffer.from([1]);
const KEY_ID_BYTES = 4;
const SIGNATURE_BYTES = 64;
/** SPKI header of an Ed25519 public key (RFC 8410); the 32 raw bytes follow. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const DASH = '\u2014 ';

export type CheckpointErrorCode = 'audit_checkpoint_invalid';

export interface NoteSignature {
  readonly name: string;
  /** Key id and signature. */
  readonly bytes: Buffer;
}

/** A text and who signed it. That it parses says nothing about the signatures. */
export interface Note {
  /** What is signed, with the line feed at its end. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface Checkpoint extends Note {
  /** Which log this is. */
  readonly origin: string;
  readonly size: number;
  readonly root: Hash;
}

/** A public key that checks notes, under a name. */
export interface NoteVerifier {
  readonly name: string;
  readonly keyId: Buffer;
  readonly key: KeyObject;
}

const invalid = (message: string) =>
  refuse<CheckpointErrorCode>('audit_checkpoint_invalid', message);

/** Strict base64: one spelling only. */
function decoded(text: string, bytes: number): Buffer | null {
  const buffer = Buffer.from(text, 'base64');
  return buffer.length === bytes && buffer.toString('base64') === text ? buffer : null;
}

const isName = (name: string): boolean => /^[^\s+\p{C}]{1,255}$/u.test(name);

const rawKey = (key: KeyObject): Buffer =>
  key.export({ type: 'spki', format: 'der' }).subarray(SPKI_PREFIX.length);

const keyIdOf = (name: string, raw: Uint8Array): Buffer =>
  createHash('sha256')
    .update(`${name}\n`)
    .update(ED25519)
    .update(raw)
    .digest()
    .subarray(0, KEY_ID_BYTES);

/** The public half of a key, under the name of the log. */
export function verifierOf(name: string, key: KeyObject): NoteVerifier {
  invariant(isName(name), 'a name of a note key has no spaces and no plus');
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return { name, keyId: keyIdOf(name, rawKey(publicKey)), key: publicKey };
}

/** As one line: `name+key id+key` (a signed-note verifier key). */
export const formatVerifier = ({ name, keyId, key }: NoteVerifier): string =>
  `${name}+${keyId.toString('hex')}+${Buffer.concat([ED25519, rawKey(key)]).toString('base64')}`;

/** Reads that line. Refuses a key id that is not that of name and key. */
export function parseVerifier(line: string): Result<NoteVerifier, Refusal<CheckpointErrorCode>> {
  const match = /^([^+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{44})$/.exec(line.trim());
  const [, name = '', id = '', text = ''] = match ?? [];
  const bytes = decoded(text, HASH_BYTES + 1);
  if (bytes === null || bytes[0] !== ED25519[0] || !isName(name)) {
    return invalid('not a verifier key of Ed25519 (name+id+key on one line)');
  }
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, bytes.subarray(1)]),
    format: 'der',
    type: 'spki',
  });
  const verifier = verifierOf(name, key);
  return verifier.keyId.toString('hex') === id
    ? ok(verifier)
    : invalid('the id of the verifier key does not belong to its name and key');
}

/** Signs a text that ends with a line feed. */
export function signNote(text: string, name: string, key: KeyObject): string {
  invariant(text.endsWith('\n'), 'a note ends with a line feed');
  const { keyId } = verifierOf(name, key);
  const signature = Buffer.concat([keyId, sign(null, Buffer.from(text), key)]);
  return `${text}\n${DASH}${name} ${signature.toString('base64')}\n`;
}

/** Takes a note apart. Strict: bounded, one spelling, nothing behind the signatures. */
export function parseNote(note: string): Result<Note, Refusal<CheckpointErrorCode>> {
  if (Buffer.byteLength(note) > CHECKPOINT_BYTES_MAX) return invalid('the note is too long');
  const cut = note.lastIndexOf('\n\n');
  if (cut < 1 || !note.endsWith('\n') || /[\u0000-\u0009\u000b-\u001f\u007f]/.test(note)) {
    return invalid('not a signed note: text, an empty line, signatures');
  }
  const lines = note.slice(cut + 2, -1).split('\n');
  const signatures = lines.map((line) => signatureIn(line));
  const known = signatures.filter((one) => one !== null);
  if (known.length !== lines.length || lines.length > SIGNATURES_MAX) {
    return invalid('a signature of the note cannot be read');
  }
  return ok({ text: note.slice(0, cut + 1), signatures: known });
}

function signatureIn(line: string): NoteSignature | null {
  const match = /^\u2014 (\S{1,255}) ([A-Za-z0-9+/]{4,2000}={0,2})$/.exec(line);
  const [, name = '', text = ''] = match ?? [];
  const bytes = Buffer.from(text, 'base64');
  const isSound = isName(name) && bytes.toString('base64') === text && bytes.length > KEY_ID_BYTES;
  return isSound ? { name, bytes } : null;
}

/** Whether this key signed the note. Signatures of others say nothing either way. */
export const isSignedBy = (
  { text, signatures }: Note,
  { name, keyId, key }: NoteVerifier,
): boolean =>
  signatures.some(
    (one) =>
      one.name === name &&
      one.bytes.length === KEY_ID_BYTES + SIGNATURE_BYTES &&
      one.bytes.subarray(0, KEY_ID_BYTES).equals(keyId) &&
      verify(null, Buffer.from(text), key, one.bytes.subarray(KEY_ID_BYTES)),
  );

/** The state of a log, signed: the whole note. */
export const makeCheckpoint = (
  { origin, size, root }: { origin: string; size: number; root: Uint8Array },
  key: KeyObject,
): string => signNote(`${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`, origin, key);

const isSize = (text: string): boolean =>
  /^(0|[1-9]\d{0,15})$/.test(text) && Number.isSafeInteger(Number(text));

/** Reads a checkpoint; who signed it is for `isSignedBy`. */
export function parseCheckpoint(note: string): Result<Checkpoint, Refusal<CheckpointErrorCode>> {
  const parsed = parseNote(note);
  if (!parsed.ok) return parsed;
  const [origin = '', size = '', text = '', ...more] = parsed.value.text.slice(0, -1).split('\n');
  const root = decoded(text, HASH_BYTES);
  if (origin === '' || !isSize(size) || root === null) {
    return invalid('not a checkpoint: origin, size and root');
  }
  if (more.length > EXTENSIONS_MAX || more.includes('')) {
    return invalid('what follows the root cannot be read');
  }
  return ok({ ...parsed.value, origin, size: Number(size), root });
}

/** The same, signed by this key over this origin, or why not. */
export function trustedCheckpoint(
  note: string,
  verifier: NoteVerifier,
): Result<Checkpoint, Refusal<CheckpointErrorCode>> {
  const parsed = parseCheckpoint(note);
  if (!parsed.ok) return parsed;
  const { origin } = parsed.value;
  if (origin !== verifier.name) {
    return invalid(`it is of the log ${origin}; the key is for ${verifier.name}`);
  }
  if (!isSignedBy(parsed.value, verifier)) return invalid('its signature is not of this key');
  return parsed;
}
