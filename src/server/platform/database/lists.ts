import type { SqlValue } from './sql.js';

/** For a list of values in a statement; bounded by whoever has them, as SQL takes some ten thousand at most. */
export const questionMarks = (count: number): string => Array(count).fill('?').join(', ');

/** So many rows, as the values of a statement. */
export const rowsOf = (count: number, row: string): string => Array(count).fill(row).join(', ');

/** Lists of about the same length share a prepared statement: they are filled up to a power of two with their last one. */
export function filledUp<T>(values: readonly T[]): readonly T[] {
  const last = values.at(-1);
  if (last === undefined) return [];
  const size = 2 ** Math.ceil(Math.log2(values.length));
  return [...values, ...Array<T>(size - values.length).fill(last)];
}

/**
 * Rows of values as a table `v` to update from, its columns `column1` and so on; not none. To PostgreSQL a value in such a list is a text:
 * what is to be a number is cast.
 */
export function tableOf(rows: readonly (readonly SqlValue[])[]): {
  readonly text: string;
  readonly params: readonly SqlValue[];
} {
  const filled = filledUp(rows);
  const row = `(${questionMarks(rows[0]?.length ?? 0)})`;
  return { text: `(VALUES ${rowsOf(filled.length, row)}) AS v`, params: filled.flat() };
}
