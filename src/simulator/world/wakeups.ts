import type { Agenda, Appointment } from './agenda.js';
import type { Chance } from './chance.js';
import type { Faults } from './faults.js';
import type { Wakeups } from './parts.js';

const RETRY_MS = 1_000;

export interface AlarmOptions {
  readonly agenda: Agenda;
  readonly faults: Faults;
  readonly chance: Chance;
  /** Loses every alarm: for the mutant that also has no sweep. */
  readonly losesAll: boolean;
  readonly onError: (error: unknown) => void;
}

/** The alarm clock of the manager under virtual time: loses, doubles, is early and late. */
export class SimulatedWakeups implements Wakeups {
  readonly #options: AlarmOptions;
  readonly #alarms = new Map<string, Appointment>();
  readonly #running = new Set<string>();
  #handler: ((id: string) => Promise<void>) | null = null;
  #isClosed = false;

  constructor(options: AlarmOptions) {
    this.#options = options;
  }

  onWake(handler: (id: string) => Promise<void>): void {
    this.#handler = handler;
  }

  arm(id: string, atMs: number): void {
    this.disarm(id);
    const { faults, chance, agenda, losesAll } = this.#options;
    if (this.#isClosed || losesAll || faults.hit('wakeup_lost')) return;
    let at = atMs;
    if (faults.hit('wakeup_late')) at = Math.max(at, agenda.now) + chance.spread(100, 600_000);
    else if (faults.hit('wakeup_early')) at -= chance.spread(100, 600_000);
    this.#set(id, at);
    if (faults.hit('wakeup_doubled')) agenda.at(at + chance.int(0, 5_000), () => this.#ring(id));
  }

  disarm(id: string): void {
    const alarm = this.#alarms.get(id);
    if (alarm !== undefined) alarm.isOff = true;
    this.#alarms.delete(id);
  }

  close(): Promise<void> {
    this.stop();
    return Promise.resolve();
  }

  /** Nothing rings any more. */
  stop(): void {
    this.#isClosed = true;
    for (const id of [...this.#alarms.keys()]) this.disarm(id);
  }

  #set(id: string, at: number): void {
    this.#alarms.set(
      id,
      this.#options.agenda.at(at, () => {
        this.#alarms.delete(id);
        return this.#ring(id);
      }),
    );
  }

  async #ring(id: string): Promise<void> {
    if (this.#isClosed || this.#handler === null || this.#running.has(id)) return;
    this.#running.add(id);
    try {
      await this.#handler(id);
    } catch (error) {
      this.#options.onError(error);
      // As the port promises: it rings again, unless a new alarm was set meanwhile.
      if (!this.#alarms.has(id) && !this.#options.losesAll) {
        this.#set(id, this.#options.agenda.now + RETRY_MS);
      }
    } finally {
      this.#running.delete(id);
    }
  }
}
