/** So long counts; what a node does that was restarted, or changed its network, is over by then. */
const WINDOW_MS = 60_000;
/** An honest node comes back this often in a minute at most: its back-off doubles from a second. */
export const TAKEOVERS_MAX = 6;
/** Nodes that are looked after; only those are kept that had a link while a newer one came. */
const NODES_MAX = 10_000;

interface Count {
  readonly sinceMs: number;
  readonly count: number;
}

/**
 * How often a newer link of a node took over from one that was open. Two programs with one identity would throw each
 * other out for ever; so after some times the one that is here stays, until the other has been quiet for a minute.
 */
export class Takeovers {
  readonly #counts = new Map<string, Count>();

  /** One more; gives how many that makes within the minute. */
  count(nodeId: string, nowMs: number): number {
    const known = this.#known(nodeId, nowMs);
    const count = known === null ? 1 : known.count + 1;
    this.#counts.delete(nodeId);
    this.#counts.set(nodeId, { sinceMs: known?.sinceMs ?? nowMs, count });
    for (const [old, { sinceMs }] of this.#counts) {
      if (this.#counts.size <= NODES_MAX && nowMs - sinceMs < WINDOW_MS) break;
      this.#counts.delete(old);
    }
    return count;
  }

  /** How long a newer link has to wait while an older one is open; 0 when it need not. */
  waitMs(nodeId: string, nowMs: number): number {
    const known = this.#known(nodeId, nowMs);
    if (known === null || known.count < TAKEOVERS_MAX) return 0;
    return known.sinceMs + WINDOW_MS - nowMs;
  }

  #known(nodeId: string, nowMs: number): Count | null {
    const known = this.#counts.get(nodeId);
    return known === undefined || nowMs - known.sinceMs >= WINDOW_MS ? null : known;
  }
}
