import type { SqlValue } from './sql.js';

type Row = readonly SqlValue[];

/**
 * Rows in one statement: few texts, each prepared once and kept. Measured for 15 columns of which 10 are
 * alike: 3.4 µs a row one by one, 1.7 µs by 20.
 */
const ROWS_PER_INSERT = [20, 5] as const;

/** A statement and what is bound to it. */
export interface Insert {
  readonly sql: string;
  readonly params: readonly SqlValue[];
}

/**
 * Inserts so many rows, whose values in `alike` are the same: these are bound once for all of them.
 * Most of what a row costs is the way of its values into SQLite.
 */
function textOf(into: string, columns: number, alike: readonly number[], count: number): string {
  const marks = (length: number): string => `(${Array.from({ length }, () => '?').join(', ')})`;
  if (count === 1) return `INSERT INTO ${into} VALUES ${marks(columns)}`;
  let own = 0;
  const from = Array.from({ length: columns }, (_, column) => {
    const at = alike.indexOf(column);
    return at >= 0 ? `same.column${at + 1}` : `each_row.column${(own += 1)}`;
  });
  const rows = Array.from({ length: count }, () => marks(own)).join(', ');
  return (
    `INSERT INTO ${into} SELECT ${from.join(', ')} ` +
    `FROM (VALUES ${marks(alike.length)}) AS same CROSS JOIN (VALUES ${rows}) AS each_row`
  );
}

/** How many rows from `at` on are like it in these columns, up to `most`. */
function runOf(rows: readonly Row[], at: number, alike: readonly number[], most: number): number {
  const first = rows[at];
  let count = 1;
  for (; count < most; count += 1) {
    const row = rows[at + count];
    if (row === undefined || alike.some((column) => row[column] !== first?.[column])) break;
  }
  return count;
}

/** Texts for one table; what they are for never changes. */
export class RowInserts {
  readonly #texts = new Map<number, string>();
  readonly #own: readonly number[];

  constructor(
    private readonly into: string,
    private readonly columns: number,
    /** Columns in which neighbours mostly have the same value; none: each row goes by itself. */
    private readonly alike: readonly number[],
  ) {
    this.#own = Array.from({ length: columns }, (_, column) => column).filter(
      (column) => !alike.includes(column),
    );
  }

  /** In the order of the rows. */
  *of(rows: readonly Row[]): Generator<Insert> {
    const isAlike = this.alike.length > 0 && this.#own.length > 0;
    for (let at = 0; at < rows.length;) {
      const run = isAlike ? runOf(rows, at, this.alike, ROWS_PER_INSERT[0]) : 1;
      const count = ROWS_PER_INSERT.find((size) => size <= run) ?? 1;
      const [first = []] = [rows[at]];
      yield {
        sql: this.#text(count),
        params: count === 1 ? first : this.#params(rows, at, count),
      };
      at += count;
    }
  }

  #params(rows: readonly Row[], at: number, count: number): SqlValue[] {
    const params = this.alike.map((column) => rows[at]?.[column] ?? null);
    for (let index = at; index < at + count; index += 1) {
      for (const column of this.#own) params.push(rows[index]?.[column] ?? null);
    }
    return params;
  }

  #text(count: number): string {
    let text = this.#texts.get(count);
    if (text === undefined) {
      text = textOf(this.into, this.columns, this.alike, count);
      this.#texts.set(count, text);
    }
    return text;
  }
}
