import { Injectable } from '@nestjs/common';
import { toIso, type JsonValue } from '../../core/kernel/index.js';
import type { Event } from '../../protocol/api/index.js';
import type { Severity } from '../../protocol/index.js';
import type { Sql, SqlValue, Tx } from '../platform/index.js';

/** An event before it has a number. */
export interface NewEvent {
  readonly category: 'upgrade' | 'service' | 'agent' | 'connection' | 'release' | 'audit';
  readonly type: string;
  readonly severity: Severity;
  readonly nodeId: string | null;
  readonly groupId: string;
  readonly rolloutId?: string | null;
  readonly commandId?: string | null;
  readonly service?: string | null;
  readonly message: string;
  readonly details: Readonly<Record<string, JsonValue>>;
  /** When it was learned, epoch ms. */
  readonly at: number;
}

interface EventRow {
  id: number;
  at: number;
  category: string;
  type: string;
  severity: Severity;
  node_id: string | null;
  group_id: string;
  rollout_id: string | null;
  command_id: string | null;
  service: string | null;
  message: string;
  details: string;
}

const COLUMNS =
  'id, at, category, type, severity, node_id, group_id, rollout_id, command_id, service, message, details';
/** 12 columns; SQLite takes 32 766 parameters a statement, PostgreSQL 65 535. */
const ROWS_PER_INSERT = 200;
/** Rows looked at for one page when a filter lets little through; bounds one answer's work. */
const SCAN_MAX = 20_000;

/** What a reader may see and wants to see. */
export interface EventFilter {
  readonly after: number;
  readonly limit: number;
  readonly groups: 'all' | readonly string[];
  readonly category?: string | undefined;
  readonly severity?: Severity | undefined;
  readonly node_id?: string | undefined;
  readonly rollout_id?: string | undefined;
}

/**
 * The append-only log of what happened, with one sequence for all: gapless, and in the order of
 * the commits on both databases. Both come from a counter row that is taken just before COMMIT, so
 * that a reader who has seen number n will never see a smaller one appear.
 */
@Injectable()
export class EventLog {
  readonly #waiting = new WeakMap<Tx, NewEvent[]>();
  readonly #listeners = new Set<() => void>();

  /** Appends in the transaction of what they tell; they get their numbers at its end. */
  append(tx: Tx, events: readonly NewEvent[]): void {
    if (events.length === 0) return;
    const waiting = this.#waiting.get(tx);
    if (waiting !== undefined) {
      waiting.push(...events);
      return;
    }
    const buffer = [...events];
    this.#waiting.set(tx, buffer);
    tx.beforeCommit(this, () => this.#write(tx, buffer));
    tx.afterCommit(() => {
      for (const listener of this.#listeners) listener();
    });
  }

  /** Called after every commit that added events; returns the way to stop it. */
  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Events after a number, oldest first. `nextAfter` moves on even when the filter let nothing
   * through, so that a reader with a narrow filter does not stand still.
   */
  async read(sql: Sql, filter: EventFilter): Promise<{ items: Event[]; nextAfter: number }> {
    const head = await sql.get<{ value: number }>('SELECT value FROM event_head WHERE id = 1');
    const upTo = Math.min(head?.value ?? 0, filter.after + SCAN_MAX);
    const where = ['id > ?', 'id <= ?'];
    const params: SqlValue[] = [filter.after, upTo];
    for (const column of ['category', 'severity', 'node_id', 'rollout_id'] as const) {
      const wanted = filter[column];
      if (wanted === undefined) continue;
      where.push(`${column} = ?`);
      params.push(wanted);
    }
    if (filter.groups !== 'all') {
      if (filter.groups.length === 0) return { items: [], nextAfter: upTo };
      where.push(`group_id IN (${filter.groups.map(() => '?').join(', ')})`);
      params.push(...filter.groups);
    }
    params.push(filter.limit);
    const rows = await sql.all<EventRow>(
      `SELECT ${COLUMNS} FROM events WHERE ${where.join(' AND ')} ORDER BY id LIMIT ?`,
      params,
    );
    const last = rows.at(-1);
    const isFull = rows.length === filter.limit && last !== undefined;
    return { items: rows.map(toEvent), nextAfter: isFull ? last.id : Math.max(upTo, filter.after) };
  }

  async #write(tx: Tx, events: readonly NewEvent[]): Promise<void> {
    // What is appended from here on, by a later hook of this commit, waits for a write of its own.
    this.#waiting.delete(tx);
    const head = await tx.get<{ value: number }>(
      'UPDATE event_head SET value = value + ? WHERE id = 1 RETURNING value',
      [events.length],
    );
    let id = (head?.value ?? 0) - events.length;
    for (let start = 0; start < events.length; start += ROWS_PER_INSERT) {
      const chunk = events.slice(start, start + ROWS_PER_INSERT);
      const params: SqlValue[] = [];
      for (const event of chunk) {
        id += 1;
        params.push(id, ...toValues(event));
      }
      const rows = chunk.map(() => '(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').join(', ');
      await tx.run(`INSERT INTO events (${COLUMNS}) VALUES ${rows}`, params);
    }
  }
}

const toValues = (event: NewEvent): SqlValue[] => [
  event.at,
  event.category,
  event.type,
  event.severity,
  event.nodeId,
  event.groupId,
  event.rolloutId ?? null,
  event.commandId ?? null,
  event.service ?? null,
  event.message,
  JSON.stringify(event.details),
];

const toEvent = (row: EventRow): Event => ({
  id: row.id,
  at: toIso(row.at),
  category: row.category,
  type: row.type,
  severity: row.severity,
  node_id: row.node_id,
  group_id: row.group_id,
  rollout_id: row.rollout_id,
  command_id: row.command_id,
  service: row.service,
  message: row.message,
  details: JSON.parse(row.details) as Record<string, unknown>,
});
