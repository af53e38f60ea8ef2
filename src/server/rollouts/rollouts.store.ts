import { instant, type Instant } from '../../core/kernel/index.js';
import {
  canWithdraw,
  TARGET_STATES,
  type RolloutEvent,
  type RolloutState,
  type RolloutStatus,
  type Strategy,
  type Target,
  type TargetState,
} from '../../core/rollout/index.js';
import type { Database, Sql, SqlValue, Tx } from '../platform/index.js';

/** What never changes about a rollout. */
export interface RolloutMeta {
  readonly id: string;
  readonly groupId: string;
  readonly scopeKind: 'node' | 'group';
  readonly scopeId: string;
  readonly product: string;
  readonly version: string;
  readonly channel: 'stable' | 'beta' | 'dev';
  readonly strategy: Strategy;
  readonly skipped: readonly { readonly node_id: string; readonly reason: string }[];
  readonly createdBy: string;
  readonly createdById: string;
  readonly createdAt: Instant;
}

export interface StoredRollout {
  readonly meta: RolloutMeta;
  readonly state: RolloutState;
  readonly journalLength: number;
}

export interface StoredTarget extends Target {
  readonly nodeName: string;
  readonly service: string;
  readonly fromVersion: string | null;
  readonly updatedAt: Instant;
}

interface RolloutRow {
  id: string;
  group_id: string;
  scope_kind: 'node' | 'group';
  scope_id: string;
  product: string;
  version: string;
  channel: 'stable' | 'beta' | 'dev';
  strategy: Strategy;
  state: string;
  journal_length: number;
  skipped: string;
  created_by: string;
  created_by_id: string;
  created_at: number;
}

interface TargetRow {
  node_id: string;
  node_name: string;
  service: string;
  wave: number;
  state: TargetState;
  reason: string;
  error_code: string | null;
  command_id: string | null;
  from_version: string | null;
  deadline_at: number | null;
  updated_at: number;
}

const ROLLOUT_COLUMNS =
  'id, group_id, scope_kind, scope_id, product, version, channel, strategy, state, journal_length, skipped, created_by, created_by_id, created_at';
const TARGET_COLUMNS =
  'node_id, node_name, service, wave, state, reason, error_code, command_id, from_version, deadline_at, updated_at';

/** SQL takes at most some ten thousand parameters a statement; 200 rows of 12 stay far below. */
const ROWS_PER_INSERT = 200;

export const WITHDRAWABLE: readonly TargetState[] = TARGET_STATES.filter(canWithdraw);

/** Splits work into statements of bounded size. */
export function* chunksOf<T>(items: readonly T[], size = ROWS_PER_INSERT): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

export const questionMarks = (count: number): string => Array(count).fill('?').join(', ');

/** Adds a rollout with its targets; all or nothing with the caller's transaction. */
export async function insertRollout(
  tx: Tx,
  meta: RolloutMeta,
  state: RolloutState,
  targets: readonly StoredTarget[],
): Promise<void> {
  await tx.run(
    `INSERT INTO rollouts (${ROLLOUT_COLUMNS}, status, updated_at)
     VALUES (${questionMarks(16)})`,
    [
      meta.id,
      meta.groupId,
      meta.scopeKind,
      meta.scopeId,
      meta.product,
      meta.version,
      meta.channel,
      meta.strategy,
      JSON.stringify(state),
      0,
      JSON.stringify(meta.skipped),
      meta.createdBy,
      meta.createdById,
      meta.createdAt,
      state.status,
      state.updatedAt,
    ],
  );
  for (const chunk of chunksOf(targets)) {
    const params: SqlValue[] = [];
    for (const t of chunk) {
      params.push(meta.id, t.nodeId, t.nodeName, t.service, t.wave, t.state, t.reason);
      params.push(t.errorCode, t.commandId, t.fromVersion, t.deadlineAt, t.updatedAt);
    }
    const rows = chunk.map(() => `(${questionMarks(12)})`).join(', ');
    await tx.run(
      `INSERT INTO rollout_targets (rollout_id, ${TARGET_COLUMNS}) VALUES ${rows}`,
      params,
    );
  }
}

/**
 * Takes (node, service) for a rollout; the answer names those that another active rollout holds.
 * When it is not empty the caller must roll back.
 */
