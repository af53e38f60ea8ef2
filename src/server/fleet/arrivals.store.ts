import type { Hello, Host } from '../../protocol/node/index.js';
import type { Transport } from '../gateway/index.js';
import {
  filledUp,
  questionMarks,
  tableOf,
  type Database,
  type Tx,
} from '../platform/database/index.js';
import { labelKeyOf, labelsWithin, serviceFacts, upgraderOf } from './node-facts.js';
import { chunks, type HeldLink, type NodeStatus } from './nodes.store.js';

/** A node that comes: what it says of itself, and which link is its newest from now on. */
export interface Coming {
  readonly nodeId: string;
  readonly hello: Hello;
  readonly transport: Transport;
  /** Null: one that no manager could be asked about, as in specs. */
  readonly link: HeldLink | null;
}

/** How a node was written until then. */
export interface WhatWas {
  readonly isOnline: boolean;
  readonly heldBy: string | null;
  /** How many commands it has seen that nobody here knows of: its numbers go on behind them. */
  readonly behind: number;
}

interface Row {
  readonly id: string;
  readonly status: NodeStatus;
  readonly link_manager: string | null;
  readonly generation: number;
  readonly software: string | null;
  readonly badge: string;
  readonly badge_code: string;
  readonly upgrader: string;
  readonly label_key: string;
  readonly cluster: string | null;
}

/**
 * Writes nodes that come, each named once, and tells how they were until then; in few statements, however many
 * they are. Revoked and unknown ones are left alone, and out of the answer. Their rows are held until the transaction ends, in
 * the order of their ids. Idempotent, but that the second time nobody is new.
 */
export async function writeArrivals(
  tx: Tx,
  kind: Database['kind'],
  coming: readonly Coming[],
  now: number,
): Promise<Map<string, WhatWas>> {
  const was = new Map<string, WhatWas>();
  const held = kind === 'postgres' ? 'ORDER BY n.id FOR NO KEY UPDATE OF n' : '';
  for (const some of chunks(coming)) {
    const ids = filledUp(some.map(({ nodeId }) => nodeId));
    const rows = await tx.all<Row>(
      `SELECT n.id, n.status, n.link_manager, n.generation, n.software, n.badge, n.badge_code, n.upgrader, n.label_key,
         (SELECT c.cluster FROM cluster_nodes c WHERE c.node_id = n.id) AS cluster
       FROM nodes n WHERE n.id IN (${questionMarks(ids.length)}) AND n.revoked_at IS NULL ${held}`,
      ids,
    );
    const byId = new Map(rows.map((row) => [row.id, row]));
    const known = some.flatMap((one) => {
      const row = byId.get(one.nodeId);
      return row === undefined ? [] : [{ one, row, host: hostOf(one.hello.host, row.cluster) }];
    });
    for (const { one, row } of known) {
      was.set(row.id, {
        isOnline: row.status === 'online',
        heldBy: row.link_manager,
        behind: Math.max(0, (one.hello.generation ?? 0) - row.generation),
      });
    }
    await saveTold(tx, known, now);
    await saveFacts(tx, known);
    await saveGenerations(tx, known);
  }
  return was;
}

interface Known {
  readonly one: Coming;
  readonly row: Row;
  readonly host: Host;
}

/** Which cluster a node is of was settled by its token: what it says of that itself does not count. */
const hostOf = (host: Host, cluster: string | null): Host =>
  cluster === null || host.labels['cluster'] === cluster
    ? host
    : { ...host, labels: labelsWithin(cluster, host.labels) };

async function saveTold(tx: Tx, known: readonly Known[], now: number): Promise<void> {
  if (known.length === 0) return;
  const { text, params } = tableOf(
    known.map(({ one: { nodeId, hello, link }, host }) => [
      ...[nodeId, JSON.stringify(host), JSON.stringify(host.labels), hello.agent_version],
      ...[JSON.stringify(hello.capabilities), JSON.stringify(hello.services), hello.policy_digest],
      ...[link?.managerId ?? null, link?.sessionId ?? null, link?.pollId ?? null],
    ]),
  );
  await tx.run(
    `UPDATE nodes SET status = 'online', last_seen_at = ?, host = v.column2, labels = v.column3,
       agent_version = v.column4, capabilities = v.column5, services = v.column6, policy_digest = v.column7,
       link_manager = v.column8, link_session = v.column9, link_poll = v.column10
     FROM ${text} WHERE nodes.id = v.column1`,
    [now, ...params],
  );
}

/** What lists are filtered by; only where it is new, so that an index is touched no more than it must. */
async function saveFacts(tx: Tx, known: readonly Known[]): Promise<void> {
  const changed = known.flatMap(({ one: { hello, transport }, row, host }) => {
    const { software, badge, badgeCode } = serviceFacts(hello.services);
    const upgrader = upgraderOf(hello.capabilities, transport);
    const labelKey = labelKeyOf(host.labels);
    const facts = [software, badge, badgeCode, upgrader, labelKey];
    const before = [row.software, row.badge, row.badge_code, row.upgrader, row.label_key];
    return facts.every((fact, index) => fact === before[index]) ? [] : [[row.id, ...facts]];
  });
  if (changed.length === 0) return;
  const { text, params } = tableOf(changed);
  await tx.run(
    `UPDATE nodes SET software = v.column2, badge = v.column3, badge_code = v.column4, upgrader = v.column5,
       label_key = v.column6 FROM ${text} WHERE nodes.id = v.column1`,
    params,
  );
}

/**
 * They go on behind the highest command number that the node knows of: what this manager knew was restored from a
 * backup, or somebody else commanded the node. Never back.
 */
async function saveGenerations(tx: Tx, known: readonly Known[]): Promise<void> {
  for (const { one, row } of known) {
    const seen = one.hello.generation ?? 0;
    if (seen <= row.generation) continue;
    await tx.run('UPDATE nodes SET generation = ? WHERE id = ? AND generation < ?', [
      ...[seen, row.id, seen],
    ]);
  }
}

/** A link that has ended. */
export interface Leaving {
  readonly nodeId: string;
  readonly sessionId: string;
}

/** Ends links, and tells the nodes that left: those of which it was the newest link. The others are here by another one. */
export async function writeDepartures(
  tx: Tx,
  kind: Database['kind'],
  leaving: readonly Leaving[],
  now: number,
): Promise<Set<string>> {
  const left = new Set<string>();
  for (const some of chunks(leaving)) {
    const ids = filledUp(some.map(({ nodeId }) => nodeId));
    if (kind === 'postgres') {
      await tx.all(
        `SELECT id FROM nodes WHERE id IN (${questionMarks(ids.length)}) ORDER BY id FOR NO KEY UPDATE`,
        ids,
      );
    }
    const { text, params } = tableOf(some.map(({ nodeId, sessionId }) => [nodeId, sessionId]));
    const rows = await tx.all<{ id: string }>(
      `UPDATE nodes SET status = 'offline', last_seen_at = ?, link_manager = NULL, link_session = NULL, link_poll = NULL
       FROM ${text} WHERE nodes.id = v.column1 AND nodes.link_session = v.column2
         AND nodes.status = 'online' AND nodes.revoked_at IS NULL RETURNING nodes.id AS id`,
      [now, ...params],
    );
    for (const { id } of rows) left.add(id);
  }
  return left;
}
