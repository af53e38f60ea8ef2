import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import type { Logger } from 'pino';
import { FleetError, SECOND_MS } from '../../../core/kernel/index.js';
import { ERRORS, isErrorCode } from '../../../protocol/index.js';
import { Credentials } from '../../access/index.js';
import { Database, LOGGER, type Caller } from '../../platform/index.js';
import type { EventWanted } from '../event-search.js';
import { EventViews, type AskedOfEvents } from '../event-views.js';
import { Feed } from './feed.js';
import { Tail } from './tail.js';

/** One reader needs one stream; a few more for those that he forgot to close. */
export const STREAMS_PER_CREDENTIAL_MAX = 10;
/** Of this process. */
export const STREAMS_MAX = 1_000;
/** How long somebody may go on reading whose credential or role has ended. */
const STANDING_MS = 2 * SECOND_MS;
/** When that cannot be found out for so long, streams end. */
const STANDING_UNKNOWN_MS_MAX = 15 * SECOND_MS;

/** How long a reader may leave things be before he is sent away, told where to resume. */
export interface Patience {
  /** Taking what was written. */
  slowMs: number;
  /** Granting credit again, once it is used up. */
  creditMs: number;
}

/** What ends a stream from outside. */
export interface StreamEnd {
  readonly code: string;
  readonly message: string;
}

export const endOf = (error: unknown): StreamEnd => {
  const isOurs = error instanceof FleetError && isErrorCode(error.code);
  if (!isOurs) return { code: 'internal_error', message: ERRORS.internal_error.meaning };
  return { code: error.code, message: error.message };
};

/** One open stream: who reads, what, and since when it is over. */
export class Stream {
  readonly caller: Caller;
  readonly asked: AskedOfEvents;
  readonly feed: Feed;
  /** Resolves with why, once. */
  readonly ended: Promise<StreamEnd>;
  /** For the tail: there is more to take. */
  readonly wake: () => void;
  readonly #end = Promise.withResolvers<StreamEnd>();
  #isOver = false;
  #isWoken = false;
  #resume: (() => void) | null = null;

  constructor(caller: Caller, asked: AskedOfEvents, feed: Feed) {
    this.caller = caller;
    this.asked = asked;
    this.feed = feed;
    this.ended = this.#end.promise;
    this.wake = () => {
      this.#isWoken = true;
      this.#resume?.();
    };
  }

  /**
   * Until there may be more, or the stream is over, or the time is up. One waits at a time, and what happened since
   * the last time counts; nothing is left behind by waiting, however often.
   */
  wait(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(() => this.#resume?.(), ms);
      this.#resume = () => {
        clearTimeout(timer);
        this.#isWoken = false;
        this.#resume = null;
        resolve();
      };
      if (this.#isWoken || this.#isOver) this.#resume();
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  end(end: StreamEnd): void {
    this.#isOver = true;
    this.#end.resolve(end);
    this.wake();
  }
}

/**
 * The open streams of this process, over whichever transport. Every two seconds each reader is asked about again:
 * whose token was revoked or has expired, or who lost the role, reads no further, also when that was done
 * through another manager.
 */
@Injectable()
export class Streams implements BeforeApplicationShutdown, OnModuleDestroy {
  /** A spec has less of it. */
  readonly patience: Patience = { slowMs: 30 * SECOND_MS, creditMs: 600 * SECOND_MS };
  /** With what wakes each. */
  readonly #open = new Map<Stream, () => void>();
  /** Also those that are being opened. */
  readonly #counts = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #unknownSinceMs: number | null = null;
  #isStopping = false;

  constructor(
    private readonly database: Database,
    private readonly credentials: Credentials,
    private readonly views: EventViews,
    private readonly tail: Tail,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  extent(): Promise<{ readonly oldest: number; readonly newest: number }> {
    return this.views.extent(this.database.read);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Throws `too_many_streams`, or `unavailable` while the manager stops. */
  requireRoom(credentialId: string): void {
    if (this.#isStopping) throw new FleetError('unavailable', 'the manager is stopping');
    if ((this.#counts.get(credentialId) ?? 0) >= STREAMS_PER_CREDENTIAL_MAX) {
      throw new FleetError(
        'too_many_streams',
        `this credential has ${STREAMS_PER_CREDENTIAL_MAX} open streams`,
      );
    }
    const all = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    if (all >= STREAMS_MAX) {
      throw new FleetError('too_many_streams', 'the manager has as many streams as it takes');
    }
  }

  /**
   * Opens one after an id, or from now on. Throws as `requireRoom`, and `events_pruned` or `not_found`. Whoever
   * opens one closes it, whatever happens.
   */
  async open(caller: Caller, asked: AskedOfEvents, after: number | undefined): Promise<Stream> {
    this.requireRoom(caller.id);
    this.#count(caller.id, 1);
    // Known to the tail before it is made: nothing that happens meanwhile is missed.
    const known: { stream: Stream | null } = { stream: null };
    const wake = (): void => known.stream?.wake();
    try {
      const wanted = await this.views.wanted(caller, asked);
      const newest = await this.tail.join(wake);
      const start = await this.views.start(this.database.read, after ?? newest);
      const world = { sql: this.database.read, tail: this.tail, views: this.views };
      const stream = new Stream(caller, asked, new Feed(world, wanted, start.after));
      known.stream = stream;
      this.#open.set(stream, wake);
      this.#timer ??= setInterval(() => void this.look(), STANDING_MS).unref();
      return stream;
    } catch (error) {
      this.tail.leave(wake);
      this.#count(caller.id, -1);
      throw error;
    }
  }

  /** Idempotent. */
  close(stream: Stream): void {
    const wake = this.#open.get(stream);
    if (wake === undefined) return;
    this.#open.delete(stream);
    stream.end({ code: 'closed', message: 'closed' });
    this.tail.leave(wake);
    this.#count(stream.caller.id, -1);
  }

  /** Asks about every reader again. */
  async look(): Promise<void> {
    const nowMs = performance.now();
    try {
      for (const stream of [...this.#open.keys()]) await this.#ask(stream);
      this.#unknownSinceMs = null;
    } catch (error) {
      this.#unknownSinceMs ??= nowMs;
      this.logger.warn({ err: error }, 'readers of events could not be looked up');
      if (nowMs - this.#unknownSinceMs < STANDING_UNKNOWN_MS_MAX) return;
      for (const stream of this.#open.keys()) stream.end(endOf(error));
    }
  }

  async #ask(stream: Stream): Promise<void> {
    const grants = await this.credentials.grantsNow(stream.caller);
    const groups =
      grants === null ? null : await this.#groups(stream, { ...stream.caller, grants });
    if (groups === null || groups.length === 0) {
      stream.end({ code: 'stream_access_ended', message: 'the credential or its role has ended' });
    } else {
      stream.feed.narrow(groups);
    }
  }

  async #groups(stream: Stream, caller: Caller): Promise<EventWanted['groups'] | null> {
    try {
      return await this.views.visible(caller, stream.asked.group_id);
    } catch (error) {
      if (error instanceof FleetError && error.kind === 'user') return null;
      throw error;
    }
  }

  beforeApplicationShutdown(): void {
    this.#isStopping = true;
    for (const stream of this.#open.keys()) {
      stream.end({ code: 'unavailable', message: 'the manager is stopping' });
    }
  }

  onModuleDestroy(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #count(credentialId: string, by: 1 | -1): void {
    const count = (this.#counts.get(credentialId) ?? 0) + by;
    if (count === 0) this.#counts.delete(credentialId);
    else this.#counts.set(credentialId, count);
  }
}
