import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { invariant } from '../../../core/kernel/index.js';
import { RedisConnections, redisOptions } from '../redis/connections.js';
import type { RedisLogin } from '../redis/login.js';
import type { Wakeups } from './wakeups.port.js';

const QUEUE = 'wakeups';
/** Handlers at once in this process. */
const RINGING_MAX = 32;
/**
 * A handler whose process was killed is taken over when its lock has run out and a check has seen
 * that twice: within LOCK_MS + 2 * STALLED_CHECK_MS. A process that lives renews it in time.
 */
const LOCK_MS = 4_000;
const STALLED_CHECK_MS = 1_000;
/** After a failure the alarm rings again: 1 s, 2 s, 4 s ... 60 s. */
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** What is wanted for a locked id is tried again so often, until its handler is through. */
const HELD_RETRY_MS = 250;
/** What Redis was not told of yet; more is left to the sweep. */
const UNSENT_MAX = 10_000;
const SEND_BATCH = 100;
const REFUSED_PAUSE_MS = 1_000;
/** What Redis gets to answer while we close; then the connection is cut. */
const CLOSE_GRACE_MS = 2_000;

export interface BullMqOptions {
  readonly url: string;
  /** Certificates (PEM) of whom to trust with TLS; null or left out: whom Node trusts. */
  readonly ca?: string | null;
  /** Passwords out of files, and sentinels. */
  readonly login?: RedisLogin;
  /** Installations on one Redis tell their queues apart by it. */
  readonly prefix: string;
  readonly now: () => number;
  readonly log: Logger;
}

/**
 * Alarms in Redis: they outlive the process, and of all processes on one queue exactly one rings
 * each. The job's id is the id to wake, so there is one job, and one lock, for each. `arm` and
 * `disarm` only note what is wanted, the newest for each id; it is sent when Redis can take it.
 */
