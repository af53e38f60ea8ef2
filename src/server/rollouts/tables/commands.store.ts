import type { Command } from '../../../protocol/node/index.js';
import {
  filledUp,
  questionMarks,
  rowsOf,
  type Sql,
  type SqlValue,
  type Tx,
} from '../../platform/index.js';
import { chunksOf } from './statements.js';

/**
 * `open`: not yet answered by the node; `accepted`: the node works on it; `closed`: ended or
 * overtaken. Open and accepted ones are told again in every `welcome`.
 */
export type CommandStatus = 'open' | 'accepted' | 'closed';

export interface StoredCommand {
  readonly id: string;
  readonly nodeId: string;
  readonly service: string;
  readonly rolloutId: string;
  readonly status: CommandStatus;
  readonly payload: Command;
}

/** With who has its service by now. */
export interface HeldCommand extends StoredCommand {
  /** The active rollout that has claimed the service of the node; null: none has. */
  readonly heldBy: string | null;
}

interface CommandRow {
  id: string;
  node_id: string;
  service: string;
  rollout_id: string;
  status: CommandStatus;
  payload: string;
}

const COLUMNS = 'id, node_id, service, rollout_id, status, payload';

const toCommand = (row: CommandRow): StoredCommand => ({
  id: row.id,
  nodeId: row.node_id,
  service: row.service,
  rolloutId: row.rollout_id,
  status: row.status,
  payload: JSON.parse(row.payload) as Command,
});

const productOf = (payload: Command): string | null =>
  payload.action === 'upgrade_binary' ? payload.product : null;

/**
 * Adds commands and closes every earlier one of the same (node, service): the newest decision
 * counts, and only it is told to the node again.
 */
export async function insertCommands(
  tx: Tx,
  commands: readonly Omit<StoredCommand, 'status'>[],
  at: number,
  expiresAt: number,
): Promise<void> {
  for (const chunk of chunksOf(commands)) {
    await tx.run(
      `UPDATE commands SET status = 'closed' WHERE status <> 'closed'
       AND (node_id, service) IN (VALUES ${rowsOf(chunk.length, '(?, ?)')})`,
      chunk.flatMap((c) => [c.nodeId, c.service]),
    );
    const params: SqlValue[] = [];
    for (const c of chunk) {
      params.push(c.id, c.nodeId, c.service, c.rolloutId, 'open', JSON.stringify(c.payload));
      params.push(c.payload.generation, productOf(c.payload), at, expiresAt);
    }
    await tx.run(
      `INSERT INTO commands (${COLUMNS}, generation, product, created_at, expires_at)
       VALUES ${rowsOf(chunk.length, `(${questionMarks(10)})`)}`,
      params,
    );
  }
}

/** Of one node: far more than it ever has. */
const OPEN_MAX = 256;

/** What nodes still have to hear of, the oldest generation of each first. */
export async function openCommands(
  sql: Sql,
  nodeIds: readonly string[],
  now: number,
): Promise<StoredCommand[]> {
  const open: StoredCommand[] = [];
  for (const chunk of chunksOf(nodeIds)) {
    const filled = filledUp(chunk);
    const rows = await sql.all<CommandRow>(
      `SELECT ${COLUMNS} FROM (
         SELECT ${COLUMNS}, generation, ROW_NUMBER() OVER (PARTITION BY node_id ORDER BY generation) AS place
         FROM commands WHERE node_id IN (${questionMarks(filled.length)})
           AND status IN ('open', 'accepted') AND expires_at > ?
       ) c WHERE place <= ${OPEN_MAX} ORDER BY node_id, generation`,
      [...filled, now],
    );
    open.push(...rows.map(toCommand));
  }
  return open;
}

/** Nodes that still have to hear of something, as ids; those of the oldest commands first. */
export async function commandedNodes(sql: Sql, now: number, limit: number): Promise<string[]> {
  const rows = await sql.all<{ node_id: string }>(
    `SELECT node_id FROM commands WHERE status IN ('open', 'accepted')
     AND expires_at > ? ORDER BY status, created_at LIMIT ?`,
    [now, limit],
  );
  return rows.map(({ node_id }) => node_id);
}

/** Commands that no node has answered although they are older than `before`. */
export async function unansweredCommands(
  sql: Sql,
  before: number,
  now: number,
  limit: number,
): Promise<StoredCommand[]> {
  const rows = await sql.all<CommandRow>(
    `SELECT ${COLUMNS} FROM commands WHERE status = 'open' AND created_at <= ?
     AND expires_at > ? ORDER BY created_at LIMIT ?`,
    [before, now, limit],
  );
  return rows.map(toCommand);
}

/** In no order; those that are not there are left out. */
export async function findCommands(sql: Sql, ids: readonly string[]): Promise<HeldCommand[]> {
  const sent = [...chunksOf(ids)].map((chunk) => {
    const filled = filledUp(chunk);
    return sql.all<CommandRow & { held_by: string | null }>(
      `SELECT ${COLUMNS}, (SELECT a.rollout_id FROM active_targets a
         WHERE a.node_id = c.node_id AND a.service = c.service) AS held_by
       FROM commands c WHERE id IN (${questionMarks(filled.length)})`,
      filled,
    );
  });
  const rows = (await Promise.all(sent)).flat();
  return rows.map((row) => ({ ...toCommand(row), heldBy: row.held_by }));
}

/** Which rollout each of these commands is of, by command; unknown ones are left out. */
export async function rolloutsOfCommands(
  sql: Sql,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const chunk of chunksOf(ids)) {
    const filled = filledUp(chunk);
    const rows = await sql.all<{ id: string; rollout_id: string }>(
      `SELECT id, rollout_id FROM commands WHERE id IN (${questionMarks(filled.length)})`,
      filled,
    );
    for (const { id, rollout_id: rolloutId } of rows) found.set(id, rolloutId);
  }
  return found;
}

/** Idempotent; a closed command stays closed. */
export async function setCommandStatus(
  tx: Tx,
  ids: readonly string[],
  status: CommandStatus,
): Promise<void> {
  const sent = [...chunksOf(ids)].map((chunk) => {
    const filled = filledUp(chunk);
    return tx.run(
      `UPDATE commands SET status = ?
       WHERE id IN (${questionMarks(filled.length)}) AND status <> 'closed'`,
      [status, ...filled],
    );
  });
  await Promise.all(sent);
}

/** Closes commands that did what they were for. Idempotent; one that was closed before did not. */
export async function commandsSucceeded(tx: Tx, ids: readonly string[], at: number): Promise<void> {
  const sent = [...chunksOf(ids)].map((chunk) => {
    const filled = filledUp(chunk);
    return tx.run(
      `UPDATE commands SET status = 'closed', succeeded_at = ?
       WHERE id IN (${questionMarks(filled.length)}) AND status <> 'closed'`,
      [at, ...filled],
    );
  });
  await Promise.all(sent);
}

/** How long the last upgrades of a product took that succeeded, each from its offer on, newest first. */
export async function lastTookMs(sql: Sql, product: string, limit: number): Promise<number[]> {
  const rows = await sql.all<{ took_ms: number }>(
    `SELECT succeeded_at - created_at AS took_ms FROM commands
     WHERE product = ? AND succeeded_at IS NOT NULL ORDER BY succeeded_at DESC LIMIT ?`,
    [product, limit],
  );
  return rows.map((row) => row.took_ms);
}
