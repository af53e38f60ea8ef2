/** Bytes that have to be equal before two places are compared at all. */
export const KEY_BYTES = 16;
/**
 * Places of the old content that are indexed, 4 bytes each. In larger contents every second place,
 * every third and so on is: matches that are long enough are found all the same.
 */
const PLACES_MAX = 2 ** 27;
/** At least so many buckets; more for more places, so that few places share one. */
const BUCKET_BITS_MIN = 10;
const BUCKET_BITS_MAX = 24;
/** Candidates that are compared, those nearest to where the content was expected first. */
const CANDIDATES_MAX = 32;
/** A match of this length is good enough: nothing better is looked for. */
const LENGTH_ENOUGH = 4_096;
/** Longer matches are taken in parts, so that no comparison is made over and over. */
const LENGTH_MAX = 65_536;

/**
 * Finds where in the old content the bytes of a place in the new content stand. Holds 4 bytes for
 * each indexed place, and nothing that grows.
 */
export class HashIndex {
  readonly #old: Uint8Array;
  readonly #oldWords: DataView;
  readonly #next: Uint8Array;
  readonly #nextWords: DataView;
  readonly #shift: number;
  /** Where the places of each bucket begin in `#places`; they rise within a bucket. */
  readonly #begins: Int32Array;
  readonly #places: Int32Array;

  constructor(old: Uint8Array, next: Uint8Array, placesMax = PLACES_MAX) {
    this.#old = old;
    this.#next = next;
    this.#oldWords = new DataView(old.buffer, old.byteOffset, old.length);
    this.#nextWords = new DataView(next.buffer, next.byteOffset, next.length);
    const stride = Math.max(1, Math.ceil(old.length / placesMax));
    const end = old.length - KEY_BYTES;
    const count = end < 0 ? 0 : Math.floor(end / stride) + 1;
    const bits = Math.min(
      BUCKET_BITS_MAX,
      Math.max(BUCKET_BITS_MIN, Math.ceil(Math.log2(count + 1))),
    );
    this.#shift = 32 - bits;
    const begins = new Int32Array(2 ** bits + 2);
    const places = new Int32Array(count);
    // Counted two buckets ahead and then filled one ahead, so that `begins` is right at the end.
    for (let at = 0; at <= end; at += stride) {
      const bucket = hashAt(this.#oldWords, at) >>> this.#shift;
      begins[bucket + 2] = (begins[bucket + 2] as number) + 1;
    }
    for (let i = 1; i < begins.length; i += 1) {
      begins[i] = (begins[i] as number) + (begins[i - 1] as number);
    }
    for (let at = 0; at <= end; at += stride) {
      const bucket = (hashAt(this.#oldWords, at) >>> this.#shift) + 1;
      const slot = begins[bucket] as number;
      places[slot] = at;
      begins[bucket] = slot + 1;
    }
    this.#begins = begins;
    this.#places = places;
  }

  /** Place in the old content of what `longest` found last. */
  foundAt = 0;

  /**
   * How many bytes from `at` of the new content on stand somewhere in the old one: 0, or `KEY_BYTES`
   * and more. Of equal lengths, what lies nearest to `expected` is taken. `foundAt` says where.
   * `known` bytes are known to stand at `from`: that is given back when nothing is longer.
   */
  longest(at: number, expected: number, from: number, known: number): number {
    let length = known;
    this.foundAt = from;
    if (length >= LENGTH_ENOUGH || at > this.#next.length - KEY_BYTES) return length;
    const bucket = hashAt(this.#nextWords, at) >>> this.#shift;
    const begin = this.#begins[bucket] as number;
    const end = this.#begins[bucket + 1] as number;
    // Slots from `below` down and from `above` up have not been tried.
    let above = this.#firstAbove(expected, begin, end);
    let below = above - 1;
    const tries = Math.min(CANDIDATES_MAX, end - begin);
    for (let tried = 0; tried < tries && length < LENGTH_ENOUGH; tried += 1) {
      const isBelow = above >= end || (below >= begin && this.#isNearer(below, above, expected));
      const place = this.#places[isBelow ? below-- : above++] as number;
      const found = this.#longer(place, at, length);
      if (found <= length) continue;
      length = found;
      this.foundAt = place;
    }
    return length < KEY_BYTES ? 0 : length;
  }

  /** Whether the place of slot `below` lies nearer to `expected` than that of slot `above`. */
  #isNearer(below: number, above: number, expected: number): boolean {
    const [low, high] = [this.#places[below] as number, this.#places[above] as number];
    return expected - low < high - expected;
  }

  /** The first slot of a bucket whose place is `expected` or above. */
  #firstAbove(expected: number, begin: number, end: number): number {
    let [low, high] = [begin, end];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] as number) < expected) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many bytes agree, when that may be more than `known`; else 0. */
  #longer(from: number, at: number, known: number): number {
    // Only what also agrees one byte further can be longer.
    if (this.#old[from + known] !== this.#next[at + known]) return 0;
    const most = Math.min(this.#old.length - from, this.#next.length - at, LENGTH_MAX);
    let length = 0;
    while (length < most && this.#old[from + length] === this.#next[at + length]) length += 1;
    return length;
  }
}

/** Of `KEY_BYTES` bytes; the constants are odd numbers without a pattern. */
function hashAt(words: DataView, at: number): number {
  let hash = 0;
  for (let i = 0; i < KEY_BYTES; i += 4) {
    hash = Math.imul(hash ^ words.getInt32(at + i, true), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return Math.imul(hash, 0x85ebca6b);
}
