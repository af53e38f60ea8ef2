import { RECONNECT_BASE_MS, RECONNECT_MAX_MS } from '../../protocol/node/index.js';

/** A session this long shows that the manager is well: the next wait starts from the base. */
const STEADY_MS = 30_000;
/** A node whose key was revoked can do nothing about it; an hour spares everybody. */
const REVOKED_MS = 3_600_000;

/**
 * How long to wait before the next try: full jitter (0 to the bound), so that ten thousand nodes do
 * not come back together. The manager may give a node a slot of its own.
 */
export class Backoff {
  readonly #random: () => number;
  #failures = 0;
  #slotMs: number | null = null;

  constructor(random: () => number) {
    this.#random = random;
  }

  sessionLasted(ms: number): void {
    if (ms > STEADY_MS) this.#failures = 0;
  }

  /** The manager said when to come back. */
  slot(ms: number): void {
    this.#slotMs = ms;
  }

  next(isRevoked: boolean): number {
    const slotMs = this.#slotMs;
    this.#slotMs = null;
    if (isRevoked) return REVOKED_MS * (0.5 + this.#random() / 2);
    if (slotMs !== null) return slotMs;
    const bound = Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    return bound * this.#random();
  }
}
