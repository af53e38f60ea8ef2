import { Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { EventCategory, EventType, Severity } from '../../protocol/index.js';
import { Access, Groups } from '../access/index.js';
import type { Caller, Sql } from '../platform/index.js';
import { EventLog, type LogHead } from './event-log.js';
import type { EventWanted } from './event-search.js';

/** What a reader may ask for, as the schemas give it. */
export interface AskedOfEvents {
  readonly category?: readonly EventCategory[] | undefined;
  readonly type?: readonly EventType[] | undefined;
  readonly severity?: Severity | undefined;
  readonly min_severity?: Severity | undefined;
  readonly group_id?: string | undefined;
  readonly node_id?: string | undefined;
  readonly rollout_id?: string | undefined;
  readonly error_code?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly text?: string | undefined;
}

const pruned = ({ prunedThrough, last }: LogHead): FleetError =>
  new FleetError('events_pruned', `events up to ${prunedThrough} were removed`, {
    context: { oldest: prunedThrough + 1, newest: last },
  });

const momentOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Date.parse(text);

/** What a caller sees of the log: an event belongs to the group that its node was in then. */
@Injectable()
export class EventViews {
  constructor(
    private readonly access: Access,
    private readonly groups: Groups,
    private readonly log: EventLog,
  ) {}

  /** Throws `not_found` for a group that the caller may not see. */
  async wanted(caller: Caller, asked: AskedOfEvents): Promise<EventWanted> {
    const { group_id: groupId, since, until, ...rest } = asked;
    return {
      ...rest,
      groups: await this.visible(caller, groupId),
      sinceMs: momentOf(since),
      untilMs: momentOf(until),
    };
  }

  /** The groups that a caller sees; with `groupId` that one and those below it. */
  async visible(caller: Caller, groupId?: string): Promise<'all' | readonly string[]> {
    if (groupId === undefined) return this.access.visibleGroups(caller, 'event.view');
    await this.access.require(caller, 'event.view', groupId);
    return this.groups.subtree(groupId);
  }

  /** The oldest event that is kept, and the newest. */
  async extent(sql: Sql): Promise<{ readonly oldest: number; readonly newest: number }> {
    const { last, prunedThrough } = await this.log.head(sql);
    return { oldest: prunedThrough + 1, newest: last };
  }

  /**
   * Where a reader goes on who has everything up to `after`; 0 asks for the oldest that is kept. Throws
   * `events_pruned` when some of what comes after it was removed.
   */
  async start(sql: Sql, after: number): Promise<{ readonly after: number; readonly last: number }> {
    const head = await this.log.head(sql);
    if (after > 0 && after < head.prunedThrough) throw pruned(head);
    return { after: Math.max(after, head.prunedThrough), last: head.last };
  }

  /**
   * For a reader in the middle, asked behind each reading: what was removed meanwhile must not look like silence.
   * Throws `events_pruned`.
   */
  async requireKept(sql: Sql, after: number): Promise<void> {
    const head = await this.log.head(sql);
    if (after < head.prunedThrough) throw pruned(head);
  }
}
