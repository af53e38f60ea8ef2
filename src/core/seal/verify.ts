import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import {
  leafOfPart,
  NO_SEAL,
  PartHasher,
  sealHash,
  tagOf,
  type Seal,
  type SealPart,
} from './seal.js';

export const EXPORT_SCHEMA = 'bellwether.events.v1';
/** The longest line of an export is its head, with the ids of some 30 000 groups. */
export const EXPORT_LINE_BYTES_MAX = 1024 * 1024;

type Broken = Refusal<'events_verification_failed'>;
const broken = (message: string) => refuse('events_verification_failed', message);

/** The first line of an export that can be verified. */
export interface ExportHead {
  readonly schema: typeof EXPORT_SCHEMA;
  /** Ids up to here are in other files, or were not asked for. */
  readonly after: number;
  /** The last id of the log when the export began. */
  readonly through: number;
  /** The last id that was sealed then. */
  readonly sealed: number;
  /** The groups that the reader saw; null: all. */
  readonly groups: readonly string[] | null;
}

/** The line behind the last event of a sealed segment. */
export interface SealLine {
  readonly seal: Seal;
  /** Of the groups that the reader sees. */
  readonly parts: readonly SealPart[];
}

/** What was found when all fits. */
export interface Verified {
  readonly events: number;
  readonly segments: number;
  /** Events up to this id are proven; behind it, none is sealed yet. */
  readonly sealedThrough: number;
  /** Events behind the last seal: read, and not proven. */
  readonly unsealed: number;
  /** The hash of the last seal; keep it: a log that is rewritten later does not lead to it. */
  readonly lastHash: string;
}

const LINE_FEED = 10;

/** Bytes as lines, split at line feeds and nowhere else. Throws RangeError at a line that no export has. */
export async function* linesOfExport(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of chunks) {
    let bytes: Uint8Array = chunk;
    if (rest.length > 0) {
      bytes = new Uint8Array(rest.length + chunk.length);
      bytes.set(rest);
      bytes.set(chunk, rest.length);
    }
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > EXPORT_LINE_BYTES_MAX) throw new RangeError('a line is too long');
  }
  if (rest.length > 0) yield rest;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isCount = (value: unknown): value is number => Number.isSafeInteger(value);
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);

const objectOf = (value: unknown): Record<string, unknown> | null =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;

/** Strict JSON in strict UTF-8; null when it is neither. */
function jsonOf(line: Uint8Array): Record<string, unknown> | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line);
    return objectOf(JSON.parse(text) as unknown);
  } catch {
    return null;
  }
}

function headOf(json: Record<string, unknown>): ExportHead | null {
  const { schema, after, through, sealed, groups } = json;
  if (schema !== EXPORT_SCHEMA || !isCount(after) || !isCount(through)) return null;
  if (!isCount(sealed) || (groups !== null && !isTexts(groups))) return null;
  return { schema, after, through, sealed, groups };
}

function partOf(value: unknown): SealPart | null {
  const { groupId, count, hash } = objectOf(value) ?? {};
  return isText(groupId) && isCount(count) && isText(hash) ? { groupId, count, hash } : null;
}

function sealLineOf(json: Record<string, unknown>): SealLine | null {
  const { firstId, lastId, previous, leaves, hash } = objectOf(json['seal']) ?? {};
  const parts = Array.isArray(json['parts']) ? json['parts'].map(partOf) : [null];
  const isRange = isCount(firstId) && isCount(lastId);
  if (!isRange || !isText(previous) || !isText(hash) || !isTexts(leaves)) return null;
  const known = parts.filter((part) => part !== null);
  if (known.length !== parts.length) return null;
  return { seal: { firstId, lastId, previous, leaves, hash }, parts: known };
}

/**
 * Reads an export line by line and says whether it is complete and unchanged, for the groups that its
 * reader saw. It holds the hashes of one segment, whatever the length. `expected` are hashes that were
 * kept elsewhere, by last id of their segment: with them, a rewritten log is found as well.
 */
export class EventsVerifier {
  readonly #expected: ReadonlyMap<number, string>;
  #head: ExportHead | null = null;
  #hasher = new PartHasher();
  #lastId = 0;
  #sealedThrough: number | null = null;
  #lastHash = '';
  #inSegment = 0;
  #events = 0;
  #segments = 0;
  readonly #met = new Set<number>();

  constructor(expected: ReadonlyMap<number, string> = new Map()) {
    this.#expected = expected;
  }

