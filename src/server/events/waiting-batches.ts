import type { Events } from '../../protocol/node/index.js';
import type { IngestResult, NodeIdentity } from '../gateway/index.js';
import type { Pace } from './pace.js';

/** Each batch costs some 70 µs of its own, whatever is in it: so many in one commit, and the event loop comes round within 50 ms. */
const BATCHES_PER_COMMIT_MAX = 500;
/** Batches of one node that wait; an honest agent has one in flight. */
export const BATCHES_WAITING_MAX = 8;

export interface Waiting {
  readonly node: NodeIdentity;
  readonly batch: Events;
  /** When it came, by `performance.now()`. */
  readonly cameMs: number;
  /** Too many were waiting: it is answered in its turn, and not stored. */
  readonly isRefused: boolean;
  readonly resolve: (result: IngestResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Batches that came and are not stored yet. Nodes take turns, one batch each: who sends much does not
 * stand before who sends little. Of one node the order stays.
 */
export class WaitingBatches {
  readonly #ofNode = new Map<string, Waiting[]>();
  readonly #pace: Pace;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  get isEmpty(): boolean {
    return this.#ofNode.size === 0;
  }

  add(one: Omit<Waiting, 'isRefused'>): void {
    const { nodeId } = one.node;
    const queue = this.#ofNode.get(nodeId);
    if (queue === undefined) {
      this.#ofNode.set(nodeId, [{ ...one, isRefused: false }]);
      return;
    }
    const isRefused = queue.length >= BATCHES_WAITING_MAX;
    // What is not going to be stored is not kept either.
    const batch = isRefused ? { ...one.batch, events: [] } : one.batch;
    queue.push({ ...one, batch, isRefused });
  }

  /** What the next commit stores, up to about so many events; empty when every node has to wait. */
  take(eventsMax: number, nowMs: number): Waiting[] {
    const taken: Waiting[] = [];
    let count = 0;
    let hasMoved = true;
    const isFull = (): boolean => count >= eventsMax || taken.length >= BATCHES_PER_COMMIT_MAX;
    while (hasMoved && !isFull()) {
      hasMoved = false;
      // A node whose turn was goes behind the others: the Map keeps the order of insertion.
      for (const [nodeId, queue] of [...this.#ofNode]) {
        if (isFull()) break;
        if (this.#pace.waitMs(nodeId, nowMs) > 0) continue;
        const one = queue.shift();
        this.#ofNode.delete(nodeId);
        if (queue.length > 0) this.#ofNode.set(nodeId, queue);
        if (one === undefined) continue;
        const { length } = one.batch.events;
        this.#pace.spend(nodeId, length, nowMs);
        count += length;
        taken.push(one);
        hasMoved = true;
      }
    }
    return taken;
  }

  /** How long until some node may go on. */
  waitMs(nowMs: number): number {
    let leastMs = Infinity;
    for (const nodeId of this.#ofNode.keys()) {
      leastMs = Math.min(leastMs, this.#pace.waitMs(nodeId, nowMs));
    }
    return leastMs;
  }
}
