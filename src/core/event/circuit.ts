import { HOUR_MS, SECOND_MS } from '../kernel/index.js';

/** Whether a receiver takes what it is sent. */
export interface Circuit {
  /** `open`: it fails, and is left alone until `nextTryAt`; `half_open`: one try is under way. */
  readonly state: 'closed' | 'open' | 'half_open';
  /** Since when it takes, or does not take; epoch ms. */
  readonly since: number;
  /** Tries in a row that failed. */
  readonly failures: number;
  /** Not before this; epoch ms, 0 for at once. */
  readonly nextTryAt: number;
}

/** So many failures in a row, and the receiver counts as down. One alone may be a restart. */
export const OPEN_AFTER_FAILURES = 3;
export const BACKOFF_BASE_MS = SECOND_MS;
export const BACKOFF_MAX_MS = 5 * 60 * SECOND_MS;
/** Below this a receiver that refuses at once would be asked without pause. */
const BACKOFF_MIN_MS = 250;
/** A receiver may ask for this much patience at most, or a wrong date would end a sink for ever. */
export const RETRY_AFTER_MAX_MS = HOUR_MS;

export const newCircuit = (now: number): Circuit => ({
  state: 'closed',
  since: now,
  failures: 0,
  nextTryAt: 0,
});

/**
 * Full jitter: anything up to 1 s, 2 s, 4 s … 5 min, so that many who lost one receiver do not come back
 * at once. `chance` is in [0, 1).
 */
export function backoffMs(failures: number, chance: number): number {
  const most = Math.min(
    BACKOFF_MAX_MS,
    BACKOFF_BASE_MS * 2 ** Math.min(Math.max(0, failures - 1), 30),
  );
  return Math.max(BACKOFF_MIN_MS, Math.floor(most * chance));
}

/** A try begins. */
export const onTry = (circuit: Circuit): Circuit =>
  circuit.state === 'open' ? { ...circuit, state: 'half_open' } : circuit;

export const onSuccess = (circuit: Circuit, now: number): Circuit =>
  circuit.state === 'closed' && circuit.failures === 0
    ? circuit
    : {
        state: 'closed',
        since: circuit.state === 'closed' ? circuit.since : now,
        failures: 0,
        nextTryAt: 0,
      };

export function onFailure(
  circuit: Circuit,
  {
    now,
    chance,
    retryAfterMs,
  }: {
    readonly now: number;
    readonly chance: number;
    /** What the receiver asked for. */
    readonly retryAfterMs: number | null;
  },
): Circuit {
  const failures = circuit.failures + 1;
  const asked = Math.min(RETRY_AFTER_MAX_MS, Math.max(0, retryAfterMs ?? 0));
  const nextTryAt = now + Math.max(asked, backoffMs(failures, chance));
  const isOpen = circuit.state !== 'closed' || failures >= OPEN_AFTER_FAILURES;
  return {
    state: isOpen ? 'open' : 'closed',
    since: isOpen && circuit.state === 'closed' ? now : circuit.since,
    failures,
    nextTryAt,
  };
}

/**
 * `Retry-After` of RFC 9110, 10.2.3: seconds, or a date. Null when it is neither; never negative, never
 * above an hour.
 */
export function readRetryAfter(text: string | null | undefined, now: number): number | null {
  const given = text?.trim() ?? '';
  if (/^\d{1,10}$/.test(given)) return Math.min(RETRY_AFTER_MAX_MS, Number(given) * SECOND_MS);
  // Only the form that HTTP asks for: Date.parse alone would take a great deal more.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(given)) return null;
  const at = Date.parse(given);
  return Number.isNaN(at) ? null : Math.min(RETRY_AFTER_MAX_MS, Math.max(0, at - now));
}
