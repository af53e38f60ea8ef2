import { createHash } from 'node:crypto';

/** Before the first segment there is nothing. */
export const NO_SEAL = '0'.repeat(64);

/** What one group has of a segment: how many lines, and their hash in order. */
export interface SealPart {
  readonly groupId: string;
  readonly count: number;
  /** SHA-256 over the lines, each with a line feed behind it; hex. */
  readonly hash: string;
}

/** A range of ids that is closed: all of it is known, and none of it will change. */
export interface Seal {
  readonly firstId: number;
  readonly lastId: number;
  /** `hash` of the segment before it. */
  readonly previous: string;
  /** `leafOfPart` of every group in it, sorted. What it is of, only who knows the part can say. */
  readonly leaves: readonly string[];
  readonly hash: string;
}

const sha256 = (...parts: readonly string[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/**
 * Where the leaf of a group is found in a segment: only who knows the id of the group can tell that
 * it is there, and so also that it is not.
 */
export const tagOf = (groupId: string, firstId: number): string =>
  sha256(`group\n${groupId}\n${firstId}\n`);

/** One group's share as it goes into the seal: its tag, then the hash of what it has. */
export const leafOfPart = ({ groupId, count, hash }: SealPart, firstId: number): string =>
  tagOf(groupId, firstId) + sha256(`part\n${groupId}\n${count}\n${hash}\n`);

/**
 * The hash of a segment: over its range, the one before it, and a leaf for each group. Whoever sees
 * some groups only can compute it too: he knows his parts, and of the others the leaves.
 */
export const sealHash = (seal: Omit<Seal, 'hash'>): string =>
  sha256(
    `segment\n${seal.firstId}\n${seal.lastId}\n${seal.previous}\n`,
    ...seal.leaves.map((leaf) => `${leaf}\n`),
  );

/** Takes the lines of one segment in their order and gives each group its part. */
export class PartHasher {
  readonly #parts = new Map<string, { count: number; hash: ReturnType<typeof createHash> }>();

  add(groupId: string, line: string | Uint8Array): void {
    let part = this.#parts.get(groupId);
    if (part === undefined) {
      part = { count: 0, hash: createHash('sha256') };
      this.#parts.set(groupId, part);
    }
    part.count += 1;
    part.hash.update(line).update('\n');
  }

  /** By group id. Ends the hasher. */
  end(): SealPart[] {
    return [...this.#parts]
      .map(([groupId, { count, hash }]) => ({ groupId, count, hash: hash.digest('hex') }))
      .sort((a, b) => (a.groupId < b.groupId ? -1 : 1));
  }
}

/** Makes the seal of a segment from what its groups have of it. */
export function makeSeal(
  range: Pick<Seal, 'firstId' | 'lastId' | 'previous'>,
  parts: readonly SealPart[],
): Seal {
  const leaves = parts.map((part) => leafOfPart(part, range.firstId)).sort();
  return { ...range, leaves, hash: sealHash({ ...range, leaves }) };
}
