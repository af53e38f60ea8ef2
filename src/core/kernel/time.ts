declare const instantBrand: unique symbol;

/** Milliseconds since 1970-01-01 UTC. Branded, so that a duration cannot pass for a moment. */
export type Instant = number & { readonly [instantBrand]: true };

export const instant = (epochMs: number): Instant => epochMs as Instant;

/** `at` moved by `durationMs`, which may be negative. */
export const plus = (at: Instant, durationMs: number): Instant => (at + durationMs) as Instant;

export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** RFC 3339 in UTC with milliseconds, the only form in which we show a moment to a machine. */
export const toIso = (at: number): string => new Date(at).toISOString();

/**
 * A duration as a person says it: `8 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`. Two units at most;
 * below one second always `less than 1 s`.
 */
export function durationInWords(durationMs: number): string {
  if (durationMs < SECOND_MS) return 'less than 1 s';
  const parts: string[] = [];
  let rest = Math.round(durationMs / SECOND_MS) * SECOND_MS;
  const units: readonly (readonly [number, string])[] = [
    [DAY_MS, 'd'],
    [HOUR_MS, 'h'],
    [MINUTE_MS, 'min'],
    [SECOND_MS, 's'],
  ];
  for (const [sizeMs, unit] of units) {
    const count = Math.floor(rest / sizeMs);
    rest -= count * sizeMs;
    if (count > 0) parts.push(`${count} ${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}
