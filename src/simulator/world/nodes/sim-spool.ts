import type { Events, NodeEvent } from '../../../protocol/node/index.js';
import type { SpoolEvent } from '../parts.js';

/** So many ids are remembered against doubles, as by the spool of the agent. */
const REMEMBERED_MAX = 1_000;
const BATCH_MAX = 20;

/** The agent's spool with memory for a disk: numbers without gaps, doubles dropped by id. */
export class SimSpool {
  readonly id: string;
  /** Everything that ever got a number, for the invariants: index is sequence - 1. */
  readonly all: NodeEvent[] = [];
  readonly #ids = new Set<string>();
  #acked = 0;
  #droppedThrough = 0;

  constructor(id: string) {
    this.id = id;
  }

  get firstSeq(): number {
    return Math.max(this.#acked, this.#droppedThrough) + 1;
  }

  get nextSeq(): number {
    return this.all.length + 1;
  }

  get backlog(): number {
    return this.nextSeq - this.firstSeq;
  }

  append(events: readonly { readonly id: string; readonly event: SpoolEvent }[]): void {
    for (const { id, event } of events) {
      if (this.#ids.has(id)) continue;
      this.#ids.add(id);
      this.all.push({ seq: this.nextSeq, ...event });
    }
    for (const id of this.#ids) {
      if (this.#ids.size <= REMEMBERED_MAX) break;
      this.#ids.delete(id);
    }
  }

  /** What follows a number; `isGap` when that is not here any more. */
  read(after: number): { readonly events: Events['events']; readonly isGap: boolean } {
    if (after < this.#droppedThrough) return { events: [], isGap: true };
    return { events: this.all.slice(after, after + BATCH_MAX), isGap: false };
  }

  acknowledge(through: number): void {
    if (through > this.#acked && through < this.nextSeq) this.#acked = through;
  }

  /** There was no room: of what waits the older half is gone, but never the newest. */
  overflow(): number {
    const lost = Math.floor(this.backlog / 2);
    this.#droppedThrough = this.firstSeq + lost - 1;
    return lost;
  }
}
