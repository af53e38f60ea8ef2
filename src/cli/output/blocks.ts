/**
 * What a column holds, besides words: `time` is told as a distance, and exactly in wide tables; `state`
 * has a colour; `wide` stands in wide tables only; `id` is never cut.
 */
export type ColumnKind = 'time' | 'state' | 'wide' | 'wide-time' | 'id';

/** One column: its heading, what it shows of a row, and what that is. */
export type Column<Row> = readonly [
  heading: string,
  show: (row: Row) => string | number | null,
  kind?: ColumnKind,
];

type Value = string | number | null;

/** A table as it was said, before anybody decided how wide it may be. */
export interface Grid {
  readonly type: 'grid';
  readonly headings: readonly { readonly text: string; readonly kind: ColumnKind | undefined }[];
  readonly rows: readonly (readonly Value[])[];
  readonly whenEmpty: string;
}

/** A name and a value a line. */
export interface Facts {
  readonly type: 'facts';
  readonly pairs: readonly (readonly [name: string, value: Value])[];
}

/** What is shown to people is made of these; `render.ts` is where they become text. */
export type Block = Grid | Facts | string;

/**
 * Rows for people: aligned columns below headings, `-` for nothing. An empty list is one sentence,
 * so that nobody waits for more.
 */
export const table = <Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  whenEmpty: string,
): Grid => ({
  type: 'grid',
  headings: columns.map(([text, , kind]) => ({ text, kind })),
  rows: rows.map((row) => columns.map(([, show]) => show(row))),
  whenEmpty,
});

/** One thing for people: a name and a value a line, the values aligned. */
export const facts = (pairs: readonly (readonly [string, string | number | null])[]): Facts => ({
  type: 'facts',
  pairs,
});
