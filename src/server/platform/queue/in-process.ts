import type { Logger } from 'pino';
import { invariant } from '../../../core/kernel/index.js';
import type { Wakeups } from './wakeups.port.js';

/** setTimeout takes 2^31-1 ms at most; a later alarm is armed again on the way. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** After a failure the alarm rings again: 1 s, 2 s, 4 s ... 60 s. */
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 60_000;

interface Alarm {
  atMs: number;
  timer: NodeJS.Timeout;
  failures: number;
}

/** Timers of this process: exact to a few ms, gone with the process (the sweep arms them anew). */
export class InProcessWakeups implements Wakeups {
  readonly #alarms = new Map<string, Alarm>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #now: () => number;
  readonly #log: Logger;
  #handler: ((id: string) => Promise<void>) | null = null;
  #closed = false;

  constructor(now: () => number, log: Logger) {
    this.#now = now;
    this.#log = log;
  }

  onWake(handler: (id: string) => Promise<void>): void {
    invariant(this.#handler === null, 'a wake-up handler is registered twice');
    this.#handler = handler;
  }

  arm(id: string, atMs: number): void {
    this.#arm(id, atMs, 0);
  }

  disarm(id: string): void {
    const alarm = this.#alarms.get(id);
    if (alarm !== undefined) clearTimeout(alarm.timer);
    this.#alarms.delete(id);
  }

  /** Waits for handlers that run; arms nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const id of [...this.#alarms.keys()]) this.disarm(id);
    await Promise.all(this.#running.values());
  }

  #arm(id: string, atMs: number, failures: number): void {
    if (this.#closed) return;
    this.disarm(id);
    const delayMs = Math.min(TIMEOUT_MS_MAX, Math.max(0, atMs - this.#now()));
    const timer = setTimeout(() => {
      this.#ring(id);
    }, delayMs);
    timer.unref();
    this.#alarms.set(id, { atMs, timer, failures });
  }

  #ring(id: string): void {
    const alarm = this.#alarms.get(id);
    if (alarm === undefined || this.#handler === null) return;
    if (alarm.atMs > this.#now() || this.#running.has(id)) {
      this.#arm(id, Math.max(alarm.atMs, this.#now() + 5), alarm.failures);
      return;
    }
    this.#alarms.delete(id);
    const run = this.#handler(id)
      .catch((error: unknown) => {
        this.#log.error({ err: error, id }, 'wake-up failed; it will ring again');
        const waitMs = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** alarm.failures);
        if (!this.#alarms.has(id)) this.#arm(id, this.#now() + waitMs, alarm.failures + 1);
      })
      .finally(() => this.#running.delete(id));
    this.#running.set(id, run);
  }
}
