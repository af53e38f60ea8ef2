import { EVENTS_PER_BATCH_MAX, type NodeEvent } from '../../protocol/node/index.js';
import type { SpoolEvent } from './parts.js';

/** A node that was never heard keeps this much; older events are dropped, and the manager is told of the gap. */
const KEPT_MAX = 1_000;

export interface KeptSpool {
  readonly id: string;
  readonly made: number;
  readonly events: readonly NodeEvent[];
}

/** The spool of one node, in memory: numbers without gaps, kept until they are acknowledged. */
export class LiveSpool {
  readonly id: string;
  #events: NodeEvent[] = [];
  #made = 0;

  constructor(id: string, kept?: KeptSpool) {
    this.id = kept?.id ?? id;
    this.#made = kept?.made ?? 0;
    this.#events = [...(kept?.events ?? [])];
  }

  get kept(): KeptSpool {
    return { id: this.id, made: this.#made, events: this.#events };
  }

  get made(): number {
    return this.#made;
  }
  get backlog(): number {
    return this.#events.length;
  }
  get firstSeq(): number {
    return this.#made - this.#events.length + 1;
  }
  get nextSeq(): number {
    return this.#made + 1;
  }

  append(event: SpoolEvent): NodeEvent {
    this.#made += 1;
    const made = { seq: this.#made, ...event };
    this.#events.push(made);
    if (this.#events.length > KEPT_MAX) this.#events.shift();
    return made;
  }

  /** What is to be sent next, the oldest first. */
  batch(): readonly NodeEvent[] {
    return this.#events.slice(0, EVENTS_PER_BATCH_MAX);
  }

  /** How many it was that are durable now. */
  acknowledge(through: number): number {
    if (through > this.#made) return 0;
    const done = Math.max(0, through - this.firstSeq + 1);
    if (done > 0) this.#events = this.#events.slice(done);
    return done;
  }
}
