import { usageError } from '../command.js';
import type { Column } from './blocks.js';
import { placeOf } from './render.js';

const natural = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

/** One column to sort by: `name`, or `name:desc`. */
function readKey<Row>(text: string, columns: readonly Column<Row>[]) {
  const [heading = '', way = 'asc', more] = text.split(':');
  if (more !== undefined || !['asc', 'desc'].includes(way)) {
    throw usageError(`--sort ${text}: take a column, such as name or name:desc`);
  }
  const place = placeOf(
    columns.map(([name]) => ({ text: name })),
    heading,
  );
  return { show: columns[place]?.[1] ?? (() => null), sign: way === 'desc' ? -1 : 1 };
}

/** Nothing comes last, whichever way; numbers inside of text count as numbers: 1.9.0 before 1.10.0. */
function compare(a: string | number | null, b: string | number | null, sign: number): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  if (typeof a === 'number' && typeof b === 'number') return sign * (a - b);
  return sign * natural.compare(String(a), String(b));
}

/**
 * Rows in the order of `--sort`, the columns with commas between; equal ones stay as they came. Throws
 * `cli_usage` for a column that there is not.
 */
export function sorted<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  by: string | undefined,
): readonly Row[] {
  if (by === undefined) return rows;
  const keys = by.split(',').map((text) => readKey(text.trim(), columns));
  return [...rows].sort((a, b) => {
    for (const { show, sign } of keys) {
      const order = compare(show(a), show(b), sign);
      if (order !== 0) return order;
    }
    return 0;
  });
}
