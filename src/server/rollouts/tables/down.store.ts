import type { Instant } from '../../../core/kernel/index.js';
import type { Target } from '../../../core/rollout/index.js';
import type { Database, Sql, Tx } from '../../platform/index.js';

/** Whether a target may make its node count as down: what it becomes or was is news for those who count. */
export const mayBeDown = ({ state, reason }: Pick<Target, 'state' | 'reason'>): boolean =>
  state === 'swapping' ||
  state === 'probation' ||
  reason === 'lost_after_permit' ||
  reason === 'upgrade_rollback_failed';

/**
 * Few are down, so it must begin with those, and not with the scope: thirty thousand targets are 100 ms. Neither database can
 * make a join of a subquery with an OFFSET; it is looked up for each.
 */
const isTarget = (nodeId: string): string =>
  `EXISTS (SELECT 1 FROM rollout_targets t WHERE t.rollout_id = ? AND t.node_id = ${nodeId} LIMIT 1 OFFSET 0)`;

/**
 * Nodes of a rollout that are down for whatever cause: away, or between permit and verdict, or stuck on the way
 * back, in any rollout. At most `most`. What a rollout that is over left without a verdict counts until its
 * deadline only: nobody would ever correct it. Each cause has the limit for itself: with ten thousand nodes away the first
 * hundreds are enough, and permits of all rollouts wait for the answer.
 */
export async function nodesDown(
  sql: Sql,
  rolloutId: string,
  { most, now }: { readonly most: number; readonly now: Instant },
): Promise<string[]> {
  const rows = await sql.all<{ node_id: string }>(
    `SELECT node_id FROM (
       SELECT n.id AS node_id FROM nodes n WHERE n.status = 'offline' AND ${isTarget('n.id')} LIMIT ?
     ) AS away
     UNION SELECT node_id FROM (
       SELECT DISTINCT d.node_id FROM rollout_targets d
         WHERE (d.state IN ('swapping', 'probation') OR d.reason IN ('lost_after_permit', 'upgrade_rollback_failed'))
           AND (d.reason = 'upgrade_rollback_failed' OR d.deadline_at > ? OR EXISTS (
             SELECT 1 FROM active_targets a WHERE a.node_id = d.node_id AND a.rollout_id = d.rollout_id))
           AND ${isTarget('d.node_id')} LIMIT ?
     ) AS in_update LIMIT ?`,
    [rolloutId, most, now, rolloutId, most, most],
  );
  return rows.map(({ node_id }) => node_id);
}

/** How many of them there are but for one, at most `most`. Of `down` one more is needed: that one may be among them. */
export const countBut = (down: readonly string[], but: string, most: number): number =>
  Math.min(most, down.filter((nodeId) => nodeId !== but).length);

/** The same, asked of the table. */
export async function countDown(
  sql: Sql,
  rolloutId: string,
  { but, most, now }: { readonly but: string; readonly most: number; readonly now: Instant },
): Promise<number> {
  return countBut(await nodesDown(sql, rolloutId, { most: most + 1, now }), but, most);
}

/** Nodes that are in the middle of a swap, or on probation after one, whatever the rollout. */
export async function nodesInSwap(sql: Sql, limit: number): Promise<string[]> {
  const rows = await sql.all<{ node_id: string }>(
    `SELECT DISTINCT node_id FROM rollout_targets WHERE state IN ('swapping', 'probation') LIMIT ?`,
    [limit],
  );
  return rows.map(({ node_id }) => node_id);
}

/**
 * Until this transaction ends no other permit within a limit is granted, so that two of them never see
 * the same room. SQLite has one writer anyway.
 */
export async function holdPermits(tx: Tx, database: Database['kind']): Promise<void> {
  if (database === 'postgres') await tx.get('SELECT id FROM permit_lock WHERE id = 1 FOR UPDATE');
}
