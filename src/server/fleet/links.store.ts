import {
  filledUp,
  questionMarks,
  type Database,
  type Sql,
  type Tx,
} from '../platform/database/index.js';
import { chunks, type NodeStatus } from './nodes.store.js';

/** As the row of a node speaks of its newest link, whichever manager has it. */
export interface LinkRow {
  readonly id: string;
  readonly group_id: string;
  readonly status: NodeStatus;
  readonly link_manager: string | null;
  readonly link_session: string | null;
}

const LINK = 'id, group_id, status, link_manager, link_session';
const NO_LINK = 'link_manager = NULL, link_session = NULL, link_poll = NULL';

/** Ends up to `limit` links of a manager that is gone, and tells whose they were. */
export async function endLinksOf(
  tx: Tx,
  managerId: string,
  given: { readonly kind: Database['kind']; readonly now: number; readonly limit: number },
): Promise<LinkRow[]> {
  const { kind, now, limit } = given;
  const held = kind === 'postgres' ? 'FOR NO KEY UPDATE' : '';
  const ids = await tx.all<{ id: string }>(
    `SELECT id FROM nodes WHERE link_manager = ? ORDER BY id LIMIT ? ${held}`,
    [managerId, limit],
  );
  if (ids.length === 0) return [];
  // By name and not by who is gone: a node that has come to somebody else meanwhile is left alone.
  return await tx.all<LinkRow>(
    `UPDATE nodes SET status = CASE WHEN revoked_at IS NULL THEN 'offline' ELSE status END,
       last_seen_at = ?, ${NO_LINK}
     WHERE id IN (${questionMarks(ids.length)}) AND link_manager = ? RETURNING ${LINK}`,
    [now, ...ids.map(({ id }) => id), managerId],
  );
}

/** Null: nobody has it. */
export async function holderOf(
  sql: Sql,
  nodeId: string,
): Promise<{ readonly managerId: string; readonly pollId: string | null } | null> {
  const row = await sql.get<{ manager: string | null; poll: string | null }>(
    'SELECT link_manager AS manager, link_poll AS poll FROM nodes WHERE id = ?',
    [nodeId],
  );
  const managerId = row?.manager ?? null;
  return managerId === null ? null : { managerId, pollId: row?.poll ?? null };
}

/** In no order; ids that nobody has are left out. */
export async function linksOf(sql: Sql, nodeIds: readonly string[]): Promise<LinkRow[]> {
  const rows: LinkRow[] = [];
  for (const some of chunks(nodeIds)) {
    const filled = filledUp(some);
    const text = `SELECT ${LINK} FROM nodes WHERE id IN (${questionMarks(filled.length)})`;
    rows.push(...(await sql.all<LinkRow>(text, filled)));
  }
  return rows;
}

/** The links that are written for one manager. */
export async function linksHeldBy(sql: Sql, managerId: string): Promise<LinkRow[]> {
  return await sql.all<LinkRow>(`SELECT ${LINK} FROM nodes WHERE link_manager = ?`, [managerId]);
}

/** Managers that are written beside nodes and are on the list no more. */
export async function lostManagers(sql: Sql): Promise<string[]> {
  const rows = await sql.all<{ id: string }>(
    `SELECT DISTINCT n.link_manager AS id FROM nodes n WHERE n.link_manager IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM managers m WHERE m.id = n.link_manager)`,
  );
  return rows.map(({ id }) => id);
}

/**
 * Nodes that are written as here by a manager that does not say which: one of an older version. Whoever it
 * was, it has not heard of them since that moment.
 */
export async function forgottenOffline(tx: Tx, seenBefore: number): Promise<void> {
  await tx.run(
    `UPDATE nodes SET status = 'offline'
     WHERE status = 'online' AND link_manager IS NULL AND last_seen_at < ?`,
    [seenBefore],
  );
}