export class BullMqWakeups implements Wakeups {
  readonly #options: BullMqOptions;
  readonly #redis: RedisConnections;
  readonly #client: Redis;
  readonly #queue: Queue;
  /** What Redis is to be told: when to wake an id, or null for never. */
  readonly #unsent = new Map<string, number | null>();
  /** Ids that are locked by a handler: what is wanted for them waits until it is through. */
  readonly #held = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  #worker: Worker | null = null;
  #sending: Promise<void> | null = null;
  #heldTimer: NodeJS.Timeout | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: BullMqOptions) {
    this.#options = options;
    this.#redis = new RedisConnections(options.log);
    this.#client = this.#redis.open(redisOptions(options.url, options.ca, options.login));
    this.#redis.checkEviction(this.#client);
    this.#queue = new Queue(QUEUE, {
      connection: this.#client,
      prefix: options.prefix,
      streams: { events: { maxLen: 100 } },
      defaultJobOptions: {
        attempts: Number.MAX_SAFE_INTEGER,
        backoff: { type: 'doubling' },
        removeOnComplete: true,
        removeOnFail: true,
        stackTraceLimit: 0,
      },
    });
    this.#queue.on('error', (error) => this.#redis.complain(error));
  }

  onWake(handler: (id: string) => Promise<void>): void {
    invariant(this.#worker === null, 'a wake-up handler is registered twice');
    const { prefix } = this.#options;
    const worker = new PatientWorker(QUEUE, ({ id = '' }) => this.#ring(id, handler), {
      connection: this.#client,
      prefix,
      concurrency: RINGING_MAX,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      settings: {
        backoffStrategy: (failures) => Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** (failures - 1)),
      },
    });
    worker.on('error', (error) => this.#redis.complain(error));
    worker.on('completed', ({ id = '' }) => this.#release(id));
    worker.on('failed', (job) => {
      if (job?.id === undefined) return;
      // What was disarmed before the failure rings again because of it.
      if (this.#unsent.get(job.id) === null) this.#unsent.delete(job.id);
      this.#release(job.id);
    });
    this.#worker = worker;
  }

  arm(id: string, atMs: number): void {
    this.#want(id, atMs);
  }

  disarm(id: string): void {
    this.#want(id, null);
  }

  /** How many ids Redis was not told of yet; at most 10 000. */
  get unsent(): number {
    return this.#unsent.size;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  #want(id: string, atMs: number | null): void {
    if (this.#closing !== null) return;
    if (this.#unsent.size >= UNSENT_MAX && !this.#unsent.has(id)) return;
    this.#unsent.set(id, atMs);
    this.#send();
  }

  #send(): void {
    if (this.#sending !== null || this.#nextBatch().length === 0) return;
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = null;
      // Something may have come in between the last look and now.
      this.#send();
    });
  }

  async #sendAll(): Promise<void> {
    for (let batch = this.#nextBatch(); batch.length > 0; batch = this.#nextBatch()) {
      for (const [id] of batch) this.#unsent.delete(id);
      await Promise.all(batch.map(([id, atMs]) => this.#sendOne(id, atMs)));
    }
  }

  #nextBatch(): [id: string, atMs: number | null][] {
    const batch: [string, number | null][] = [];
    for (const entry of this.#unsent) {
      if (!this.#isHeld(entry[0])) batch.push(entry);
      if (batch.length === SEND_BATCH) break;
    }
    return batch;
  }

  /** What fails here is lost, as an alarm may be. */
  async #sendOne(id: string, atMs: number | null): Promise<void> {
    try {
      const isFree = (await this.#queue.remove(id)) === 1;
      // Something newer may be wanted by now: then that is sent next, and this not at all.
      const isLatest = !this.#unsent.has(id);
      if (!isFree) {
        if (isLatest) this.#unsent.set(id, atMs);
        this.#hold(id);
      } else if (isLatest && atMs !== null) {
        const delay = Math.max(0, atMs - this.#options.now());
        await this.#queue.add('wake', {}, { jobId: id, delay });
      }
    } catch (error) {
      this.#redis.complain(error as Error);
    }
  }

  #isHeld(id: string): boolean {
    return this.#held.has(id) || this.#running.has(id);
  }

  #hold(id: string): void {
    this.#held.add(id);
    this.#heldTimer ??= setTimeout(() => {
      this.#heldTimer = null;
      this.#held.clear();
      this.#send();
    }, HELD_RETRY_MS).unref();
  }

  #release(id: string): void {
    this.#held.delete(id);
    if (this.#unsent.has(id)) this.#send();
  }

  async #ring(id: string, handler: (id: string) => Promise<void>): Promise<void> {
    // A lock can be lost, with Redis itself or while this process stood still: not twice at once.
    while (this.#running.has(id)) await this.#running.get(id);
    const run = handler(id);
    const over = run
      .catch(() => undefined)
      .finally(() => {
        this.#running.delete(id);
        // Normally BullMQ says in a moment that the lock is gone; not when Redis has forgotten it.
        if (this.#unsent.has(id)) this.#hold(id);
      });
    this.#running.set(id, over);
    try {
      await run;
    } catch (error) {
      this.#options.log.error({ err: error, id }, 'wake-up failed; it will ring again');
      // BullMQ stores what it is thrown, and Redis need not know.
      throw new Error('the handler failed', { cause: error });
    }
  }

  async #close(): Promise<void> {
    this.#redis.silence();
    if (!this.#redis.isAway) await within(CLOSE_GRACE_MS, this.#sending);
    this.#unsent.clear();
    if (this.#heldTimer !== null) clearTimeout(this.#heldTimer);
    // It takes no new job from here on, and waits for those that run.
    const stopped = this.#worker?.close();
    await this.#settled();
    if (!this.#redis.isAway) await within(CLOSE_GRACE_MS, stopped);
    // One that was on its way from Redis when we stopped may have begun since.
    await this.#settled();
    this.#redis.end();
    await within(CLOSE_GRACE_MS, Promise.all([stopped, this.#queue.close()]));
  }

  async #settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }
}

/** A server that refuses every step, because it is full for example, is not asked without pause. */
class PatientWorker extends Worker {
  protected override async moveToActive(token: string, name?: string) {
    try {
      return await super.moveToActive(token, name);
    } catch (error) {
      if (this.closing === undefined) await sleep(REFUSED_PAUSE_MS);
      throw error;
    }
  }
}

/** Waits for work, but no longer than this. What becomes of it later is nobody's concern. */
async function within(ms: number, work: Promise<unknown> | null | undefined): Promise<void> {
  if (work === null || work === undefined) return;
  const { promise, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(() => resolve(null), ms);
  await Promise.race([promise, work.catch(() => null)]);
  clearTimeout(timer);
}
