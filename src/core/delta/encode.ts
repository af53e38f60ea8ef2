import { DELTA_MAGIC, fromDistance, pushNumber, type Instruction } from './format.js';

export interface Sizes {
  readonly oldSize: number;
  readonly newSize: number;
}

/**
 * The stream of a delta, before compression, piece by piece: both sizes, then for each instruction
 * the number of differences, the number of literal bytes, how far `from` lies from where the
 * differences before it ended, and then the bytes. A file is `DELTA_MAGIC` and this, compressed.
 */
export function* encodeDelta(
  { oldSize, newSize }: Sizes,
  instructions: Iterable<Instruction>,
): Generator<Uint8Array> {
  yield numbers(oldSize, newSize);
  let position = 0;
  for (const { from, differences, literal } of instructions) {
    yield numbers(differences.length, literal.length, fromDistance(from - position));
    if (differences.length > 0) yield differences;
    if (literal.length > 0) yield literal;
    position = from + differences.length;
  }
}

function numbers(...values: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  for (const value of values) pushNumber(bytes, value);
  return Uint8Array.from(bytes);
}

/** Whether these bytes begin as a delta of this form. */
export const hasDeltaMagic = (bytes: Uint8Array): boolean =>
  bytes.length >= DELTA_MAGIC.length && DELTA_MAGIC.every((byte, i) => bytes[i] === byte);
