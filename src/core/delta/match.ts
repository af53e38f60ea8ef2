import type { Instruction } from './format.js';
import { HashIndex } from './hash-index.js';

/** Another alignment has to agree in so many bytes more before it is taken: each change costs some. */
const CLEARLY_BETTER_BYTES = 8;

/**
 * Describes `next` by pieces of `old` and what is new in it; an approximate match is taken as long as
 * more than half of it agrees. The idea is Colin Percival's bsdiff; the search is by a hash index
 * instead of a suffix array. The same contents give the same instructions.
 *
 * Memory: both contents, 4 bytes for each byte of `old` (at most 512 MiB), and one instruction.
 */
export function* matchContents(
  old: Uint8Array,
  next: Uint8Array,
  placesMax?: number,
): Generator<Instruction> {
  const search = new Search(old, next, placesMax);
  // What is aligned now: `next` from `at` on with `old` from `from` on.
  let at = 0;
  let from = 0;
  while (at < next.length) {
    const isBetter = search.advance(from - at);
    if (!isBetter) continue;
    let forward = forwardLength({ old, next }, { at, from }, search.at);
    let backward = backwardLength({ old, next }, search, at);
    const overlap = at + forward - (search.at - backward);
    if (overlap > 0) {
      const [one, other] = [at + forward - overlap, from + forward - overlap];
      const kept = splitOf({ old, next }, { at: one, from: other }, search, overlap);
      forward += kept - overlap;
      backward -= kept;
    }
    const literalEnd = search.at - backward;
    // At the very beginning there may be nothing before the first match.
    if (literalEnd > at) {
      const differences = differencesOf(old.subarray(from, from + forward), next.subarray(at));
      yield { from, differences, literal: next.subarray(at + forward, literalEnd) };
    }
    from = search.from - backward;
    at = literalEnd;
  }
}

interface Contents {
  readonly old: Uint8Array;
  readonly next: Uint8Array;
}

/** A place in the new content, and the one in the old content that it is held against. */
interface Alignment {
  readonly at: number;
  readonly from: number;
}

/** Walks over the new content in search of better alignments. */
class Search implements Alignment {
  readonly #old: Uint8Array;
  readonly #next: Uint8Array;
  readonly #index: HashIndex;
  #length = 0;
  at = 0;
  from = 0;

  constructor(old: Uint8Array, next: Uint8Array, placesMax?: number) {
    this.#old = old;
    this.#next = next;
    this.#index = new HashIndex(old, next, placesMax);
  }

  /**
   * Goes on from the last match. True at a place that another alignment than `offset` serves clearly
   * better, and at the end; false when the match found is the present alignment itself.
   */
  advance(offset: number): boolean {
    this.at += this.#length;
    this.#length = 0;
    /** How many bytes of the match at hand the present alignment gets right as well. */
    let agreeing = 0;
    let counted = this.at;
    for (; this.at < this.#next.length; this.at += 1) {
      const seeded = Math.max(0, this.#length - 1);
      this.#length = this.#index.longest(this.at, this.at + offset, this.from + 1, seeded);
      this.from = this.#index.foundAt;
      for (; counted < this.at + this.#length; counted += 1) {
        if (this.#agrees(counted, offset)) agreeing += 1;
      }
      if (this.#length === agreeing && agreeing > 0) return false;
      if (this.#length > agreeing + CLEARLY_BETTER_BYTES) return true;
      if (this.#agrees(this.at, offset)) agreeing -= 1;
    }
    this.#length = 0;
    this.from = 0;
    return true;
  }

  #agrees(at: number, offset: number): boolean {
    const from = at + offset;
    return from >= 0 && from < this.#old.length && this.#old[from] === this.#next[at];
  }
}

/** How far the present alignment is worth keeping, at most up to `until`. */
function forwardLength({ old, next }: Contents, { at, from }: Alignment, until: number): number {
  const most = Math.min(until - at, old.length - from);
  let [agreeing, best, bestScore] = [0, 0, 0];
  for (let i = 0; i < most; i += 1) {
    if (old[from + i] === next[at + i]) agreeing += 1;
    const score = 2 * agreeing - (i + 1);
    if (score > bestScore) [best, bestScore] = [i + 1, score];
  }
  return best;
}

/** How far back the new alignment is worth having, at most down to `until`. */
function backwardLength({ old, next }: Contents, { at, from }: Alignment, until: number): number {
  if (at === next.length) return 0;
  const most = Math.min(at - until, from);
  let [agreeing, best, bestScore] = [0, 0, 0];
  for (let i = 1; i <= most; i += 1) {
    if (old[from - i] === next[at - i]) agreeing += 1;
    const score = 2 * agreeing - i;
    if (score > bestScore) [best, bestScore] = [i, score];
  }
  return best;
}

/**
 * Both alignments want the same `overlap` bytes, which begin at `first`: how many of them the first
 * should keep. The second ends before `second`.
 */
function splitOf(
  { old, next }: Contents,
  first: Alignment,
  second: Alignment,
  overlap: number,
): number {
  const otherFrom = second.from - (second.at - first.at);
  let [score, best, bestScore] = [0, 0, 0];
  for (let i = 0; i < overlap; i += 1) {
    const byte = next[first.at + i];
    if (old[first.from + i] === byte) score += 1;
    if (old[otherFrom + i] === byte) score -= 1;
    if (score > bestScore) [best, bestScore] = [i + 1, score];
  }
  return best;
}

function differencesOf(old: Uint8Array, next: Uint8Array): Uint8Array {
  const differences = new Uint8Array(old.length);
  // A byte array keeps the lowest eight bits.
  for (let i = 0; i < old.length; i += 1) {
    differences[i] = (next[i] as number) - (old[i] as number);
  }
  return differences;
}
