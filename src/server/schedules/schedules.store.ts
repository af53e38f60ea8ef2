import type { Instant } from '../../core/kernel/index.js';
import type { ReleaseNews } from '../../core/rollout/index.js';
import type { Schedule } from '../../protocol/api/index.js';
import {
  newestFirst,
  questionMarks,
  type Caller,
  type PageOfGroups,
  type Sql,
  type SqlValue,
  type Tx,
} from '../platform/index.js';

/** Whose rights a schedule has: as a caller, without what he holds, which is looked up each time. */
export type Maker = Pick<Caller, 'id' | 'name' | 'makerId'> & { readonly kind: 'user' | 'token' };

/** What was found at the last look. */
export interface Look {
  readonly state: 'idle' | 'waiting' | 'refused';
  readonly reason: string;
  readonly message: string;
  /** The opening that is waited for, epoch ms; null when time alone changes nothing. */
  readonly until: Instant | null;
  readonly release: Pick<ReleaseNews, 'sequence' | 'version'> | null;
}

export interface Result {
  readonly result: NonNullable<Schedule['last']>['result'];
  readonly reason: string;
  readonly message: string;
  readonly version: string | null;
  readonly rolloutId: string | null;
  readonly at: Instant;
}

/** A schedule as it is stored. */
export interface StoredSchedule {
  readonly id: string;
  readonly groupId: string;
  readonly name: string;
  readonly product: string;
  readonly channel: Schedule['channel'];
  readonly planId: string;
  readonly window: Schedule['window'];
  readonly whenBusy: Schedule['when_busy'];
  readonly isPaused: boolean;
  readonly maker: Maker;
  /** Releases up to here are done with. */
  readonly doneSequence: number;
  /** The newest that a look has seen: what is above it is news. */
  readonly knownSequence: number;
  readonly look: Look;
  readonly last: Result | null;
  readonly lookedAt: Instant;
  readonly nextLookAt: Instant | null;
  /** One more with each change: whoever decided on an older one has lost. */
  readonly fence: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
}

interface ScheduleRow {
  id: string;
  group_id: string;
  name: string;
  product: string;
  channel: Schedule['channel'];
  plan_id: string;
  open_window: string | null;
  when_busy: Schedule['when_busy'];
  is_paused: number;
  maker: string;
  done_sequence: number;
  known_sequence: number;
  look: string;
  last_result: string | null;
  looked_at: number;
  next_look_at: number | null;
  fence: number;
  created_at: number;
  updated_at: number;
}

const OWN_COLUMNS = [
  ...['name', 'plan_id', 'open_window', 'when_busy', 'is_paused', 'maker', 'done_sequence'],
  ...['known_sequence', 'look', 'last_result', 'looked_at', 'next_look_at', 'updated_at'],
] as const;
const KEPT_COLUMNS = ['id', 'group_id', 'product', 'channel', 'fence', 'created_at'] as const;
const COLUMNS = [...KEPT_COLUMNS, ...OWN_COLUMNS].join(', ');

const textOrNull = (value: unknown): string | null =>
  value === null ? null : JSON.stringify(value);

const toSchedule = (row: ScheduleRow): StoredSchedule => ({
  id: row.id,
  groupId: row.group_id,
  name: row.name,
  product: row.product,
  channel: row.channel,
  planId: row.plan_id,
  window: row.open_window === null ? null : (JSON.parse(row.open_window) as Schedule['window']),
  whenBusy: row.when_busy,
  isPaused: row.is_paused === 1,
  maker: JSON.parse(row.maker) as Maker,
  doneSequence: row.done_sequence,
  knownSequence: row.known_sequence,
  look: JSON.parse(row.look) as Look,
  last: row.last_result === null ? null : (JSON.parse(row.last_result) as Result),
  lookedAt: row.looked_at as Instant,
  nextLookAt: row.next_look_at as Instant | null,
  fence: row.fence,
  createdAt: row.created_at as Instant,
  updatedAt: row.updated_at as Instant,
});

const ownValues = (schedule: StoredSchedule): SqlValue[] => [
  schedule.name,
  schedule.planId,
  textOrNull(schedule.window),
  schedule.whenBusy,
  schedule.isPaused ? 1 : 0,
  JSON.stringify(schedule.maker),
  schedule.doneSequence,
  schedule.knownSequence,
  JSON.stringify(schedule.look),
  textOrNull(schedule.last),
  schedule.lookedAt,
  schedule.nextLookAt,
  schedule.updatedAt,
];

