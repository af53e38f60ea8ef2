import {
  questionMarks,
  tableOf,
  type Database,
  type Sql,
  type Tx,
} from '../platform/database/index.js';
import { chunks, holdNodes, rowsOfNodes, type NodeStatus } from './nodes.store.js';

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

/** A link that has ended. */
export interface Leaving {
  readonly nodeId: string;
  readonly sessionId: string;
}

/** Ends links, and tells the nodes that left: those of which it was the newest link. The others are here by another one. */
export async function endLinks(
  tx: Tx,
  kind: Database['kind'],
  leaving: readonly Leaving[],
  now: number,
): Promise<Set<string>> {
  const left = new Set<string>();
  for (const some of chunks(leaving)) {
    await holdNodes(
      tx,
      kind,
      some.map(({ nodeId }) => nodeId),
    );
    const { text, params } = tableOf(some.map(({ nodeId, sessionId }) => [nodeId, sessionId]));
    const rows = await tx.all<{ id: string }>(
      `UPDATE nodes SET status = 'offline', last_seen_at = ?, ${NO_LINK}
       FROM ${text} WHERE nodes.id = v.column1 AND nodes.link_session = v.column2
         AND nodes.status = 'online' AND nodes.revoked_at IS NULL RETURNING nodes.id AS id`,
      [now, ...params],
    );
    for (const { id } of rows) left.add(id);
  }
  return left;
}

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
  return await rowsOfNodes<LinkRow>(sql, LINK, nodeIds);
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
