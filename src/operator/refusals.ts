import { setTimeout as sleep } from 'node:timers/promises';
import type { OutboxEvent } from '../core/update/index.js';
import type { Log } from '../agent/parts/index.js';
import type { RefusalBox, Refused } from './refusal-box.js';

export const REFUSALS_MS = 15_000;
/** Of a workload that has no node for so long nobody will hear. */
const WAITING_MS_MAX = 24 * 3_600_000;

/** Tells the event through the node of a workload: null without one, else whether the manager has all that was told. */
export type Teller = (workload: string, event: OutboxEvent) => Promise<boolean | null>;

export interface RefusalsOptions {
  readonly box: RefusalBox;
  readonly tell: Teller;
  readonly log: Log;
  readonly everyMs?: number | undefined;
  readonly clock: { now(): number };
}

/**
 * Brings to the manager what the webhook refused, as events of the nodes of the workloads. At least
 * once: an entry stays in the box until the manager has it; a spool leaves out an id that it has had.
 */
export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { everyMs = REFUSALS_MS, log } = this.#options;
    const { signal } = this.#stopping;
    for (;;) {
      await sleep(everyMs, null, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#once();
      } catch (error) {
        log('what the webhook refused cannot be told', { error: String(error) });
      }
    }
  }

  async #once(): Promise<void> {
    const { box, tell, clock, log } = this.#options;
    const done: Refused[] = [];
    for (const refused of await box.read()) {
      // One workload that cannot be told about holds up no other.
      const isTold = await tell(refused.workload, eventOf(refused)).catch((error: unknown) => {
        log('a refusal cannot be told', { workload: refused.workload, error: String(error) });
        return false;
      });
      const isOld = clock.now() - Date.parse(refused.last_at) > WAITING_MS_MAX;
      if (isTold === true || (isTold === null && isOld)) done.push(refused);
    }
    if (done.length > 0) await box.take(done);
  }
}

/** The count is part of the id: more of the same is another event. */
const eventOf = (refused: Refused): OutboxEvent => ({
  id: `${refused.id}:${refused.count}`,
  at: refused.last_at,
  type: 'admission_refused',
  severity: 'critical',
  command_id: null,
  message: refused.message,
  details: {
    error_code: refused.code,
    workload: refused.workload,
    pod: refused.pod,
    container: refused.container,
    image: refused.image,
    mode: refused.mode,
    count: refused.count,
    first_at: refused.first_at,
  },
});
