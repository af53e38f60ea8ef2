import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { Logger } from 'pino';
import { SECOND_MS } from '../../../core/kernel/index.js';
import { type Clock, CLOCK, Database, LOGGER } from '../../platform/index.js';
import type { Wakeups } from '../../platform/queue/index.js';
import { EventSource } from './event-source.js';
import { Receivers } from './receivers.js';
import { LostLease, SinkRun, type RunEnd } from './sink-run.js';
import { dueSinks, endLease, renewLease, takeSink, type SinkRecord } from './sinks.store.js';

export const SINK_WAKEUPS = Symbol('sink wake-ups');

/**
 * Who delivers a sink says so this often, and is believed for so long: a manager that was killed is relieved
 * within LEASE_MS and one look.
 */
export const LEASE_MS = 6 * SECOND_MS;
const RENEW_EVERY_MS = 2 * SECOND_MS;
/** How often the database is asked for sinks that nobody was woken for. */
const LOOK_EVERY_MS = SECOND_MS;
/** Commits that come close together wake the sinks once. */
const NUDGE_MS = 25;
/** Sinks that one look takes up; the next goes on. */
const DUE_MAX = 100;
/** What runs gets so long to come to its end when the manager stops. */
const STOP_GRACE_MS = 2 * SECOND_MS;

interface Running {
  readonly stop: AbortController;
  /** Something was appended meanwhile: look once more before the lease is given back. */
  isWanted: boolean;
}

/**
 * One loop a sink over all managers: who takes the lease of a sink delivers it. Woken by what is appended
 * here, by the queue, and by a look at the database each second, which finds all that was lost. Every sink
 * runs for itself; one that hangs holds up none of the others.
 */
@Injectable()
export class SinkLoops implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #running = new Map<string, Running>();
  readonly #ends = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | null = null;
  #nudge: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #isStopping = false;

  constructor(
    private readonly database: Database,
    private readonly source: EventSource,
    private readonly receivers: Receivers,
    @Inject(SINK_WAKEUPS) private readonly wakeups: Wakeups,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {
    // Returns at once: a sink that hangs must not take a place of the queue.
    wakeups.onWake(async (id) => this.#start(id));
  }

  onApplicationBootstrap(): void {
    const forget = this.source.onAppended(() => this.#appended());
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
    this.#forget = forget;
    this.look();
  }
  #forget: () => void = () => undefined;

  async beforeApplicationShutdown(): Promise<void> {
    this.#isStopping = true;
    this.#forget();
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#nudge !== null) clearTimeout(this.#nudge);
    await this.wakeups.close();
    await this.#looking;
    const all = Promise.allSettled(this.#ends);
    const patience = new AbortController();
    await Promise.race([
      all,
      sleep(STOP_GRACE_MS, undefined, { signal: patience.signal }).catch(() => undefined),
    ]);
    patience.abort();
    for (const { stop } of this.#running.values()) stop.abort();
    await all;
  }

  /** Wakes a sink now: it was changed, resumed or has a letter to replay. */
  wake(id: string): void {
    this.wakeups.arm(id, this.clock.now());
  }

  /** Ends its run in this manager, if there is one; in others it ends with the next renewal. */
  interrupt(id: string): void {
    this.#running.get(id)?.stop.abort();
  }

  /** Takes up every sink that is due. Never rejects. */
  look(): void {
    if (this.#isStopping) return;
    this.#looking ??= dueSinks(this.database.read, this.clock.now(), DUE_MAX)
      .then(
        (ids) => ids.forEach((id) => this.#start(id)),
        (error: unknown) => this.log.warn({ err: error }, 'sinks could not be looked up'),
      )
      .finally(() => (this.#looking = null));
  }

  #appended(): void {
    this.#nudge ??= setTimeout(() => {
      this.#nudge = null;
      for (const running of this.#running.values()) running.isWanted = true;
      void this.#wakeDue();
    }, NUDGE_MS);
  }

  async #wakeDue(): Promise<void> {
    if (this.#isStopping) return;
    try {
      const now = this.clock.now();
      for (const id of await dueSinks(this.database.read, now, DUE_MAX)) this.wakeups.arm(id, now);
    } catch (error) {
      this.log.warn({ err: error }, 'sinks could not be woken; the next look finds them');
    }
  }

  #start(id: string): void {
    if (this.#isStopping) return;
    const running = this.#running.get(id);
    if (running !== undefined) {
      running.isWanted = true;
      return;
    }
    const mine: Running = { stop: new AbortController(), isWanted: false };
    this.#running.set(id, mine);
    const end = this.#lead(id, mine)
      .catch((error: unknown) =>
        this.log.error({ err: error, sink: id }, 'a sink could not be led'),
      )
      .finally(() => {
        this.#running.delete(id);
        this.#ends.delete(end);
        // Woken between its last look at the log and now.
        if (mine.isWanted) this.look();
      });
    this.#ends.add(end);
  }

  async #lead(id: string, running: Running): Promise<void> {
    const owner = randomUUID();
    const until = this.clock.now() + LEASE_MS;
    const lease = { owner, now: this.clock.now(), until };
    const sink = await this.database.transaction((tx) => takeSink(tx, id, lease));
    if (sink === null) return;
    const renewing = this.#keep(sink, running.stop);
    try {
      await this.#deliver(sink, running);
    } catch (error) {
      if (!(error instanceof LostLease)) throw error;
    } finally {
      clearInterval(renewing);
      await this.database
        .transaction((tx) => endLease(tx, id, owner))
        .catch((error: unknown) => this.log.warn({ err: error }, 'a lease runs out by itself'));
    }
  }

  async #deliver(sink: SinkRecord, running: Running): Promise<void> {
    const receiver = this.receivers.open(sink);
    const parts = {
      database: this.database,
      source: this.source,
      receiver,
      now: () => this.clock.now(),
      chance: () => Math.random(),
      isEnding: () => this.#isStopping,
    };
    try {
      let current = sink;
      let end: RunEnd;
      do {
        running.isWanted = false;
        const run = new SinkRun(current, parts, running.stop.signal);
        end = await run.run();
        current = { ...current, place: run.place };
      } while (end === 'caught_up' && isWanted(running));
      if (end === 'failed') this.#told(current);
    } finally {
      await receiver.close();
    }
  }

  #told({ id, place }: SinkRecord): void {
    this.wakeups.arm(id, place.circuit.nextTryAt);
    const { code, message } = place.error ?? { code: '', message: '' };
    const { state, failures } = place.circuit;
    this.log.warn({ sink: id, code, failures, circuit: state }, `a sink fails: ${message}`);
  }

  /** While the lease cannot be renewed nothing may be sent that another might be sending too. */
  #keep(sink: SinkRecord, stop: AbortController): NodeJS.Timeout {
    let sureUntil = performance.now() + LEASE_MS;
    const renew = async (): Promise<void> => {
      const asked = performance.now();
      const until = this.clock.now() + LEASE_MS;
      const isOurs = await this.database.transaction((tx) => renewLease(tx, sink, until));
      if (isOurs) sureUntil = asked + LEASE_MS;
      else stop.abort();
    };
    return setInterval(() => {
      if (performance.now() > sureUntil) stop.abort();
      if (stop.signal.aborted) return;
      renew().catch((error: unknown) => this.log.warn({ err: error }, 'a lease was not renewed'));
    }, RENEW_EVERY_MS);
  }
}

const isWanted = ({ isWanted: wanted, stop }: Running): boolean => wanted && !stop.signal.aborted;
