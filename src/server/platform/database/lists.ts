/** For a list of values in a statement; bounded by whoever has them, as SQL takes some ten thousand at most. */
export const questionMarks = (count: number): string => Array(count).fill('?').join(', ');

/** Lists of about the same length share a prepared statement: they are filled up to a power of two with their last one. */
export function filledUp<T>(values: readonly T[]): readonly T[] {
  const last = values.at(-1);
  if (last === undefined) return [];
  const size = 2 ** Math.ceil(Math.log2(values.length));
  return [...values, ...Array<T>(size - values.length).fill(last)];
}
