import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import { Database, LOGGER } from '../../platform/index.js';
import { EventLog } from '../event-log.js';
import { toLine, type EventRow } from '../event-rows.js';
import { stretchOf } from '../event-search.js';

/** The newest events that are held for live readers; who is further behind reads from SQL. */
const KEPT_EVENTS_MAX = 2_000;
const KEPT_BYTES_MAX = 4 * 1024 * 1024;
const PAGE = 500;
/** On PostgreSQL another manager may have committed: it is looked for this often. */
const LOOK_MS = 200;
/** After an error the next look; readers stay where they are meanwhile. */
const RETRY_MS = 1_000;

export interface TailItem {
  readonly row: EventRow;
  /** As it is exported: made once, for all readers. */
  readonly line: string;
}

/**
 * The end of the log, read once for all live readers of this process. It holds a bounded stretch and no queue
 * for anybody: each reader has a cursor, and finds what comes after it here or in SQL.
 */
@Injectable()
export class Tail implements OnModuleDestroy {
  readonly #kept: TailItem[] = [];
  #keptBytes = 0;
  /** All ids up to here are known; those in `#kept` are the last of them. */
  #last = 0;
  /** Called after each step; one for each reader. */
  readonly #readers = new Set<() => void>();
  #isReading = false;
  #isAsked = false;
  #starting: Promise<void> | null = null;
  #stopListening: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;

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
      this.#starting ??= this.#begin();
      await this.#starting;
      return (await this.log.head(this.database.read)).last;
    } catch (error) {
      this.leave(wake);
      throw error;
    }
  }

  /** Idempotent. */
  leave(wake: () => void): void {
    if (!this.#readers.delete(wake)) return;
    if (!this.#hasReaders) this.#end();
  }

  get #hasReaders(): boolean {
    return this.#readers.size > 0;
  }

  get last(): number {
    return this.#last;
  }

  /** What comes after an id, perhaps nothing yet; null when it is too far back to be held. */
  after(id: number): readonly TailItem[] | null {
    const first = this.#last - this.#kept.length + 1;
    if (id + 1 < first) return null;
    return id >= this.#last ? [] : this.#kept.slice(id + 1 - first);
  }

  onModuleDestroy(): void {
    this.#end();
  }

  async #begin(): Promise<void> {
    this.#last = (await this.log.head(this.database.read)).last;
    // All may have left while this was asked, and others have come.
    if (!this.#hasReaders || this.#stopListening !== null) return;
    this.#stopListening = this.log.onAppended(() => this.#look());
    if (this.database.kind === 'postgres') {
      this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
    }
    this.#look();
  }

  #end(): void {
    this.#starting = null;
    this.#stopListening?.();
    this.#stopListening = null;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#kept.length = 0;
    this.#keptBytes = 0;
  }

  #look(): void {
    this.#isAsked = true;
    if (this.#isReading) return;
    this.#isReading = true;
    this.#readOn()
      .catch((error: unknown) => {
        this.logger.warn({ err: error }, 'the end of the event log could not be read');
        setTimeout(() => this.#hasReaders && this.#look(), RETRY_MS).unref();
      })
      .finally(() => {
        this.#isReading = false;
      });
  }

  async #readOn(): Promise<void> {
    while (this.#isAsked && this.#hasReaders) {
      this.#isAsked = false;
      const { last } = await this.log.head(this.database.read);
      // A jump that would fill all that is held: whoever was there reads it from SQL.
      if (last - this.#last > KEPT_EVENTS_MAX) this.#skipTo(last - KEPT_EVENTS_MAX);
      while (this.#last < last) await this.#readPage(last);
    }
  }

  async #readPage(last: number): Promise<void> {
    const range = { after: this.#last, through: Math.min(last, this.#last + PAGE) };
    const [where, params]: [string[], number[]] = [[], []];
    const rows = await stretchOf(this.database.read, {
      range,
      where,
      params,
      order: 'oldest',
      limit: PAGE,
    });
    if (rows.length !== range.through - range.after) {
      // Removed by retention before anybody read them; each reader finds out for himself.
      this.#skipTo(range.through);
    } else {
      for (const row of rows) this.#keep({ row, line: toLine(row) });
      this.#last = range.through;
    }
    for (const wake of this.#readers) wake();
  }

  #keep(item: TailItem): void {
    this.#kept.push(item);
    this.#keptBytes += item.line.length;
    let over = 0;
    while (
      this.#kept.length - over > KEPT_EVENTS_MAX ||
      (this.#keptBytes > KEPT_BYTES_MAX && this.#kept.length - over > 1)
    ) {
      this.#keptBytes -= this.#kept[over]?.line.length ?? 0;
      over += 1;
    }
    if (over > 0) this.#kept.splice(0, over);
  }

  #skipTo(id: number): void {
    this.#kept.length = 0;
    this.#keptBytes = 0;
    this.#last = id;
  }
}
