/** SQL takes at most some ten thousand parameters a statement; 200 rows of 12 stay far below. */
const ROWS_PER_INSERT = 200;

/** Splits work into statements of bounded size. */
export function* chunksOf<T>(items: readonly T[], size = ROWS_PER_INSERT): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
