/**
 * Which loops turn. A loop says, as it turns, within what time it will turn again; one that is late stands still,
 * whatever it waits for.
 */
export class Pulse {
  readonly #nowMs: () => number;
  readonly #dueMs = new Map<string, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  beat(loop: string, withinMs: number): void {
    this.#dueMs.set(loop, this.#nowMs() + withinMs);
  }

  /** It has ended, as it should. */
  end(loop: string): void {
    this.#dueMs.delete(loop);
  }

  get late(): readonly string[] {
    const nowMs = this.#nowMs();
    return [...this.#dueMs].flatMap(([loop, dueMs]) => (dueMs < nowMs ? [loop] : []));
  }
}
