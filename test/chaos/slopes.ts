/** One number over time: `at` in seconds. */
export interface Point {
  readonly at: number;
  readonly value: number;
}

export interface Slope {
  /** By how much it rises in a second, by least squares. */
  readonly perSecond: number;
  /** Half of the interval in which the true slope lies, 19 times in 20, were the samples independent. */
  readonly margin: number;
  readonly mean: number;
}

/** Student's t for 95 %, both sides; beyond 30 degrees of freedom hardly more than for a normal distribution. */
const T95 = [
  12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13,
];
const t95 = (degrees: number): number => T95[degrees - 1] ?? (degrees <= 30 ? 2.13 : 2.05);

/** Null with fewer than three points, or all at one moment: a line through them says nothing. */
export function slopeOf(points: readonly Point[]): Slope | null {
  const n = points.length;
  if (n < 3) return null;
  const meanAt = points.reduce((sum, { at }) => sum + at, 0) / n;
  const mean = points.reduce((sum, { value }) => sum + value, 0) / n;
  const spread = points.reduce((sum, { at }) => sum + (at - meanAt) ** 2, 0);
  if (spread === 0) return null;
  const perSecond =
    points.reduce((sum, { at, value }) => sum + (at - meanAt) * (value - mean), 0) / spread;
  const errors = points.reduce(
    (sum, { at, value }) => sum + (value - mean - perSecond * (at - meanAt)) ** 2,
    0,
  );
  const margin = t95(n - 2) * Math.sqrt(errors / (n - 2) / spread);
  return { perSecond, margin, mean };
}

/**
 * By how much it certainly rose over the time, or 0: the low end of the interval. A rise that is within the
 * noise is none.
 */
export function surelyRoseBy(slope: Slope, seconds: number): number {
  return Math.max(0, (slope.perSecond - slope.margin) * seconds);
}
