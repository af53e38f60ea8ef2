/** A node may send this many seconds' worth at once: what it kept over a short outage. */
const BURST_SECONDS = 4;
/** Nodes remembered; the bucket of one that was forgotten is full, which only forgives it. */
const NODES_MAX = 100_000;

interface Bucket {
  tokens: number;
  atMs: number;
}

/**
 * How fast each node's events are taken in. Who is over it waits, and is acknowledged later: its spool
 * keeps what is not taken yet, so nothing is dropped. A batch may bring a bucket below zero; so every
 * batch is taken at some time, whatever its size.
 */
export class Pace {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(eventsPerSecond: number) {
    this.#perMs = eventsPerSecond / 1_000;
    this.#burst = eventsPerSecond * BURST_SECONDS;
  }

  /** How long the node has to wait for its next batch; 0 when it need not. */
  waitMs(nodeId: string, nowMs: number): number {
    const bucket = this.#buckets.get(nodeId);
    if (bucket === undefined) return 0;
    this.#fill(bucket, nowMs);
    return bucket.tokens > 0 ? 0 : Math.ceil((1 - bucket.tokens) / this.#perMs);
  }

  spend(nodeId: string, events: number, nowMs: number): void {
    const bucket = this.#buckets.get(nodeId) ?? { tokens: this.#burst, atMs: nowMs };
    this.#fill(bucket, nowMs);
    bucket.tokens -= events;
    // Set anew, so that the Map stays in order of last use.
    this.#buckets.delete(nodeId);
    this.#buckets.set(nodeId, bucket);
    const oldest = this.#buckets.keys().next().value;
    if (this.#buckets.size > NODES_MAX && oldest !== undefined) this.#buckets.delete(oldest);
  }

  /** A clock that goes back fills nothing. */
  #fill(bucket: Bucket, nowMs: number): void {
    const gained = Math.max(0, nowMs - bucket.atMs) * this.#perMs;
    bucket.atMs = nowMs;
    bucket.tokens = Math.min(this.#burst, bucket.tokens + gained);
  }
}
