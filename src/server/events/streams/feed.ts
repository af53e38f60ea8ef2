import type { Sql } from '../../platform/index.js';
import { toLine } from '../event-rows.js';
import { matcherOf, searchEvents, type EventWanted } from '../event-search.js';
import type { EventViews } from '../event-views.js';
import type { TailItem } from './stretch.js';
import type { Tail } from './tail.js';

export interface Batch {
  readonly items: readonly TailItem[];
  /** All up to here was judged: a safe place to resume after. */
  readonly through: number;
}

/**
 * One reader's way through the log: a cursor and a filter, and nothing that grows. It takes what comes after
 * the cursor from the shared tail, or from SQL when it is further behind.
 */
export class Feed {
  readonly #sql: Sql;
  readonly #tail: Tail;
  readonly #views: EventViews;
  #wanted: EventWanted;
  #matches: (row: TailItem['row']) => boolean;
  #after: number;

  constructor(
    world: { readonly sql: Sql; readonly tail: Tail; readonly views: EventViews },
    wanted: EventWanted,
    after: number,
  ) {
    this.#sql = world.sql;
    this.#tail = world.tail;
    this.#views = world.views;
    this.#wanted = wanted;
    this.#matches = matcherOf(wanted);
    this.#after = after;
  }

  /** All up to here was handed out, or did not fit. */
  get after(): number {
    return this.#after;
  }

  /** What may be seen has changed; holds for the next batch. */
  narrow(groups: EventWanted['groups']): void {
    this.#wanted = { ...this.#wanted, groups };
    this.#matches = matcherOf(this.#wanted);
  }

  /**
   * The next events, at most `limit`; an empty batch moves the cursor only. Null when there is nothing after
   * the cursor now. Throws `events_pruned` when what comes next was removed.
   */
  async take(limit: number): Promise<Batch | null> {
    const recent = this.#tail.after(this.#after);
    if (recent === null) return this.#fromSql(limit);
    if (recent.length === 0) return null;
    const items: TailItem[] = [];
    for (const item of recent) {
      if (items.length >= limit) break;
      this.#after = item.row.id;
      if (this.#matches(item.row)) items.push(item);
    }
    return { items, through: this.#after };
  }

  async #fromSql(limit: number): Promise<Batch> {
    const after = this.#after;
    // Nobody reads any more when the reader itself has left: then it stays where it is.
    const through = Math.max(after, this.#tail.last);
    const { rows, next } = await searchEvents(this.#sql, {
      wanted: this.#wanted,
      range: { after, through },
      order: 'oldest',
      limit,
    });
    await this.#views.requireKept(this.#sql, after);
    this.#after = next ?? through;
    return { items: rows.map((row) => ({ row, line: toLine(row) })), through: this.#after };
  }
}