/** False when the group has one of this name; then nothing was written. */
export async function insertSchedule(tx: Tx, schedule: StoredSchedule): Promise<boolean> {
  const values: SqlValue[] = [
    ...[schedule.id, schedule.groupId, schedule.product, schedule.channel, schedule.fence],
    ...[schedule.createdAt, ...ownValues(schedule)],
  ];
  const inserted = await tx.run(
    `INSERT INTO schedules (${COLUMNS}) VALUES (${questionMarks(values.length)}) ON CONFLICT (group_id, name) DO NOTHING`,
    values,
  );
  return inserted === 1;
}

export async function findSchedule(sql: Sql, id: string): Promise<StoredSchedule | null> {
  const row = await sql.get<ScheduleRow>(`SELECT ${COLUMNS} FROM schedules WHERE id = ?`, [id]);
  return row === undefined ? null : toSchedule(row);
}

/**
 * Stores what was made of a schedule as it was at `fence`. False when somebody changed it since: then nothing
 * was written. The row is held until the transaction ends.
 */
export async function saveSchedule(tx: Tx, schedule: StoredSchedule): Promise<boolean> {
  const setters = OWN_COLUMNS.map((column) => `${column} = ?`).join(', ');
  const saved = await tx.run(
    `UPDATE schedules SET ${setters}, fence = fence + 1 WHERE id = ? AND fence = ?`,
    [...ownValues(schedule), schedule.id, schedule.fence],
  );
  return saved === 1;
}

export async function removeSchedule(tx: Tx, id: string): Promise<void> {
  await tx.run('DELETE FROM schedule_releases WHERE schedule_id = ?', [id]);
  await tx.run('DELETE FROM schedules WHERE id = ?', [id]);
}

/** False when the schedule was done with this release before: then nothing was written. */
export async function takeRelease(
  tx: Tx,
  taken: {
    readonly scheduleId: string;
    readonly releaseId: string;
    readonly result: Result['result'];
    readonly rolloutId: string | null;
    readonly at: Instant;
  },
): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO schedule_releases (schedule_id, release_id, result, rollout_id, at)
     VALUES (?, ?, ?, ?, ?) ON CONFLICT (schedule_id, release_id) DO NOTHING`,
    [taken.scheduleId, taken.releaseId, taken.result, taken.rolloutId, taken.at],
  );
  return inserted === 1;
}

export async function countSchedules(sql: Sql, groupId: string): Promise<number> {
  const row = await sql.get<{ count: number }>(
    'SELECT CAST(count(*) AS integer) AS count FROM schedules WHERE group_id = ?',
    [groupId],
  );
  return row?.count ?? 0;
}

/** Newest first. */
export async function listSchedules(sql: Sql, page: PageOfGroups): Promise<StoredSchedule[]> {
  return (await newestFirst<ScheduleRow>(sql, `SELECT ${COLUMNS} FROM schedules`, page)).map(
    toSchedule,
  );
}

/** Those whose moment has come, and those whose channel has something that no look has seen. */
export async function dueSchedules(sql: Sql, now: Instant, limit: number): Promise<string[]> {
  const rows = await sql.all<{ id: string }>(
    `SELECT s.id FROM schedules s WHERE s.is_paused = 0 AND (s.next_look_at <= ? OR EXISTS (
       SELECT 1 FROM releases r WHERE r.product = s.product AND r.channel = s.channel
         AND r.sequence > s.known_sequence AND r.state = 'published'))
     ORDER BY s.looked_at, s.id LIMIT ?`,
    [now, limit],
  );
  return rows.map(({ id }) => id);
}

/** A release of a channel, as far as a schedule looks at it. */
export interface ChannelRelease {
  readonly id: string;
  readonly version: string;
  readonly sequence: number;
  readonly publishedAt: Instant;
}

/** What is published on a channel above a number, the highest number first; the newest thousand. */
export async function releasesAbove(
  sql: Sql,
  of: { readonly product: string; readonly channel: string },
  sequence: number,
): Promise<ChannelRelease[]> {
  const rows = await sql.all<{
    id: string;
    version: string;
    sequence: number;
    published_at: number;
  }>(
    `SELECT id, version, sequence, published_at FROM releases
     WHERE product = ? AND channel = ? AND state = 'published' AND sequence > ?
     ORDER BY sequence DESC LIMIT 1000`,
    [of.product, of.channel, sequence],
  );
  return rows.map(({ id, version, sequence: number, published_at: at }) => ({
    ...{ id, version, sequence: number },
    publishedAt: at as Instant,
  }));
}

export async function planNames(
  sql: Sql,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const wanted = [...new Set(ids)];
  const rows = await sql.all<{ id: string; name: string }>(
    `SELECT id, name FROM rollout_plans WHERE id IN (${questionMarks(wanted.length)})`,
    wanted,
  );
  return new Map(rows.map(({ id, name }) => [id, name]));
}
