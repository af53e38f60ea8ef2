import { readFileSync } from 'node:fs';

/** /proc/uptime counts hundredths of a second; a sleep is longer than what reading both clocks takes. */
const SLEEP_MS_MIN = 100;

export interface Clock {
  /** The clock on the wall. */
  readonly now: () => number;
  /** Never goes back, and stands still while the machine sleeps. */
  readonly monotonicMs: () => number;
  /** Never goes back, and goes on while the machine sleeps (CLOCK_BOOTTIME). */
  readonly bootMs: () => number;
}

/** Milliseconds since the boot with all sleep, as Linux tells; null where it does not. */
function uptimeMs(): number | null {
  try {
    const ms = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1_000;
    return Number.isFinite(ms) ? ms : null;
  } catch {
    return null;
  }
}

/**
 * The clocks of this process. The runtime knows only one that stands still in a suspend: what the clock of the
 * kernel has gone on beside it since this was opened is how long the machine slept. Without /proc nothing is
 * added.
 */
export function openClock(
  monotonicMs: () => number = () => performance.now(),
  sinceBootMs: () => number | null = uptimeMs,
): Clock {
  const asideMs = (): number => (sinceBootMs() ?? Number.NaN) - monotonicMs();
  const openedAsideMs = asideMs();
  let sleptMs = 0;
  return {
    now: () => Date.now(),
    monotonicMs,
    bootMs: () => {
      const sinceMs = asideMs() - openedAsideMs;
      // Also when it cannot be told any more: what was slept stays slept.
      if (sinceMs > sleptMs + SLEEP_MS_MIN) sleptMs = sinceMs;
      return monotonicMs() + sleptMs;
    },
  };
}
