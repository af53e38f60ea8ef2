/** SQL takes at most some ten thousand parameters a statement; 200 rows of 12 stay far below. */
const ROWS_PER_INSERT = 200;

/** Splits work into statements of bounded size. */
export function* chunksOf<T>(items: readonly T[], size = ROWS_PER_INSERT): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

/** Lists of about the same length share a prepared statement: they are filled up to a power of two with their last one. */
export function filledUp<T>(values: readonly T[]): readonly T[] {
  const last = values.at(-1);
  if (last === undefined) return [];
  const size = 2 ** Math.ceil(Math.log2(values.length));
  return [...values, ...Array<T>(size - values.length).fill(last)];
}
