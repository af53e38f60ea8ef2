import { setImmediate as turn } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Logger } from 'pino';
import { DAY_MS, MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import { makeSeal, NO_SEAL, PartHasher, type Seal, type SealPart } from '../../core/seal/index.js';
import {
  CLOCK,
  CONFIG,
  Database,
  LOGGER,
  type Clock,
  type Config,
  type Sql,
} from '../platform/index.js';
import { COUNT_BUCKET_MS, blockOf } from './event-index.js';
import { EventLog } from './event-log.js';
import { toLine } from './event-rows.js';
import { rowsIn } from './event-search.js';

/** A segment is closed with this many events, */
export const SEGMENT_EVENTS_MAX = 8_192;
/** or when its first event is this old. */
export const SEGMENT_AGE_MS = 5 * MINUTE_MS;
const LOOK_MS = 30 * SECOND_MS;
/** Readers who ask for proof make segments early; so often at most, or there would be too many. */
const PROOF_MS = 10 * SECOND_MS;
/** Rows that are hashed in one turn of the event loop: some 3 ms. */
const PAGE = 256;
/** Rows that one transaction deletes: writers on SQLite wait for it. */
const DELETES_PER_TRANSACTION = 2_000;

export interface StoredSeal {
  readonly seal: Seal;
  readonly parts: readonly SealPart[];
  readonly firstAt: number;
  readonly lastAt: number;
  readonly sealedAt: number;
}

interface SegmentRow {
  first_id: number;
  last_id: number;
  first_at: number;
  last_at: number;
  previous: string;
  hash: string;
  sealed_at: number;
}

/**
 * Closes ranges of the log, once, and removes what is older than it is to be kept. Any of several managers may
 * do it: what one of them has sealed the others find there. Only what is sealed is ever removed, by range,
 * and its seal stays; so a reader can always tell a gap from silence.
 */
@Injectable()
export class Seals implements OnModuleInit, OnModuleDestroy {
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor(
    private readonly database: Database,
    private readonly log: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(CONFIG)
    private readonly config: Pick<Config, 'eventRetentionDays' | 'eventRetentionCount'>,
  ) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => {
      void this.exclusively(() => this.look()).catch((error: unknown) => {
        this.logger.error({ err: error }, 'events could not be sealed or removed');
      });
    }, LOOK_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running.catch(() => undefined);
  }

  /** One after another within this process. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#running.catch(() => undefined).then(work);
    this.#running = run;
    return run;
  }

  /** Seals everything up to the newest event, or up to `through`. */
  async sealNow(through?: number): Promise<void> {
    await this.exclusively(async () => {
      const end = Math.min(through ?? Infinity, (await this.log.head(this.database.read)).last);
      while (!this.#isStopped && (await this.#sealNext(end))) continue;
    });
  }

  /** The same for a reader who asks for proof; not more often than every ten seconds. */
  async sealForProof(): Promise<void> {
    const last = await lastSegment(this.database.read);
    if (last === undefined || last.sealed_at <= this.clock.now() - PROOF_MS) await this.sealNow();
  }

  /** The last id that is sealed; 0 when none is. */
  async sealedThrough(sql: Sql): Promise<number> {
    return (await lastSegment(sql))?.last_id ?? 0;
  }

  /**
   * The first id of the segment that holds the event after `after`, less one: where a reader begins whose
   * first segment is to be whole.
   */
  async boundaryBefore(sql: Sql, after: number): Promise<number> {
    const row = await sql.get<{ first_id: number; last_id: number }>(
      'SELECT first_id, last_id FROM event_segments WHERE first_id <= ? ORDER BY first_id DESC LIMIT 1',
      [after + 1],
    );
    if (row === undefined) return 0;
    return after >= row.last_id ? row.last_id : row.first_id - 1;
  }

  /** Seals behind an id, in order, each with the parts of these groups. */
  async list(
    sql: Sql,
    page: {
      readonly after: number;
      readonly through: number;
      readonly limit: number;
      readonly groups: 'all' | readonly string[];
    },
  ): Promise<StoredSeal[]> {
    const rows = await sql.all<SegmentRow>(
      `SELECT first_id, last_id, first_at, last_at, previous, hash, sealed_at FROM event_segments
       WHERE first_id > ? AND last_id <= ? ORDER BY first_id LIMIT ?`,
      [page.after, page.through, page.limit],
    );
    const groups = page.groups === 'all' ? null : new Set(page.groups);
    const stored: StoredSeal[] = [];
    for (const row of rows) {
      const parts = await partsOf(sql, row.first_id);
      const range = { firstId: row.first_id, lastId: row.last_id, previous: row.previous };
      stored.push({
        seal: { ...makeSeal(range, parts), hash: row.hash },
        parts: parts.filter(({ groupId }) => groups?.has(groupId) ?? true),
        firstAt: row.first_at,
        lastAt: row.last_at,
        sealedAt: row.sealed_at,
      });
    }
    return stored;
  }

  /** One look of the timer. */
  async look(): Promise<void> {
    const { last } = await this.log.head(this.database.read);
    while (!this.#isStopped && (await this.#isDue(last)) && (await this.#sealNext(last))) continue;
    await this.#prune();
  }

  async #isDue(last: number): Promise<boolean> {
    const sealed = await this.sealedThrough(this.database.read);
    if (last - sealed >= SEGMENT_EVENTS_MAX) return true;
    const row = await this.database.read.get<{ at: number }>('SELECT at FROM events WHERE id = ?', [
      sealed + 1,
    ]);
    return row !== undefined && row.at <= this.clock.now() - SEGMENT_AGE_MS;
  }

  /** False when there was nothing to seal, or somebody else did. */
  async #sealNext(end: number): Promise<boolean> {
    const before = await lastSegment(this.database.read);
    const firstId = (before?.last_id ?? 0) + 1;
    const lastId = Math.min(end, firstId + SEGMENT_EVENTS_MAX - 1);
    if (lastId < firstId) return false;
    const hashed = await this.#hash(firstId, lastId);
    const range = { firstId, lastId, previous: before?.hash ?? NO_SEAL };
    const seal = makeSeal(range, hashed.parts);
    return this.database.transaction(async (tx) => {
      const made = await tx.run(
        `INSERT INTO event_segments
           (first_id, last_id, first_at, last_at, previous, hash, sealed_at)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (first_id) DO NOTHING`,
        [
          firstId,
          lastId,
          hashed.firstAt,
          hashed.lastAt,
          seal.previous,
          seal.hash,
          this.clock.now(),
        ],
      );
      if (made === 0) return true;
      for (const { groupId, count, hash } of hashed.parts) {
        await tx.run(
          'INSERT INTO event_segment_parts (first_id, group_id, count, hash) VALUES (?, ?, ?, ?)',
          [firstId, groupId, count, hash],
        );
      }
      return true;
    });
  }

  async #hash(
    firstId: number,
    lastId: number,
  ): Promise<{ parts: SealPart[]; firstAt: number; lastAt: number }> {
    const hasher = new PartHasher();
    let [firstAt, lastAt] = [Infinity, -Infinity];
    for (let after = firstId - 1; after < lastId;) {
      const range = { after, through: Math.min(lastId, after + PAGE) };
      const rows = await rowsIn(this.database.read, range);
      if (rows.length !== range.through - after) {
        throw new Error(`the event log has a gap behind ${after}`);
      }
      for (const row of rows) {
        hasher.add(row.group_id, toLine(row));
        firstAt = Math.min(firstAt, row.at);
        lastAt = Math.max(lastAt, row.at);
      }
      after = range.through;
      // Sealing is never urgent: whoever waits for the event loop goes first.
      await turn();
    }
    return { parts: hasher.end(), firstAt, lastAt };
  }

  /**
   * Removes whole segments that are too old, or too many. Safe to stop anywhere: what was given up and is still
   * there goes with the next look.
   */
  async #prune(): Promise<void> {
    const { eventRetentionDays: days, eventRetentionCount: count } = this.config;
    const { last, prunedThrough } = await this.log.head(this.database.read);
    await this.#sweep(prunedThrough);
    const tooOld = days === null ? -Infinity : this.clock.now() - days * DAY_MS;
    const tooMany = count === null ? 0 : last - count;
    const segments = await this.database.read.all<SegmentRow>(
      'SELECT * FROM event_segments WHERE last_id > ? ORDER BY first_id LIMIT 1000',
      [prunedThrough],
    );
    for (const segment of segments) {
      const isOver = segment.last_at < tooOld || segment.last_id <= tooMany;
      if (!isOver || this.#isStopped) return;
      await this.#remove(segment);
    }
  }

  async #remove({ last_id: last, first_at: firstAt }: SegmentRow): Promise<void> {
    // First, so that a reader who finds rows missing also finds why.
    await this.database.transaction(async (tx) => {
      await tx.run('UPDATE event_head SET pruned_through = ? WHERE id = 1 AND pruned_through < ?', [
        last,
        last,
      ]);
      await tx.run('DELETE FROM event_counts WHERE bucket < ?', [
        Math.floor(firstAt / COUNT_BUCKET_MS),
      ]);
    });
    await this.#sweep(last);
  }

  async #sweep(through: number): Promise<void> {
    for (;;) {
      const row = await this.database.read.get<{ id: number | null }>(
        'SELECT MIN(id) AS id FROM events',
      );
      const from = row?.id ?? through + 1;
      if (from > through || this.#isStopped) return;
      const to = Math.min(through, from + DELETES_PER_TRANSACTION - 1);
      const block = blockOf(to + 1);
      await this.database.transaction(async (tx) => {
        await tx.run('DELETE FROM events WHERE id >= ? AND id <= ?', [from, to]);
        if (to < through) return;
        await tx.run('DELETE FROM event_marks WHERE block < ?', [block]);
        await tx.run('DELETE FROM event_blocks WHERE block < ?', [block]);
      });
      await turn();
    }
  }
}

const lastSegment = (sql: Sql): Promise<SegmentRow | undefined> =>
  sql.get<SegmentRow>('SELECT * FROM event_segments ORDER BY first_id DESC LIMIT 1');

async function partsOf(sql: Sql, firstId: number): Promise<SealPart[]> {
  const rows = await sql.all<{ group_id: string; count: number; hash: string }>(
    'SELECT group_id, count, hash FROM event_segment_parts WHERE first_id = ? ORDER BY group_id',
    [firstId],
  );
  return rows.map(({ group_id: groupId, count, hash }) => ({ groupId, count, hash }));
}
