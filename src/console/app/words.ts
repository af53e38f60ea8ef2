const whole = new Intl.NumberFormat('en');

/** `12,345`. */
export const count = (n: number): string => whole.format(n);

/** `1 node`, `12,345 nodes`. */
export const counted = (n: number, one: string, many = `${one}s`): string =>
  `${whole.format(n)} ${n === 1 ? one : many}`;

/** `200 MB`: thousands, as disks and networks are sold. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = n;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? 'B'}`;
}

/** `rolled_back` as people write it. */
export const words = (name: string): string => name.replace(/[_.]/g, ' ');

/** With a capital at its begin. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What somebody changed, in words. */
export interface Difference {
  readonly label: string;
  readonly was: string;
  readonly is: string;
}
