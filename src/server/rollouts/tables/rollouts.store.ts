import { instant, type Instant } from '../../../core/kernel/index.js';
import type {
  Plan,
  RolloutEvent,
  RolloutState,
  RolloutStatus,
  Strategy,
  TargetState,
  WaveState,
} from '../../../core/rollout/index.js';
import {
  rowsOf,
  newestFirst,
  questionMarks,
  type Database,
  type PageOfGroups,
  type Sql,
  type Tx,
} from '../../platform/index.js';
import { chunksOf } from './statements.js';
import { insertTargets, type StoredTarget } from './targets.store.js';

/** Which nodes: those of a group and below, all or with these labels or ids, but for some. */
export interface Scope {
  readonly groupId: string;
  readonly subgroups: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly nodeIds: readonly string[] | null;
  readonly exclude: readonly string[];
}

/** What a rollout was made by, as that was then. */
export interface MadeBy {
  readonly plan: { readonly id: string; readonly name: string; readonly revision: number };
  readonly schedule: { readonly id: string; readonly name: string } | null;
}

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
  /** As it was asked for; nodes that come later are held against it. */
  readonly scope: Scope;
  /** What a node that comes later runs until its ring opens. */
  readonly startVersion: string | null;
  /** Null when its terms came with the request. */
  readonly madeBy: MadeBy | null;
  /** The rollout that this one takes back. */
  readonly reverts: string | null;
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

interface RolloutRow {
  id: string;
  group_id: string;
  scope_kind: 'node' | 'group';
  scope_id: string;
  product: string;
  version: string;
  channel: 'stable' | 'beta' | 'dev';
  strategy: Strategy;
  scope: string;
  start_version: string | null;
  reverts: string | null;
  made_by: string | null;
  plan: string;
  state: string;
  journal_length: number;
  skipped: string;
  created_by: string;
  created_by_id: string;
  created_at: number;
}

const ROLLOUT_COLUMNS =
  'id, group_id, scope_kind, scope_id, product, version, channel, strategy, scope, start_version, reverts, made_by, plan, state, journal_length, skipped, created_by, created_by_id, created_at';
/** Adds a rollout with its targets; all or nothing with the caller's transaction. */
export async function insertRollout(
  tx: Tx,
  meta: RolloutMeta,
  state: RolloutState,
  targets: readonly StoredTarget[],
): Promise<void> {
  await tx.run(
    `INSERT INTO rollouts (${ROLLOUT_COLUMNS}, status, updated_at)
     VALUES (${questionMarks(21)})`,
    [
      meta.id,
      meta.groupId,
      meta.scopeKind,
      meta.scopeId,
      meta.product,
      meta.version,
      meta.channel,
      meta.strategy,
      JSON.stringify(meta.scope),
      meta.startVersion,
      meta.reverts,
      meta.madeBy === null ? null : JSON.stringify(meta.madeBy),
      JSON.stringify(state.plan),
      stateText(state),
      0,
      JSON.stringify(meta.skipped),
      meta.createdBy,
      meta.createdById,
      meta.createdAt,
      state.status,
      state.updatedAt,
    ],
  );
  await insertTargets(tx, meta.id, targets);
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
    [state.status, stateText(state), journalLength, nextWakeAt, state.updatedAt, state.id],
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
    const rows = rowsOf(chunk.length, '(?, ?, ?)');
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

/** Newest first. */
export async function listRollouts(
  sql: Sql,
  filter: PageOfGroups & { readonly status?: RolloutStatus | undefined },
): Promise<StoredRollout[]> {
  const { status } = filter;
  const rows = await newestFirst<RolloutRow>(
    sql,
    `SELECT ${ROLLOUT_COLUMNS} FROM rollouts`,
    filter,
    status === undefined ? [] : [['status = ?', status]],
  );
  return rows.map(toRollout);
}

/**
 * Ids of scheduled rollouts that run, oldest first: only those take nodes that come later. Ids alone, so
 * that a row that cannot be read stops no other.
 */
export async function openScheduled(sql: Sql): Promise<string[]> {
  const rows = await sql.all<{ id: string }>(
    `SELECT id FROM rollouts
     WHERE status IN ('pending', 'in_progress') AND strategy = 'scheduled' ORDER BY created_at, id`,
  );
  return rows.map((row) => row.id);
}

/** Ids of every rollout that is not over. */
export async function openRollouts(sql: Sql): Promise<string[]> {
  const rows = await sql.all<{ id: string }>(
    `SELECT id FROM rollouts WHERE status IN ('pending', 'in_progress', 'paused')`,
  );
  return rows.map((row) => row.id);
}

/** Those whose time has come, or that were written at a time that is still to come: the clock was set back. */
export async function dueRollouts(sql: Sql, now: Instant, limit: number): Promise<string[]> {
  const rows = await sql.all<{ id: string }>(
    `SELECT id FROM rollouts WHERE status IN ('pending', 'in_progress')
     AND (next_wake_at <= ? OR (next_wake_at IS NOT NULL AND updated_at > ?)) ORDER BY next_wake_at LIMIT ?`,
    [now, now, limit],
  );
  return rows.map((row) => row.id);
}

/** The plan never changes, so it is not written again with every step. */
const stateText = ({ plan: _, ...changing }: RolloutState): string => JSON.stringify(changing);

const planOf = (text: string): Plan => JSON.parse(text) as Plan;

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
    scope: JSON.parse(row.scope) as Scope,
    startVersion: row.start_version,
    reverts: row.reverts,
    madeBy: row.made_by === null ? null : (JSON.parse(row.made_by) as MadeBy),
    skipped: JSON.parse(row.skipped) as RolloutMeta['skipped'],
    createdBy: row.created_by,
    createdById: row.created_by_id,
    createdAt: instant(row.created_at),
  },
  state: { ...(JSON.parse(row.state) as Omit<RolloutState, 'plan'>), plan: planOf(row.plan) },
  journalLength: row.journal_length,
});