export async function claimTargets(
  tx: Tx,
  rolloutId: string,
  targets: readonly { readonly nodeId: string; readonly service: string }[],
): Promise<string[]> {
  const busy: string[] = [];
  // In one order for everybody: two that want the same nodes wait for each other, once, in line.
  const inOrder = [...targets].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  for (const chunk of chunksOf(inOrder)) {
    const params = chunk.flatMap((t) => [t.nodeId, t.service, rolloutId]);
    const rows = chunk.map(() => '(?, ?, ?)').join(', ');
    const taken = await tx.all<{ node_id: string }>(
      `INSERT INTO active_targets (node_id, service, rollout_id) VALUES ${rows}
       ON CONFLICT (node_id, service) DO NOTHING RETURNING node_id`,
      params,
    );
    const ours = new Set(taken.map((row) => row.node_id));
    for (const target of chunk) if (!ours.has(target.nodeId)) busy.push(target.nodeId);
  }
  return busy;
}

/** Whether an active rollout other than this one has claimed the (node, service). */
export async function isHeldByAnother(
  sql: Sql,
  rolloutId: string,
  target: { readonly nodeId: string; readonly service: string },
): Promise<boolean> {
  const row = await sql.get<{ rollout_id: string }>(
    'SELECT rollout_id FROM active_targets WHERE node_id = ? AND service = ?',
    [target.nodeId, target.service],
  );
  return row !== undefined && row.rollout_id !== rolloutId;
}

export async function releaseTargets(tx: Tx, rolloutId: string): Promise<void> {
  await tx.run('DELETE FROM active_targets WHERE rollout_id = ?', [rolloutId]);
}

/** With `lock`, no other transaction changes the rollout until this one ends. */
export async function findRollout(
  sql: Sql,
  id: string,
  lock: Database['kind'] | null = null,
): Promise<StoredRollout | null> {
  const row = await sql.get<RolloutRow>(
    `SELECT ${ROLLOUT_COLUMNS} FROM rollouts WHERE id = ?${lock === 'postgres' ? ' FOR UPDATE' : ''}`,
    [id],
  );
  return row === undefined ? null : toRollout(row);
}

export async function saveRollout(
  tx: Tx,
  state: RolloutState,
  journalLength: number,
  nextWakeAt: Instant | null,
): Promise<void> {
  await tx.run(
    `UPDATE rollouts SET status = ?, state = ?, journal_length = ?, next_wake_at = ?, updated_at = ?
     WHERE id = ?`,
    [state.status, JSON.stringify(state), journalLength, nextWakeAt, state.updatedAt, state.id],
  );
}

export async function appendJournal(
  tx: Tx,
  rolloutId: string,
  position: number,
  events: readonly RolloutEvent[],
): Promise<void> {
  let next = position;
  for (const chunk of chunksOf(events)) {
    const params = chunk.flatMap((event) => [rolloutId, next++, JSON.stringify(event)]);
    const rows = chunk.map(() => '(?, ?, ?)').join(', ');
    await tx.run(
      `INSERT INTO rollout_journal (rollout_id, position, event) VALUES ${rows}`,
      params,
    );
  }
}

export async function readJournal(sql: Sql, rolloutId: string): Promise<RolloutEvent[]> {
  const rows = await sql.all<{ event: string }>(
    'SELECT event FROM rollout_journal WHERE rollout_id = ? ORDER BY position',
    [rolloutId],
  );
  return rows.map((row) => JSON.parse(row.event) as RolloutEvent);
}

/** Newest first; `before` is the (created_at, id) of the last one seen. */
export async function listRollouts(
  sql: Sql,
  filter: {
    readonly groups: 'all' | readonly string[];
    readonly status?: RolloutStatus | undefined;
    readonly before: { readonly at: number; readonly id: string } | null;
    readonly limit: number;
  },
): Promise<StoredRollout[]> {
  if (filter.groups !== 'all' && filter.groups.length === 0) return [];
  const where: string[] = ['1 = 1'];
  const params: SqlValue[] = [];
  if (filter.groups !== 'all') {
    where.push(`group_id IN (${questionMarks(filter.groups.length)})`);
    params.push(...filter.groups);
  }
  if (filter.status !== undefined) {
    where.push('status = ?');
    params.push(filter.status);
  }
  if (filter.before !== null) {
    where.push('(created_at < ? OR (created_at = ? AND id < ?))');
    params.push(filter.before.at, filter.before.at, filter.before.id);
  }
  params.push(filter.limit);
  const rows = await sql.all<RolloutRow>(
    `SELECT ${ROLLOUT_COLUMNS} FROM rollouts WHERE ${where.join(' AND ')}
     ORDER BY created_at DESC, id DESC LIMIT ?`,
    params,
  );
  return rows.map(toRollout);
}

