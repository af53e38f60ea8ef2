import { meters } from '../telemetry/index.js';
import type { Clock } from '../tokens.js';
import type { Wakeups } from './wakeups.port.js';

/** Ids whose moment is remembered; of more, only how late they ring is not told. */
const ARMED_MAX = 10_000;

/** The same alarms, and what they do is counted: how many rang, how late, and how it ended. */
export class MeteredWakeups implements Wakeups {
  readonly #inner: Wakeups;
  readonly #queue: string;
  readonly #now: () => number;
  readonly #armed = new Map<string, number>();
  readonly #stopTelling: () => void;

  constructor(inner: Wakeups, queue: 'rollouts' | 'sources', clock: Clock) {
    this.#inner = inner;
    this.#queue = queue;
    this.#now = () => clock.now();
    this.#stopTelling = meters.atScrape(() => {
      meters.set('bellwether_wakeups_unsent', inner.unsent ?? 0, queue);
    });
  }

  arm(id: string, atMs: number): void {
    if (this.#armed.size < ARMED_MAX || this.#armed.has(id)) {
      this.#armed.set(id, Math.max(atMs, this.#now()));
    }
    this.#inner.arm(id, atMs);
  }

  disarm(id: string): void {
    this.#armed.delete(id);
    this.#inner.disarm(id);
  }

  onWake(handler: (id: string) => Promise<void>): void {
    this.#inner.onWake(async (id) => {
      const dueMs = this.#armed.get(id);
      this.#armed.delete(id);
      if (dueMs !== undefined) {
        const lateMs = Math.max(0, this.#now() - dueMs);
        meters.observe('bellwether_wakeup_delay_seconds', lateMs / 1_000, this.#queue);
      }
      try {
        await handler(id);
        meters.count('bellwether_wakeups_rung_total', this.#queue, 'done');
      } catch (error) {
        meters.count('bellwether_wakeups_rung_total', this.#queue, 'failed');
        throw error;
      }
    });
  }

  close(): Promise<void> {
    this.#stopTelling();
    return this.#inner.close();
  }
}
