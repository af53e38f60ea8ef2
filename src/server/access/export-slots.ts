import { FleetError } from '../../core/kernel/index.js';

/** Exports of one caller at once; more is a script gone wild. */
export const EXPORTS_EACH_MAX = 2;
/** Of all. Each holds one page of entries, some 4 MB at the most. */
export const EXPORTS_MAX = 16;

/** How many exports are sent at once. Nobody waits inside the manager: who finds no room comes again. */
export class ExportSlots {
  readonly #open = new Map<string, number>();

  /** Gives the way to give it back; call that once. Throws `rate_limited`. */
  begin(callerId: string): () => void {
    const own = this.#open.get(callerId) ?? 0;
    const all = [...this.#open.values()].reduce((sum, count) => sum + count, 0);
    if (own >= EXPORTS_EACH_MAX || all >= EXPORTS_MAX) {
      throw new FleetError(
        'rate_limited',
        `at most ${EXPORTS_EACH_MAX} exports of one caller and ${EXPORTS_MAX} in all are sent at once`,
        { context: { retry_after_seconds: 5 } },
      );
    }
    this.#open.set(callerId, own + 1);
    return () => {
      const left = (this.#open.get(callerId) ?? 1) - 1;
      if (left === 0) this.#open.delete(callerId);
      else this.#open.set(callerId, left);
    };
  }
}
