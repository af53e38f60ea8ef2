import { Injectable } from '@nestjs/common';
import type { Event } from '../../protocol/api/index.js';
import type { Sql, Tx } from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import { noteEvents } from './event-index.js';
import { ALIKE, COLUMNS, toEvent, toValues, type NewEvent } from './event-rows.js';
import { groupsIn, SCAN_MAX, stretchOf, whereOf, type EventWanted } from './event-search.js';

/** What a reader may see and wants to see, after a number. */
export interface EventFilter extends EventWanted {
  readonly after: number;
  readonly limit: number;
}

/** How far the log goes. */
export interface LogHead {
  /** The newest number that is committed; 0 when nothing happened yet. */
  readonly last: number;
  /** Everything up to here was removed by retention. */
  readonly prunedThrough: number;
}

/**
 * The append-only log of what happened, with one sequence for all: gapless, and in the order of
 * the commits on both databases. Both come from a counter row that is taken just before COMMIT, so
 * that a reader who has seen number n will never see a smaller one appear.
 */
@Injectable()
export class EventLog {
  readonly #waiting = new WeakMap<Tx, NewEvent[]>();
  /** Of events, whoever appended them; and of the commits of this process alone. */
  readonly #listeners = new Set<() => void>();
  readonly #committed = new Set<() => void>();

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
      for (const { category, severity } of buffer) {
        meters.count('bellwether_events_appended_total', category, severity);
      }
      for (const listener of [...this.#listeners, ...this.#committed]) listener();
    });
  }

  /** Called after every commit of this process that added events. */
  onCommitted(listener: () => void): void {
    this.#committed.add(listener);
  }

  /** Another manager has added events. */
  appendedElsewhere(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Called when events were added, here or, as far as it is told, elsewhere; returns the way to stop it. */
  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async head(sql: Sql): Promise<LogHead> {
    const row = await sql.get<{ value: number; pruned_through: number }>(
      'SELECT value, pruned_through FROM event_head WHERE id = 1',
    );
    return { last: row?.value ?? 0, prunedThrough: row?.pruned_through ?? 0 };
  }

  /**
   * Events after a number, oldest first. `nextAfter` moves on even when the filter let nothing
   * through, so that a reader with a narrow filter does not stand still. Looks at a bounded stretch.
   */
  async read(sql: Sql, filter: EventFilter): Promise<{ items: Event[]; nextAfter: number }> {
    const { last: head } = await this.head(sql);
    const upTo = Math.min(head, filter.after + SCAN_MAX);
    const nextAfter = Math.max(upTo, filter.after);
    if (groupsIn(filter)?.length === 0) return { items: [], nextAfter };
    const { where, params } = whereOf(filter);
    const rows = await stretchOf(sql, {
      range: { after: filter.after, through: upTo },
      where,
      params,
      order: 'oldest',
      limit: filter.limit,
    });
    const last = rows.at(-1);
    const isFull = rows.length === filter.limit && last !== undefined;
    return { items: rows.map(toEvent), nextAfter: isFull ? last.id : nextAfter };
  }

  async #write(tx: Tx, events: readonly NewEvent[]): Promise<void> {
    // What is appended from here on, by a later hook of this commit, waits for a write of its own.
    this.#waiting.delete(tx);
    const head = await tx.get<{ value: number }>(
      'UPDATE event_head SET value = value + ? WHERE id = 1 RETURNING value',
      [events.length],
    );
    const firstId = (head?.value ?? 0) - events.length + 1;
    const rows = events.map((event, index) => toValues(firstId + index, event));
    // All managers wait for the head meanwhile.
    await Promise.all([
      tx.insertRows(`events (${COLUMNS})`, rows, ALIKE),
      noteEvents(tx, firstId, events),
    ]);
  }
}
