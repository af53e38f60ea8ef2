import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../kernel/index.js';

/** How tries of one kind are slowed down. */
export interface Pace {
  /** So many in a row cost nothing: people mistype. */
  readonly free: number;
  /** The first wait; each further failure doubles it. */
  readonly firstWaitMs: number;
  /** It never grows beyond this. */
  readonly waitMaxMs: number;
  /** After so long without a try everything is forgotten. */
  readonly forgetMs: number;
}

/** Tries so far that were not followed by a success, and when the last one was. */
export interface Tries {
  readonly count: number;
  readonly atMs: number;
}

/**
 * What is counted, after OWASP's "device cookies": a stranger who fails can slow down himself (his
 * address with this account, or his address at all) far more than the account. What all strangers
 * together can do to an account is a wait of `account.waitMaxMs`, and a device that was signed in
 * before does not even feel that.
 */
export const PACES = {
  /** A known device of an account; strangers cannot count here. */
  device: { free: 10, firstWaitMs: SECOND_MS, waitMaxMs: 5 * MINUTE_MS, forgetMs: HOUR_MS },
  /** One address at one account. */
  pair: { free: 5, firstWaitMs: SECOND_MS, waitMaxMs: 15 * MINUTE_MS, forgetMs: 6 * HOUR_MS },
  /** One address at all accounts; many people may share it. */
  address: { free: 30, firstWaitMs: SECOND_MS, waitMaxMs: MINUTE_MS, forgetMs: HOUR_MS },
  /** One account from everywhere. */
  account: { free: 50, firstWaitMs: SECOND_MS, waitMaxMs: 30 * SECOND_MS, forgetMs: HOUR_MS },
  /** Codes after a right password: whoever fails here is the owner, or has the password. */
  factor: { free: 5, firstWaitMs: SECOND_MS, waitMaxMs: 15 * MINUTE_MS, forgetMs: 24 * HOUR_MS },
} as const satisfies Record<string, Pace>;
export type PaceName = keyof typeof PACES;

/** Milliseconds until the next try is looked at; 0: now. A clock that was set back forgives nothing. */
export function waitAfter(tries: Tries, pace: Pace, nowMs: number): number {
  const since = Math.max(0, nowMs - tries.atMs);
  if (since >= pace.forgetMs || tries.count < pace.free) return 0;
  const doublings = Math.min(30, tries.count - pace.free);
  const wait = Math.min(pace.waitMaxMs, pace.firstWaitMs * 2 ** doublings);
  return Math.max(0, wait - since);
}

/** The tries once one more was made. */
export const oneMore = (tries: Tries | null, pace: Pace, nowMs: number): Tries => {
  const isForgotten = tries === null || nowMs - tries.atMs >= pace.forgetMs;
  return { count: isForgotten ? 1 : Math.min(1_000_000, tries.count + 1), atMs: nowMs };
};
