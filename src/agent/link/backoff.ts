import { RECONNECT_BASE_MS, RECONNECT_MAX_MS } from '../../protocol/node/index.js';

/** A session this long shows that the manager is well: the next wait starts from the base. */
const STEADY_MS = 30_000;
/** A node whose key was revoked can do nothing about it by itself: an hour spares everybody. */
const REVOKED_MS = 3_600_000;
/** A `Retry-After` longer than this is not believed. */
const RETRY_AFTER_MS_MAX = 300_000;

/** The unit of `Retry-After`. */
const QUEUE_SPREAD_MS = 1_000;

export interface BackoffOptions {
  readonly random: () => number;
  /** `RECONNECT_BASE_MS` when not given. */
  readonly baseMs?: number;
}

/**
 * How long to wait before the next try: full jitter (0 to the bound), so that ten thousand nodes do
 * not come back together. The manager may give a node a slot of its own.
 */
export class Backoff {
  readonly #random: () => number;
  readonly #baseMs: number;
  #failures = 0;
  #slotMs: number | null = null;
  #atLeastMs = 0;
  #isRevoked = false;
  #isTold = false;

  constructor(options: BackoffOptions) {
    this.#random = options.random;
    this.#baseMs = options.baseMs ?? RECONNECT_BASE_MS;
  }

  /** The manager took the node in: what it said of its key before is over. */
  welcomed(): void {
    this.#isRevoked = false;
  }

  sessionLasted(durationMs: number): void {
    if (durationMs > STEADY_MS) this.#failures = 0;
  }

  /** The manager said when to come back; counts for the next wait only. */
  slot(durationMs: number): void {
    this.#slotMs = durationMs;
  }

  /**
   * A manager to which many nodes come at once gave this one a slot; counts for the next wait only. It was told in whole
   * seconds: within the second nodes spread by themselves.
   */
  slotOfQueue(durationMs: number): void {
    this.#slotMs = Math.min(durationMs, RETRY_AFTER_MS_MAX) + QUEUE_SPREAD_MS * this.#random();
  }

  /** A refusal asked for this much patience; counts for the next wait only. */
  atLeast(durationMs: number): void {
    this.#atLeastMs = Math.min(durationMs, RETRY_AFTER_MS_MAX);
  }

  /** The key was revoked: at most one try an hour, until a `welcome`. */
  revoked(): void {
    this.#isRevoked = true;
  }

  /** The wait that `next` gave last was asked for by the manager. */
  get isToldToWait(): boolean {
    return this.#isTold;
  }

  /** The wait before the next try; each call counts as one more failure. */
  next(): number {
    const [slotMs, atLeastMs] = [this.#slotMs, this.#atLeastMs];
    this.#slotMs = null;
    this.#atLeastMs = 0;
    this.#isTold = this.#isRevoked || slotMs !== null || atLeastMs > 0;
    if (this.#isRevoked) return REVOKED_MS * (1 + this.#random() / 10);
    if (slotMs !== null) return slotMs;
    const boundMs = Math.min(RECONNECT_MAX_MS, this.#baseMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    return Math.max(atLeastMs, boundMs * this.#random());
  }

  /** A wait after a close that was nobody's fault: short, and it does not count. */
  soon(): number {
    this.#isTold = false;
    return this.#baseMs * this.#random();
  }
}
