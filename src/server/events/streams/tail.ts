import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import { Database, LOGGER } from '../../platform/index.js';
import { EventLog } from '../event-log.js';
import { rowsIn } from '../event-search.js';
import { Stretch, type TailItem } from './stretch.js';

const PAGE = 500;
/** On PostgreSQL another manager may have committed: it is looked for this often. */
const LOOK_MS = 200;
/** After an error the next look; readers stay where they are meanwhile. */
const RETRY_MS = 1_000;

/**
 * The end of the log, read once for all live readers of this process. It holds a bounded stretch and no queue
 * for anybody: each reader has a cursor, and finds what comes after it here or in SQL.
 */
@Injectable()
export class Tail implements OnModuleDestroy {
  /** Called after each step; one for each reader. */
  readonly #readers = new Set<() => void>();
  /** From the first reader on, until the last has left. */
  #reading: Reading | null = null;

  constructor(
    private readonly database: Database,
    private readonly log: EventLog,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * One reader more; the first begins the reading. Resolves with the newest id. `wake` is called whenever there is
   * more, until the reader leaves.
   */
  async join(wake: () => void): Promise<number> {
    this.#readers.add(wake);
    try {
      this.#reading ??= new Reading(this.database, this.log, this.logger, () => {
        for (const one of this.#readers) one();
      });
      await this.#reading.started;
      return (await this.log.head(this.database.read)).last;
    } catch (error) {
      this.leave(wake);
      throw error;
    }
  }

  /** Idempotent. */
  leave(wake: () => void): void {
    if (this.#readers.delete(wake) && this.#readers.size === 0) this.onModuleDestroy();
  }

  /** All ids up to here are known; 0 while nobody reads. */
  get last(): number {
    return this.#reading?.stretch.last ?? 0;
  }

  /** What comes after an id, perhaps nothing yet; null when it is too far back to be held. */
  after(id: number): readonly TailItem[] | null {
    return this.#reading === null ? [] : this.#reading.stretch.after(id);
  }

  onModuleDestroy(): void {
    this.#reading?.end();
    this.#reading = null;
  }
}

/**
 * One reading of the end of the log. Answers of the database that come after its end change nothing for
 * the next one: each has a stretch of its own.
 */
class Reading {
  readonly started: Promise<void>;
  stretch = new Stretch(0);
  #isReading = false;
  #isAsked = false;
  #isOver = false;
  #stopListening: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly database: Database,
    private readonly log: EventLog,
    private readonly logger: Logger,
    private readonly onMore: () => void,
  ) {
    this.started = this.#begin();
  }

  end(): void {
    this.#isOver = true;
    this.#stopListening?.();
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  async #begin(): Promise<void> {
    const { last } = await this.log.head(this.database.read);
    // All may have left while this was asked.
    if (this.#isOver) return;
    this.stretch = new Stretch(last);
    this.#stopListening = this.log.onAppended(() => this.#look());
    if (this.database.kind === 'postgres') {
      this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
    }
    this.#look();
  }

  #look(): void {
    this.#isAsked = true;
    if (this.#isReading || this.#isOver) return;
    this.#isReading = true;
    this.#readOn()
      .catch((error: unknown) => {
        this.logger.warn({ err: error }, 'the end of the event log could not be read');
        setTimeout(() => this.#look(), RETRY_MS).unref();
      })
      .finally(() => {
        this.#isReading = false;
        // Asked between the last look and now.
        if (this.#isAsked) this.#look();
      });
  }

  async #readOn(): Promise<void> {
    while (this.#isAsked && !this.#isOver) {
      this.#isAsked = false;
      const { last } = await this.log.head(this.database.read);
      this.stretch.approach(last);
      while (this.stretch.last < last) await this.#readPage(last);
    }
  }

  async #readPage(last: number): Promise<void> {
    const after = this.stretch.last;
    const range = { after, through: Math.min(last, after + PAGE) };
    const rows = await rowsIn(this.database.read, range);
    this.stretch.add(rows, range.through);
    if (!this.#isOver) this.onMore();
  }
}
