import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import type { Checkpoint } from './checkpoint.js';
import { Frontier, HASH_BYTES, leafHash, nodesOf } from './merkle.js';

/** The longest line that an export can have; an entry stays far below. */
export const EXPORT_LINE_BYTES_MAX = 64 * 1_024;

const LINE_FEED = 10;
const SCHEMA = 'bellwether.audit.v1';

/** The first line of an export that can be verified. */
export interface ExportHeader {
  readonly origin: string;
  /** Entries that come before the first one here, and lie in other files. */
  readonly after: number;
  /** Roots of the complete subtrees over them. Not trusted: a wrong one gives a wrong root. */
  readonly before: readonly string[];
}

export const formatHeader = ({ origin, after, before }: ExportHeader): string =>
  JSON.stringify({ schema: SCHEMA, origin, after, before });

type Broken = Refusal<'audit_verification_failed'>;
const broken = (message: string) => refuse('audit_verification_failed', message);

const isHash = (text: unknown): boolean =>
  typeof text === 'string' &&
  Buffer.from(text, 'base64').length === HASH_BYTES &&
  Buffer.from(text, 'base64').toString('base64') === text;

function jsonOf(line: string | Uint8Array): Record<string, unknown> | null {
  try {
    const value = JSON.parse(Buffer.from(line).toString('utf8')) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Reads the first line. */
export function headerOf(line: string | Uint8Array): Result<ExportHeader, Broken> {
  const { schema, origin, after, before } = jsonOf(line) ?? {};
  const isShaped =
    schema === SCHEMA &&
    typeof origin === 'string' &&
    Number.isSafeInteger(after) &&
    Array.isArray(before) &&
    before.every(isHash);
  if (!isShaped || (after as number) < 0) {
    return broken('the first line is not the header of a whole export (NDJSON, no filter)');
  }
  const header = { origin, after: after as number, before: before as string[] };
  return nodesOf(0, header.after).length === header.before.length
    ? ok(header)
    : broken('the header does not fit itself');
}

/**
 * Bytes as lines, split at line feeds and nowhere else: other readers also split at characters that
 * may stand inside of a text. Throws RangeError at a line that no export has.
 */
export async function* linesIn(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(LINE_FEED); end >= 0; end = rest.indexOf(LINE_FEED)) {
      yield rest.subarray(0, end);
      rest = rest.subarray(end + 1);
    }
    if (rest.length > EXPORT_LINE_BYTES_MAX) throw new RangeError('a line is too long');
  }
  if (rest.length > 0) yield rest;
}

/** Feeds one file to a verifier: its header, then its entries. */
export async function verifyFile(
  verifier: ExportVerifier,
  chunks: AsyncIterable<Uint8Array>,
): Promise<Result<void, Broken>> {
  let isBegun = false;
  for await (const line of linesIn(chunks)) {
    const header = isBegun ? null : headerOf(line);
    if (header?.ok === false) return header;
    const taken = header === null ? verifier.entry(line) : verifier.begin(header.value);
    if (!taken.ok) return taken;
    isBegun = true;
  }
  return isBegun ? ok(undefined) : broken('the file is empty');
}

/**
 * Reads an export line by line and holds it against checkpoints that were trusted beforehand. It
 * keeps some 50 hashes, whatever the length. Every byte of a line counts, and so does its place:
 * what was changed, dropped, added or moved gives another root.
 */
export class ExportVerifier {
  readonly #checkpoints: readonly Checkpoint[];
  #tree: Frontier | null = null;
  #first = 1;
  #lastGood: number | null = null;

  /** At least one; the largest says where the export must end. */
  constructor(checkpoints: readonly Checkpoint[]) {
    this.#checkpoints = [...checkpoints].sort((a, b) => a.size - b.size);
  }

  /** Takes the first line of a file: of the first one, or of one that goes on where that ended. */
  begin(header: ExportHeader): Result<void, Broken> {
    const before = header.before.map((text) => Buffer.from(text, 'base64'));
    const wrong = this.#checkpoints.find(({ origin }) => origin !== header.origin);
    if (wrong !== undefined) {
      return broken(`the file is of the log ${header.origin}, a checkpoint of ${wrong.origin}`);
    }
    if (this.#tree === null) {
      const early = this.#checkpoints.find(({ size }) => size > 0 && size < header.after);
      if (early !== undefined) {
        return broken(
          `the file begins after entry ${header.after}: the checkpoint of ${early.size} entries says ` +
            'nothing about it; give the files before it too',
        );
      }
      this.#tree = new Frontier(header.after, before);
      this.#first = header.after + 1;
      return this.#check();
    }
    const isSame = this.#tree.hashes.every((hash, at) => before[at]?.equals(hash) === true);
    return this.#tree.size === header.after && isSame
      ? ok(undefined)
      : broken(
          `a file begins after entry ${header.after}; the one before ends at ${this.#tree.size}`,
        );
  }

  /** Takes one entry, byte for byte, without its line feed. */
  entry(line: string | Uint8Array): Result<void, Broken> {
    const tree = this.#tree;
    if (tree === null) return broken('the header is missing');
    const expected = tree.size + 1;
    const id = jsonOf(line)?.['id'];
    if (id !== expected) {
      const found = typeof id === 'number' ? `entry ${id} stands` : 'something else stands';
      return broken(`${found} where entry ${expected} should be`);
    }
    if (expected > this.#largest) {
      return broken(`entry ${expected} is in no checkpoint: the newest ends at ${this.#largest}`);
    }
    tree.append(leafHash(line));
    return this.#check();
  }

  /** After the last line: the first and last entry that were checked, or what is missing. */
  end(): Result<{ readonly first: number; readonly last: number }, Broken> {
    const size = this.#tree?.size ?? 0;
    if (size < this.#largest) {
      return broken(`the export ends at entry ${size}; the checkpoint says ${this.#largest}`);
    }
    if (size > 0 && this.#first > size) {
      return broken(`the export holds none of the ${size} entries of the checkpoint`);
    }
    return ok({ first: this.#first, last: size });
  }

  get #largest(): number {
    return this.#checkpoints.at(-1)?.size ?? 0;
  }

  /** Roots are compared as soon as the tree has their size, so that the error is near its place. */
  #check(): Result<void, Broken> {
    const tree = this.#tree;
    const due = this.#checkpoints.filter(({ size }) => size === tree?.size);
    if (tree === null || due.length === 0) return ok(undefined);
    if (!due.every(({ root }) => root.equals(tree.root))) {
      const from = this.#lastGood ?? this.#first - 1;
      return broken(
        `entries ${from + 1} to ${tree.size} are not those of the checkpoint: one was changed, ` +
          'dropped, added or moved',
      );
    }
    this.#lastGood = tree.size;
    return ok(undefined);
  }
}
