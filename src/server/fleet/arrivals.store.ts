import type { Hello, Host } from '../../protocol/node/index.js';
import type { Transport } from '../gateway/index.js';
import {
  filledUp,
  questionMarks,
  tableOf,
  type Database,
  type Tx,
} from '../platform/database/index.js';
import { factsOf, saveFacts } from './facts.store.js';
import { labelsWithin } from './node-facts.js';
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
    await saveFacts(tx, known.flatMap(newFacts));
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

/** Only where they are new: an index is touched no more than it must. */
const newFacts = ({
  one: { hello, transport },
  row,
  host,
}: Known): Parameters<typeof saveFacts>[1] => {
  const { services, capabilities } = hello;
  const facts = factsOf({ services, capabilities, labels: host.labels, transport });
  const before = [row.software, row.badge, row.badge_code, row.upgrader, row.label_key];
  return facts.every((fact, index) => fact === before[index]) ? [] : [{ id: row.id, facts }];
};

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
