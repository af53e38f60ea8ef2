import { FleetError, instant, type Instant } from '../../../core/kernel/index.js';
import {
  canRetry,
  canWithdraw,
  TARGET_STATES,
  WAITS_FOR_HAND,
  type Target,
  type TargetState,
} from '../../../core/rollout/index.js';
import type { FleetNode } from '../../fleet/index.js';
import {
  filledUp,
  questionMarks,
  rowsOf,
  tableOf,
  type Database,
  type Sql,
  type SqlValue,
  type Tx,
} from '../../platform/index.js';
import { chunksOf } from './statements.js';

/** Each with eight values. */
const TARGETS_PER_UPDATE = 64;

export interface StoredTarget extends Target {
  readonly nodeName: string;
  readonly service: string;
  readonly fromVersion: string | null;
  readonly updatedAt: Instant;
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
  offline: number;
  deadline_at: number | null;
  updated_at: number;
}

const TARGET_COLUMNS =
  'node_id, node_name, service, wave, state, reason, error_code, command_id, from_version, offline, deadline_at, updated_at';

const RETRYABLE: readonly TargetState[] = TARGET_STATES.filter(canRetry);
export const WITHDRAWABLE: readonly TargetState[] = TARGET_STATES.filter(canWithdraw);

/** Adds the targets of a rollout, a bounded number with each statement. */
export async function insertTargets(
  tx: Tx,
  rolloutId: string,
  targets: readonly StoredTarget[],
): Promise<void> {
  for (const chunk of chunksOf(targets)) {
    const params: SqlValue[] = [];
    for (const t of chunk) {
      params.push(rolloutId, t.nodeId, t.nodeName, t.service, t.wave, t.state, t.reason);
      params.push(t.errorCode, t.commandId, t.fromVersion, t.offline ? 1 : 0, t.deadlineAt);
      params.push(t.updatedAt);
    }
    const rows = rowsOf(chunk.length, `(${questionMarks(13)})`);
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
    const rows = rowsOf(chunk.length, '(?, ?, ?)');
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

/**
 * Throws `conflict` when a node is no longer in the group in which it was planned, or was taken out. To be
 * called after the claim: whoever transfers a node, or takes it out for its long silence, looks for claims after he has taken its row, so of the two, one is
 * late and sees the other.
 */
export async function requireStillThere(
  tx: Tx,
  nodes: readonly Pick<FleetNode, 'id' | 'groupId'>[],
  kind: Database['kind'],
): Promise<void> {
  const held = kind === 'postgres' ? 'ORDER BY id FOR SHARE' : '';
  for (const chunk of chunksOf(nodes)) {
    const rows = await tx.all<{ id: string; group_id: string }>(
      `SELECT id, group_id FROM nodes
       WHERE id IN (${questionMarks(chunk.length)}) AND revoked_at IS NULL ${held}`,
      chunk.map(({ id }) => id),
    );
    const groupOf = new Map(rows.map((row) => [row.id, row.group_id]));
    const gone = chunk.filter(({ id, groupId }) => groupOf.get(id) !== groupId);
    if (gone.length > 0) {
      throw new FleetError('conflict', 'a node was transferred or taken out meanwhile; ask again', {
        context: { node_ids: gone.map(({ id }) => id) },
      });
    }
  }
}

export async function releaseTargets(tx: Tx, rolloutId: string): Promise<void> {
  await tx.run('DELETE FROM active_targets WHERE rollout_id = ?', [rolloutId]);
}

/** Which target is meant. */
export interface TargetKey {
  readonly rolloutId: string;
  readonly nodeId: string;
}

/** In no order; those that are not there are left out. */
export async function findTargets(
  sql: Sql,
  keys: readonly TargetKey[],
): Promise<{ readonly rolloutId: string; readonly target: StoredTarget }[]> {
  const byRollout = Map.groupBy(keys, (key) => key.rolloutId);
  const sent = [...byRollout].flatMap(([rolloutId, some]) =>
    [...chunksOf(some)].map(async (chunk) => {
      const filled = filledUp(chunk.map(({ nodeId }) => nodeId));
      const rows = await sql.all<TargetRow>(
        `SELECT ${TARGET_COLUMNS} FROM rollout_targets
         WHERE rollout_id = ? AND node_id IN (${questionMarks(filled.length)})`,
        [rolloutId, ...filled],
      );
      return rows.map((row) => ({ rolloutId, target: toTarget(row) }));
    }),
  );
  return (await Promise.all(sent)).flat();
}

export async function findTarget(
  sql: Sql,
  rolloutId: string,
  nodeId: string,
): Promise<StoredTarget | null> {
  const [found] = await findTargets(sql, [{ rolloutId, nodeId }]);
  return found?.target ?? null;
}

/** Each named once. In no order: whoever writes targets holds their rollouts. */
export async function saveTargets(
  tx: Tx,
  moved: readonly (TargetKey & { readonly target: Target })[],
  now: Instant,
): Promise<void> {
  const sent = [...chunksOf(moved, TARGETS_PER_UPDATE)].map((chunk) => {
    const { text, params } = tableOf(
      chunk.map(({ rolloutId, target: t }) => [
        ...[rolloutId, t.nodeId, t.state, t.reason, t.errorCode, t.commandId],
        ...[String(t.offline ? 1 : 0), t.deadlineAt === null ? null : String(t.deadlineAt)],
      ]),
    );
    return tx.run(
      `UPDATE rollout_targets SET state = v.column3, reason = v.column4, error_code = v.column5,
         command_id = v.column6, offline = CAST(v.column7 AS integer),
         deadline_at = CAST(v.column8 AS bigint), updated_at = ?
       FROM ${text} WHERE rollout_id = v.column1 AND node_id = v.column2`,
      [now, ...params],
    );
  });
  await Promise.all(sent);
}

/** Targets by wave, then node id; `after` is the last one seen. */
export async function listTargets(
  sql: Sql,
  rolloutId: string,
  after: { readonly wave: number; readonly nodeId: string } | null,
  limit: number,
  only: { readonly state?: TargetState | undefined; readonly nodeId?: string | undefined } = {},
): Promise<StoredTarget[]> {
  const given: readonly (readonly [column: string, value: string | undefined])[] = [
    ['state', only.state],
    ['node_id', only.nodeId],
  ];
  const wanted = given.flatMap(([column, value]) =>
    value === undefined ? [] : [{ column, value }],
  );
  const rows = await sql.all<TargetRow>(
    `SELECT ${TARGET_COLUMNS} FROM rollout_targets WHERE rollout_id = ?
     AND (wave > ? OR (wave = ? AND node_id > ?))${wanted.map(({ column }) => ` AND ${column} = ?`).join('')}
     ORDER BY wave, node_id LIMIT ?`,
    [
      ...[rolloutId, after?.wave ?? -1, after?.wave ?? -1, after?.nodeId ?? ''],
      ...wanted.map(({ value }) => value),
      limit,
    ],
  );
  return rows.map(toTarget);
}

/** In order of node id; of one wave or of all, at most `limit`. */
export async function targetsInStates(
  sql: Sql,
  rolloutId: string,
  states: readonly TargetState[],
  { wave = null, limit = null }: { readonly wave?: number | null; readonly limit?: number | null },
): Promise<StoredTarget[]> {
  const rows = await sql.all<TargetRow>(
    `SELECT ${TARGET_COLUMNS} FROM rollout_targets WHERE rollout_id = ?
     AND state IN (${questionMarks(states.length)})${wave === null ? '' : ' AND wave = ?'}
     ORDER BY node_id${limit === null ? '' : ' LIMIT ?'}`,
    [rolloutId, ...states, ...(wave === null ? [] : [wave]), ...(limit === null ? [] : [limit])],
  );
  return rows.map(toTarget);
}

/** Upgraded targets of running rollouts whose node is away since `before` and not counted yet. */
export async function goneTargets(
  sql: Sql,
  before: Instant,
  limit: number,
): Promise<{ readonly rolloutId: string; readonly nodeId: string }[]> {
  const rows = await sql.all<{ rollout_id: string; node_id: string }>(
    `SELECT a.rollout_id, a.node_id FROM nodes n JOIN active_targets a ON a.node_id = n.id
     WHERE n.status = 'offline' AND n.last_seen_at < ?
       AND EXISTS (SELECT 1 FROM rollout_targets t WHERE t.rollout_id = a.rollout_id AND t.node_id = n.id
         AND t.state = 'succeeded' AND t.offline = 0 LIMIT 1 OFFSET 0)
       AND EXISTS (SELECT 1 FROM rollouts r WHERE r.id = a.rollout_id AND r.status = 'in_progress')
     LIMIT ?`,
    [before, limit],
  );
  return rows.map((row) => ({ rolloutId: row.rollout_id, nodeId: row.node_id }));
}

/**
 * Targets that succeeded only after their rollout was reverted, since some moment, and that no way
 * back has: they were in the middle of the swap. The newest first.
 */
export async function lateForRevert(
  sql: Sql,
  since: Instant,
  limit: number,
): Promise<{ readonly rolloutId: string; readonly nodeId: string }[]> {
  const rows = await sql.all<{ rollout_id: string; node_id: string }>(
    `SELECT t.rollout_id, t.node_id
     FROM (SELECT reverts, MAX(created_at) AS at FROM rollouts
       WHERE reverts IS NOT NULL AND created_at > ? GROUP BY reverts) w
     JOIN rollout_targets t ON t.rollout_id = w.reverts
     WHERE t.state = 'succeeded' AND t.updated_at >= w.at AND t.from_version IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM rollouts x JOIN rollout_targets y ON y.rollout_id = x.id
         WHERE x.reverts = w.reverts AND y.node_id = t.node_id)
     ORDER BY t.updated_at DESC LIMIT ?`,
    [since, limit],
  );
  return rows.map((row) => ({ rolloutId: row.rollout_id, nodeId: row.node_id }));
}

/** Which rollout has claimed which service of a node. */
export interface ActiveTarget {
  readonly nodeId: string;
  readonly rolloutId: string;
  readonly service: string;
}

/** The rollouts that have claimed services of these nodes, in the order of their ids. */
export async function activeOf(sql: Sql, nodeIds: readonly string[]): Promise<ActiveTarget[]> {
  const active: ActiveTarget[] = [];
  for (const chunk of chunksOf(nodeIds)) {
    const filled = filledUp(chunk);
    const rows = await sql.all<{ node_id: string; rollout_id: string; service: string }>(
      `SELECT node_id, rollout_id, service FROM active_targets
       WHERE node_id IN (${questionMarks(filled.length)}) ORDER BY rollout_id`,
      filled,
    );
    for (const row of rows) {
      active.push({ nodeId: row.node_id, rolloutId: row.rollout_id, service: row.service });
    }
  }
  return active;
}

/** What failed or kept silent in a wave, and is not stuck, waits for a new command; what it had counts no more. */
export async function retryTargets(
  tx: Tx,
  rolloutId: string,
  wave: number,
  now: Instant,
): Promise<void> {
  await tx.run(
    `UPDATE rollout_targets SET state = 'pending', reason = 'retried', error_code = NULL,
       command_id = NULL, offline = 0, deadline_at = NULL, updated_at = ?
     WHERE rollout_id = ? AND wave = ? AND state IN (${questionMarks(RETRYABLE.length)})
       AND reason <> 'upgrade_rollback_failed'`,
    [now, rolloutId, wave, ...RETRYABLE],
  );
}

/** One more target for a rollout that runs. */
export const insertTarget = (tx: Tx, rolloutId: string, target: StoredTarget): Promise<void> =>
  insertTargets(tx, rolloutId, [target]);

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

/** Of all that have one. Whoever waits for a person gets none, and loses what an older manager gave it. */
export async function extendDeadlines(
  tx: Tx,
  rolloutId: string,
  deadlineAt: Instant,
): Promise<void> {
  await tx.run(
    `UPDATE rollout_targets SET deadline_at =
       CASE WHEN state = 'staged' AND error_code = ? THEN NULL ELSE CAST(? AS bigint) END
     WHERE rollout_id = ? AND deadline_at > 0`,
    [WAITS_FOR_HAND, deadlineAt, rolloutId],
  );
}

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
  offline: row.offline === 1,
  deadlineAt: row.deadline_at === null ? null : instant(row.deadline_at),
  updatedAt: instant(row.updated_at),
});

/** What the nodes of a rollout last said of their services, as stored. */
export async function servicesOfTargets(
  sql: Sql,
  rolloutId: string,
): Promise<{ wave: number; service: string; services: string; isOnline: boolean }[]> {
  const rows = await sql.all<{ wave: number; service: string; services: string; status: string }>(
    `SELECT t.wave, t.service, n.services, n.status FROM rollout_targets t
       JOIN nodes n ON n.id = t.node_id WHERE t.rollout_id = ?`,
    [rolloutId],
  );
  return rows.map(({ status, ...row }) => ({ ...row, isOnline: status === 'online' }));
}
