import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../../core/kernel/index.js';

/** Whoever asks for more patience than this is taken for one that does not answer. */
const PATIENCE_MS = 10 * 60_000;
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

/**
 * Does `ask` again while what it throws says when (`retry_after_ms` in its context): a busy manager is
 * no failed download. Ten minutes in all at most.
 */
export async function whenNotBusy<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (let waitedMs = 0; ;) {
    try {
      return await ask();
    } catch (error) {
      const ms = error instanceof FleetError ? error.context['retry_after_ms'] : undefined;
      if (typeof ms !== 'number' || waitedMs + ms > PATIENCE_MS) throw error;
      // One that says 0 must not be asked without a pause.
      const waitMs = Math.max(ms, 1_000);
      waitedMs += waitMs;
      await sleep(waitMs, undefined, { signal });
    }
  }
}
