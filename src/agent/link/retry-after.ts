/** One wait; a header that says more is shortened to it. */
const WAIT_MS_MAX = 120_000;

/**
 * What a `Retry-After` of 429 or 503 means in milliseconds: seconds, or a date (RFC 9110, 10.2.3). Null
 * when there is none that can be read.
 */
export function retryAfterMs(status: number, header: string | undefined): number | null {
  if ((status !== 429 && status !== 503) || header === undefined) return null;
  if (/^\d{1,9}$/.test(header)) return Math.min(WAIT_MS_MAX, Number(header) * 1_000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.min(WAIT_MS_MAX, Math.max(0, at - Date.now()));
}
