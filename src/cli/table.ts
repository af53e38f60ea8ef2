/** One column: its heading and what it shows of a row. */
export type Column<Row> = readonly [heading: string, show: (row: Row) => string | number | null];

const WIDE =
  /\p{Extended_Pictographic}|\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}/u;
/** Control characters in names from elsewhere must not steer the terminal. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const width = (text: string): number =>
  Array.from(text).reduce((sum, character) => sum + (WIDE.test(character) ? 2 : 1), 0);

/** Text from elsewhere as it may be shown: on one line, without what would steer a terminal. */
export const plain = (text: string): string => text.replace(CONTROL, '\ufffd');

/**
 * Rows for people: aligned columns below headings, `-` for nothing. An empty list is one sentence,
 * so that nobody waits for more.
 */
export function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  whenEmpty: string,
): string {
  if (rows.length === 0) return `${whenEmpty}\n`;
  const lines = [
    columns.map(([heading]) => heading.toUpperCase()),
    ...rows.map((row) => columns.map(([, show]) => plain(String(show(row) ?? '-')) || '-')),
  ];
  const widths = columns.map((_, index) =>
    Math.max(...lines.map((line) => width(line[index] ?? ''))),
  );
  return lines
    .map((line) =>
      line
        .map((cell, index) => cell + ' '.repeat((widths[index] ?? 0) - width(cell)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** One thing for people: a name and a value a line, the values aligned. */
export function facts(pairs: readonly (readonly [string, string | number | null])[]): string {
  const longest = Math.max(...pairs.map(([name]) => name.length));
  return pairs
    .map(([name, value]) => `${`${name}:`.padEnd(longest + 2)}${plain(String(value ?? '-'))}\n`)
    .join('');
}
