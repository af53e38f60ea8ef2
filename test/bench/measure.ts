import { appendFileSync } from 'node:fs';

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** For a short look: `npm run bench -- --quick`. Fewer nodes and rounds, so rougher numbers. */
export const IS_QUICK = process.env['BELLWETHER_BENCH_QUICK'] === '1';

/** Where rows are kept for the report; without it they are only printed. */
const ROWS_FILE = process.env['BELLWETHER_BENCH_ROWS'] ?? '';

export interface Comparison {
  /** Which target it is about: a key of `targets.mjs`. Without it: for information. */
  readonly row?: string;
  readonly unit: string;
  readonly baseline: readonly [label: string, value: number];
  readonly measured: readonly [label: string, value: number];
}

/** Prints one comparison as a row: both values and their ratio, from the same run. */
export function compared(what: string, values: Comparison): void {
  const { unit, baseline, measured } = values;
  const text = ([label, value]: readonly [string, number]): string =>
    `${label} ${value.toFixed(2)} ${unit}`;
  const ratio = (measured[1] / baseline[1]).toFixed(2);
  process.stdout.write(`| ${what} | ${text(baseline)} | ${text(measured)} | ${ratio} × |\n`);
  keep({ what, ...values });
}

/** A row that could not be measured here, and why. */
export function skipped(row: string, why: string): void {
  process.stdout.write(`| ${row} | not measured: ${why} |\n`);
  keep({ row, skipped: why });
}

function keep(line: object): void {
  if (ROWS_FILE !== '') appendFileSync(ROWS_FILE, `${JSON.stringify(line)}\n`);
}
