/** Appointments are kept with others of the same twentieth of a second or so: one timer serves all nodes. */
const TURN_MS = 20;

export interface Slot {
  readonly turn: number;
  readonly work: () => void;
}

/**
 * The timer of all nodes of a process. A timer of Node's own for each of ten thousand heartbeats would
 * cost more than the heartbeats. Late by a turn at most, never early.
 */
export class Wheel {
  readonly #turns = new Map<number, Set<Slot>>();
  readonly #startedAt = performance.now();
  #turn = 0;
  #timer: NodeJS.Timeout | null = null;

  /** Does `work` after so many ms. */
  in(ms: number, work: () => void): Slot {
    this.#timer ??= setInterval(() => {
      this.#go();
    }, TURN_MS);
    const turn = Math.max(
      this.#turn + 1,
      Math.ceil((performance.now() - this.#startedAt + ms) / TURN_MS),
    );
    const slot: Slot = { turn, work };
    const others = this.#turns.get(turn);
    if (others === undefined) this.#turns.set(turn, new Set([slot]));
    else others.add(slot);
    return slot;
  }

  /** Idempotent; for a slot that is over, too. */
  cancel(slot: Slot | null): void {
    if (slot !== null) this.#turns.get(slot.turn)?.delete(slot);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#turns.clear();
  }

  #go(): void {
    const until = Math.floor((performance.now() - this.#startedAt) / TURN_MS);
    while (this.#turn < until) {
      this.#turn += 1;
      const due = this.#turns.get(this.#turn);
      if (due === undefined) continue;
      this.#turns.delete(this.#turn);
      for (const { work } of due) work();
    }
  }
}
