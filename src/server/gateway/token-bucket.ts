/**
 * How fast one socket may send: a burst, then a steady rate. Two numbers a socket and no timer;
 * time comes from the caller.
 */
export class TokenBucket {
  readonly #burst: number;
  readonly #refillPerMs: number;
  #tokens: number;
  #atMs: number;

  constructor(burst: number, refillPerSecond: number, nowMs: number) {
    this.#burst = burst;
    this.#refillPerMs = refillPerSecond / 1000;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /** Takes one token; false when there is none. A clock that goes back refills nothing. */
  take(nowMs: number): boolean {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + elapsedMs * this.#refillPerMs);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