export async function dueRollouts(sql: Sql, now: Instant, limit: number): Promise<string[]> {
  const rows = await sql.all<{ id: string }>(
    `SELECT id FROM rollouts WHERE status = 'in_progress' AND next_wake_at <= ?
     ORDER BY next_wake_at LIMIT ?`,
    [now, limit],
  );
  return rows.map((row) => row.id);
}

export async function findTarget(
  sql: Sql,
  rolloutId: string,
  nodeId: string,
): Promise<StoredTarget | null> {
  const row = await sql.get<TargetRow>(
    `SELECT ${TARGET_COLUMNS} FROM rollout_targets WHERE rollout_id = ? AND node_id = ?`,
    [rolloutId, nodeId],
  );
  return row === undefined ? null : toTarget(row);
}

export async function saveTarget(
  tx: Tx,
  rolloutId: string,
  target: Target,
  now: Instant,
): Promise<void> {
  await tx.run(
    `UPDATE rollout_targets SET state = ?, reason = ?, error_code = ?, command_id = ?,
     deadline_at = ?, updated_at = ? WHERE rollout_id = ? AND node_id = ?`,
    [
      target.state,
      target.reason,
      target.errorCode,
      target.commandId,
      target.deadlineAt,
      now,
      rolloutId,
      target.nodeId,
    ],
  );
}

/** Targets by wave, then node id; `after` is the last one seen. */
export async function listTargets(
  sql: Sql,
  rolloutId: string,
  after: { readonly wave: number; readonly nodeId: string } | null,
  limit: number,
): Promise<StoredTarget[]> {
  const rows = await sql.all<TargetRow>(
    `SELECT ${TARGET_COLUMNS} FROM rollout_targets WHERE rollout_id = ?
     AND (wave > ? OR (wave = ? AND node_id > ?)) ORDER BY wave, node_id LIMIT ?`,
    [rolloutId, after?.wave ?? -1, after?.wave ?? -1, after?.nodeId ?? '', limit],
  );
  return rows.map(toTarget);
}

export async function targetsInStates(
  sql: Sql,
  rolloutId: string,
  states: readonly TargetState[],
  wave: number | null,
): Promise<StoredTarget[]> {
  const rows = await sql.all<TargetRow>(
    `SELECT ${TARGET_COLUMNS} FROM rollout_targets WHERE rollout_id = ?
     AND state IN (${questionMarks(states.length)})${wave === null ? '' : ' AND wave = ?'}`,
    [rolloutId, ...states, ...(wave === null ? [] : [wave])],
  );
  return rows.map(toTarget);
}

export async function overdueTargets(
  sql: Sql,
  rolloutId: string,
  now: Instant,
  limit: number,
): Promise<StoredTarget[]> {
  const rows = await sql.all<TargetRow>(
    `SELECT ${TARGET_COLUMNS} FROM rollout_targets WHERE rollout_id = ? AND deadline_at <= ?
     ORDER BY deadline_at LIMIT ?`,
    [rolloutId, now, limit],
  );
  return rows.map(toTarget);
}

export async function firstDeadline(sql: Sql, rolloutId: string): Promise<Instant | null> {
  const row = await sql.get<{ at: number | null }>(
    'SELECT MIN(deadline_at) AS at FROM rollout_targets WHERE rollout_id = ? AND deadline_at > 0',
    [rolloutId],
  );
  return typeof row?.at === 'number' ? instant(row.at) : null;
}

export async function extendDeadlines(
  tx: Tx,
  rolloutId: string,
  deadlineAt: Instant,
): Promise<void> {
  await tx.run(
    'UPDATE rollout_targets SET deadline_at = ? WHERE rollout_id = ? AND deadline_at > 0',
    [deadlineAt, rolloutId],
  );
}

const toRollout = (row: RolloutRow): StoredRollout => ({
  meta: {
    id: row.id,
    groupId: row.group_id,
    scopeKind: row.scope_kind,
    scopeId: row.scope_id,
    product: row.product,
    version: row.version,
    channel: row.channel,
    strategy: row.strategy,
    skipped: JSON.parse(row.skipped) as RolloutMeta['skipped'],
    createdBy: row.created_by,
    createdById: row.created_by_id,
    createdAt: instant(row.created_at),
  },
  state: JSON.parse(row.state) as RolloutState,
  journalLength: row.journal_length,
});

const toTarget = (row: TargetRow): StoredTarget => ({
  nodeId: row.node_id,
  nodeName: row.node_name,
  service: row.service,
  wave: row.wave,
  state: row.state,
  reason: row.reason,
  errorCode: row.error_code,
  commandId: row.command_id,
  fromVersion: row.from_version,
  deadlineAt: row.deadline_at === null ? null : instant(row.deadline_at),
  updatedAt: instant(row.updated_at),
});