  /** One line, byte for byte, without its line feed. */
  line(line: Uint8Array): Result<void, Broken> {
    const json = jsonOf(line);
    if (json === null) return broken(`a line behind id ${this.#lastId} is not JSON`);
    if (this.#head === null) return this.#begin(json);
    return 'seal' in json ? this.#seal(json) : this.#event(json, line);
  }

  /** After the last line. */
  end(): Result<Verified, Broken> {
    if (this.#head === null) return broken('the file is empty');
    const { through, after, sealed } = this.#head;
    const sealedThrough = this.#sealedThrough ?? after;
    if (sealedThrough < sealed) {
      return broken(`missing: everything behind ${sealedThrough}; ${sealed} was sealed`);
    }
    const missing = [...this.#expected.keys()].find(
      (id) => id > after && id <= through && !this.#met.has(id),
    );
    if (missing !== undefined) {
      return broken(`missing: the segment that ends at ${missing} is not in the export`);
    }
    if (this.#head.groups === null && this.#lastId < through && through > after) {
      return broken(`missing: the export says it ends at ${through}, its last is ${this.#lastId}`);
    }
    return ok({
      events: this.#events,
      segments: this.#segments,
      sealedThrough,
      unsealed: this.#inSegment,
      lastHash: this.#lastHash,
    });
  }

  #begin(json: Record<string, unknown>): Result<void, Broken> {
    const head = headOf(json);
    if (head === null) {
      return broken('the first line is not the head of an export with proof and without filters');
    }
    this.#head = head;
    this.#lastId = head.after;
    return ok(undefined);
  }

  #event(json: Record<string, unknown>, line: Uint8Array): Result<void, Broken> {
    const { id, group_id: groupId } = json;
    const groups = this.#head?.groups ?? null;
    if (!isCount(id) || !isText(groupId)) return broken(`no event behind id ${this.#lastId}`);
    if (id <= this.#lastId) return broken(`changed: ${id} stands behind ${this.#lastId}`);
    if (groups === null && id !== this.#lastId + 1) {
      return broken(`missing: ${id} stands where ${this.#lastId + 1} should be`);
    }
    this.#lastId = id;
    this.#events += 1;
    this.#inSegment += 1;
    this.#hasher.add(groupId, line);
    return ok(undefined);
  }

  #seal(json: Record<string, unknown>): Result<void, Broken> {
    const told = sealLineOf(json);
    if (told === null) return broken(`the seal behind id ${this.#lastId} cannot be read`);
    const { seal, parts } = told;
    const wrong = this.#wrongChain(seal) ?? this.#wrongParts(seal, parts);
    if (wrong !== null) return broken(wrong);
    this.#lastId = Math.max(this.#lastId, seal.lastId);
    this.#sealedThrough = seal.lastId;
    this.#lastHash = seal.hash;
    this.#segments += 1;
    this.#met.add(seal.lastId);
    this.#hasher = new PartHasher();
    this.#inSegment = 0;
    return ok(undefined);
  }

  /** Whether the seal continues the one before it and is what its parts make. */
  #wrongChain(seal: Seal): string | null {
    const range = `the segment ${seal.firstId} to ${seal.lastId}`;
    const before = this.#sealedThrough ?? this.#head?.after ?? 0;
    if (seal.firstId !== before + 1 || seal.lastId < seal.firstId) {
      return `missing: ${range} stands where one from ${before + 1} on should be`;
    }
    if (seal.previous !== this.#previousOf(seal, before)) {
      return `changed: ${range} does not continue the one before`;
    }
    if (sealHash(seal) !== seal.hash) return `changed: ${range} is not what its hash says`;
    const expected = this.#expected.get(seal.lastId);
    return expected === undefined || expected === seal.hash
      ? null
      : `changed: ${range} has another hash than was kept`;
  }

  /** What the first one of a file continues is known only to who kept it. */
  #previousOf(seal: Seal, before: number): string {
    if (this.#segments > 0) return this.#lastHash;
    return before === 0 ? NO_SEAL : (this.#expected.get(before) ?? seal.previous);
  }

  /** Whether each group of the reader has the lines that the seal counted. */
  #wrongParts(seal: Seal, told: readonly SealPart[]): string | null {
    const range = `in the segment ${seal.firstId} to ${seal.lastId}`;
    if (this.#lastId > seal.lastId) return `changed: an event behind its seal, ${range}`;
    if (this.#isPartMissing(seal, told)) return `missing: parts of the seal, ${range}`;
    const found = new Map(this.#hasher.end().map((part) => [part.groupId, part]));
    for (const part of told) {
      const wrong = wrongPart(seal, part, found.get(part.groupId));
      if (wrong !== null) return `${wrong} ${range}`;
      found.delete(part.groupId);
    }
    return found.size > 0 ? `changed: events that no seal counted, ${range}` : null;
  }

  /** Whether the seal has a leaf that this reader should have been given the part of. */
  #isPartMissing(seal: Seal, told: readonly SealPart[]): boolean {
    const groups = this.#head?.groups ?? null;
    const given = new Set(told.map(({ groupId }) => groupId));
    if (groups === null) return given.size !== seal.leaves.length;
    const tags = new Set(seal.leaves.map((leaf) => leaf.slice(0, TAG_LENGTH)));
    return groups.some((id) => !given.has(id) && tags.has(tagOf(id, seal.firstId)));
  }
}

/** Hex digits of a SHA-256. */
const TAG_LENGTH = 64;

/** What is wrong with the lines of one group, against what its seal counted. */
function wrongPart(seal: Seal, part: SealPart, have: SealPart | undefined): string | null {
  const { groupId, count } = part;
  if (!seal.leaves.includes(leafOfPart(part, seal.firstId))) {
    return `changed: the part of ${groupId} is not in the seal,`;
  }
  const few = count - (have?.count ?? 0);
  if (few > 0) return `missing: ${few} events of ${groupId}`;
  return have?.hash === part.hash ? null : `changed: events of ${groupId}`;
}
