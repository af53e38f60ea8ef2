import { Injectable } from '@nestjs/common';
import type { FleetEvent } from '../../../core/event/index.js';
import { Groups } from '../../access/index.js';
import { Database, type Sql } from '../../platform/index.js';
import { EventLog } from '../event-log.js';
import type { SinkRecord } from './sinks.store.js';

/** Looked at before and behind a moment: times are those of several writers, numbers those of commits. */
const CLOCKS_APART_MS = 60_000;
/** Behind the place that the search finds, the first event of a moment is looked for so far. */
const LOOK_MAX = 5_000;

/** The log as sinks read it: the one place that knows how. */
@Injectable()
export class EventSource {
  constructor(
    private readonly database: Database,
    private readonly log: EventLog,
    private readonly groups: Groups,
  ) {}

  /** Told after each commit of this process that added events. */
  onAppended(listener: () => void): () => void {
    return this.log.onAppended(listener);
  }

  /** Whatever its filter says, a sink sees its own group and those below it, as the tree is now. */
  async groupsOf(sink: Pick<SinkRecord, 'groupId' | 'filter'>): Promise<'all' | readonly string[]> {
    const own = sink.groupId === null ? 'all' : await this.groups.subtree(sink.groupId);
    const wanted = sink.filter.groups;
    if (wanted === null) return own;
    const chosen = await this.groups.subtrees(wanted);
    return own === 'all' ? chosen : chosen.filter((id) => own.includes(id));
  }

  async page(
    after: number,
    limit: number,
    groups: 'all' | readonly string[],
    sql: Sql = this.database.read,
  ): Promise<{ readonly items: readonly FleetEvent[]; readonly nextAfter: number }> {
    const page = await this.log.read(sql, { after, limit, groups });
    return { items: page.items, nextAfter: Math.max(after, page.nextAfter) };
  }

  /** The number of the newest event; 0 when there is none. */
  async head(sql: Sql = this.database.read): Promise<number> {
    return (await this.log.head(sql)).last;
  }

  /** The number of the oldest event that is kept; null when none is. */
  async oldest(): Promise<number | null> {
    const row = await this.database.read.get<{ id: number }>(
      'SELECT id FROM events ORDER BY id LIMIT 1',
    );
    return row?.id ?? null;
  }

  /** When the first event behind a number was learned; null when there is none. */
  async timeAfter(id: number, sql: Sql = this.database.read): Promise<number | null> {
    const row = await sql.get<{ at: number }>(
      'SELECT at FROM events WHERE id > ? ORDER BY id LIMIT 1',
      [id],
    );
    return row?.at ?? null;
  }

  /**
   * The number before the first event of a moment or later. There is no index on times; numbers grow with
   * them but for a minute, so the place is searched by halves and the rest is looked through.
   */
  async before(at: number): Promise<number> {
    let low = (await this.oldest()) ?? 1;
    let high = (await this.head()) + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const found = await this.timeAfter(middle - 1);
      if (found === null || found >= at - CLOCKS_APART_MS) high = middle;
      else low = middle + 1;
    }
    const row = await this.database.read.get<{ id: number }>(
      'SELECT id FROM events WHERE id >= ? AND id < ? AND at >= ? ORDER BY id LIMIT 1',
      [low, low + LOOK_MAX, at],
    );
    if (row !== undefined) return row.id - 1;
    const head = await this.head();
    // Nothing is of that moment or later; or the minute was so full that it is delivered from its begin.
    return low + LOOK_MAX > head ? head : low - 1;
  }
}
