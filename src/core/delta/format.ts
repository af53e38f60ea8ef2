/** First bytes of a delta file: name and version of the form. The rest is one brotli stream. */
export const DELTA_MAGIC = new TextEncoder().encode('BWDELTA1');

/**
 * Window of the brotli stream as a power of two: a decoder needs 4 MiB for it. A larger one brought
 * less than 0.5 % (see README.md).
 */
export const BROTLI_WINDOW_BITS = 22;

/** A number of 33 bits (a distance with its sign) takes five groups of seven. */
export const NUMBER_BYTES_MAX = 5;

/**
 * One step of a delta. First `differences.length` bytes: those of the old content from `from` on,
 * each plus one difference, modulo 256. Then `literal`, as it is. One of the two may be empty.
 */
export interface Instruction {
  readonly from: number;
  readonly differences: Uint8Array;
  readonly literal: Uint8Array;
}

/** Appends a number of at most 33 bits, seven bits a byte, the lowest first. */
export function pushNumber(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
}

/** A distance as a number: 0, -1, 1, -2 and so on become 0, 1, 2, 3. */
export const fromDistance = (distance: number): number =>
  distance < 0 ? -2 * distance - 1 : 2 * distance;

export const toDistance = (value: number): number =>
  value % 2 === 0 ? value / 2 : -(value + 1) / 2;