/**
 * The newest of the last twenty rollouts of a product to one of these groups that is complete without a
 * failure: what the group has proven. A rollout that runs, was paused, cancelled or marked as rolled
 * back proves nothing.
 */
export async function newestProven(
  sql: Sql,
  { product, groups }: { readonly product: string; readonly groups: readonly string[] },
): Promise<RolloutMeta | null> {
  if (groups.length === 0) return null;
  const rows = await sql.all<RolloutRow>(
    `SELECT ${ROLLOUT_COLUMNS} FROM rollouts
     WHERE product = ? AND status = 'complete' AND scope_kind = 'group'
       AND scope_id IN (${questionMarks(groups.length)})
     ORDER BY created_at DESC, id DESC LIMIT 20`,
    [product, ...groups],
  );
  const proven = rows.map(toRollout).find(({ state }) => state.reason !== 'complete_with_failures');
  return proven?.meta ?? null;
}

/** Rollouts of a product to groups that are not over. */
export async function openGroupRollouts(
  sql: Sql,
  product: string,
): Promise<readonly Pick<RolloutMeta, 'id' | 'groupId' | 'scope' | 'reverts'>[]> {
  const rows = await sql.all<Pick<RolloutRow, 'id' | 'group_id' | 'scope' | 'reverts'>>(
    `SELECT id, group_id, scope, reverts FROM rollouts
     WHERE status IN ('pending', 'in_progress', 'paused') AND scope_kind = 'group' AND product = ?
     ORDER BY created_at, id`,
    [product],
  );
  return rows.map(({ id, group_id: groupId, scope, reverts }) => ({
    ...{ id, groupId, reverts },
    scope: JSON.parse(scope) as Scope,
  }));
}

/** Whether a scope is a group with all below it, and nobody left out. */
export const isWhole = ({ subgroups, labels, nodeIds, exclude }: Scope): boolean =>
  subgroups && Object.keys(labels).length === 0 && nodeIds === null && exclude.length === 0;

/** Whether this group, whole, has had a rollout of this release that was not a way back. */
export async function wasRolledOut(
  sql: Sql,
  release: Pick<RolloutMeta, 'product' | 'version' | 'channel'>,
  groupId: string,
): Promise<boolean> {
  const rows = await sql.all<{ scope: string }>(
    `SELECT DISTINCT scope FROM rollouts WHERE product = ? AND version = ? AND channel = ?
       AND group_id = ? AND scope_kind = 'group' AND reverts IS NULL`,
    [release.product, release.version, release.channel, groupId],
  );
  return rows.some(({ scope }) => isWhole(JSON.parse(scope) as Scope));
}

/** Rollouts whose counters are added up for one look; the newest. A fleet runs some tens at once. */
export const NUMBERED_ROLLOUTS_MAX = 500;

/** Rollouts of all managers that are not over, in numbers. */
export interface RolloutNumbers {
  readonly byStatus: ReadonlyMap<string, number>;
  readonly targets: ReadonlyMap<TargetState, number>;
  /** Waves that are not through, by their reason. */
  readonly waves: ReadonlyMap<string, number>;
  /** Rollouts that `targets` and `waves` leave out. */
  readonly beyondLimit: number;
  readonly waiting: number;
  /** Epoch ms of the oldest moment that a rollout waits for; null when none does. */
  readonly firstWakeAt: number | null;
}

const THROUGH: ReadonlySet<WaveState['status']> = new Set(['passed', 'skipped']);

/**
 * From the counters that each rollout keeps in its own row: two statements over rollouts that are not
 * over, none over targets, whatever the size of the fleet.
 */
export async function rolloutNumbers(sql: Sql): Promise<RolloutNumbers> {
  const statuses = await sql.all<{
    status: string;
    count: number;
    waiting: number;
    first: number | null;
  }>(
    `SELECT status, COUNT(*) AS count, COUNT(next_wake_at) AS waiting, MIN(next_wake_at) AS first
     FROM rollouts WHERE status IN ('pending', 'in_progress', 'paused') GROUP BY status`,
  );
  const rows = await sql.all<{ state: string }>(
    `SELECT state FROM rollouts WHERE status IN ('pending', 'in_progress', 'paused')
     ORDER BY created_at DESC, id DESC LIMIT ?`,
    [NUMBERED_ROLLOUTS_MAX],
  );
  const targets = new Map<TargetState, number>();
  const waves = new Map<string, number>();
  for (const row of rows) {
    const state = JSON.parse(row.state) as Pick<RolloutState, 'waves'>;
    for (const wave of state.waves) {
      if (!THROUGH.has(wave.status)) waves.set(wave.reason, (waves.get(wave.reason) ?? 0) + 1);
      for (const [name, count] of Object.entries(wave.counts) as [TargetState, number][]) {
        targets.set(name, (targets.get(name) ?? 0) + count);
      }
    }
  }
  const led = statuses.filter(({ status }) => status !== 'paused');
  const firsts = led.flatMap(({ first }) => first ?? []);
  return {
    byStatus: new Map(statuses.map(({ status, count }) => [status, count])),
    targets,
    waves,
    beyondLimit: statuses.reduce((sum, { count }) => sum + count, 0) - rows.length,
    waiting: led.reduce((sum, { waiting }) => sum + waiting, 0),
    firstWakeAt: firsts.length === 0 ? null : Math.min(...firsts),
  };
}
