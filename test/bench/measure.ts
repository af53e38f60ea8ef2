export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Prints one comparison as a row: both values and their ratio, from the same run. */
export function compared(
  what: string,
  values: {
    readonly unit: string;
    readonly baseline: readonly [label: string, value: number];
    readonly measured: readonly [label: string, value: number];
  },
): void {
  const { unit, baseline, measured } = values;
  const text = ([label, value]: readonly [string, number]): string =>
    `${label} ${value.toFixed(2)} ${unit}`;
  const ratio = (measured[1] / baseline[1]).toFixed(2);
  process.stdout.write(`| ${what} | ${text(baseline)} | ${text(measured)} | ${ratio} × |\n`);
}
