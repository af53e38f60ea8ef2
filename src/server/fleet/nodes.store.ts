import { Injectable } from '@nestjs/common';
import type { Host, ServiceReport } from '../../protocol/node/index.js';
import {
  Database,
  filledUp,
  questionMarks,
  tableOf,
  type Sql,
  type Tx,
} from '../platform/database/index.js';
import { saveServiceFacts } from './facts.store.js';
import { labelKeyOf, nameKeyOf, type Badge, type Upgrader } from './node-facts.js';

export type NodeStatus = 'online' | 'offline' | 'revoked';

/** A node as it was enrolled and as it last told about itself. Times are epoch ms. */
export interface FleetNode {
  readonly id: string;
  readonly name: string;
  readonly groupId: string;
  readonly status: NodeStatus;
  /** Raw Ed25519 key, base64url. */
  readonly publicKey: string;
  readonly host: Host;
  readonly labels: Readonly<Record<string, string>>;
  /** Null, and no capabilities or services, until the first `hello`. */
  readonly agentVersion: string | null;
  /** As its agent told last; empty: nothing was told, or there is no policy. */
  readonly policyDigest: string;
  readonly capabilities: readonly string[];
  readonly services: readonly ServiceReport[];
  readonly enrolledAt: number;
  readonly lastSeenAt: number | null;
  readonly revokedAt: number | null;
  readonly upgrader: Upgrader;
  readonly badge: Badge;
  /** Of a failed upgrade; empty otherwise. */
  readonly badgeCode: string;
  /** The manager that has its link, or had it last; null when none does. */
  readonly heldBy: string | null;
}

/** The newest link of a node: which manager has it, and by which session. */
export interface HeldLink {
  readonly managerId: string;
  readonly sessionId: string;
  /** What the node calls its poll; null for a socket. */
  readonly pollId: string | null;
}

export interface NextCommand {
  readonly generation: number;
  readonly heldBy: string | null;
}

interface NodeRow {
  id: string;
  name: string;
  group_id: string;
  status: NodeStatus;
  public_key: string;
  host: string;
  labels: string;
  agent_version: string | null;
  policy_digest: string | null;
  capabilities: string;
  services: string;
  enrolled_at: number;
  last_seen_at: number | null;
  revoked_at: number | null;
  upgrader: Upgrader;
  badge: Badge;
  badge_code: string;
  link_manager: string | null;
}

export type NodeKey = Pick<NodeRow, 'id' | 'group_id' | 'public_key' | 'revoked_at'>;

const COLUMNS = [
  'id, name, group_id, status, public_key, host, labels, agent_version, capabilities',
  'services, enrolled_at, last_seen_at, revoked_at, upgrader, badge, badge_code',
].join(', ');
/** All that is read: these two come later than the node is made, when it connects. */
const SHOWN = `${COLUMNS}, policy_digest, link_manager`;

/**
 * Not revoked, and of this manager or of none; null asks nobody. In a CASE, of which PostgreSQL assumes that half of all nodes are so: else it
 * takes them for a handful, and holds every node against every value.
 */
const IS_OURS = `CASE WHEN nodes.revoked_at IS NULL AND (nodes.link_manager IS NULL
  OR nodes.link_manager = COALESCE(?, nodes.link_manager)) THEN TRUE ELSE FALSE END`;

/** Ids in one statement; both databases take far more. */
const IDS_PER_STATEMENT = 500;

export function* chunks<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += IDS_PER_STATEMENT) {
    yield items.slice(start, start + IDS_PER_STATEMENT);
  }
}

/** These columns of nodes, in no order; ids that nobody has are left out. */
export async function rowsOfNodes<Row>(
  sql: Sql,
  columns: string,
  ids: readonly string[],
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const some of chunks(ids)) {
    const filled = filledUp(some);
    const text = `SELECT ${columns} FROM nodes WHERE id IN (${questionMarks(filled.length)})`;
    rows.push(...(await sql.all<Row>(text, filled)));
  }
  return rows;
}

/**
 * Holds the rows of these nodes until the transaction ends, in the order of their ids, as everybody does who writes
 * several: PostgreSQL takes those of one UPDATE in the order in which it finds them, and two that do so in different ones
 * wait for each other. SQLite has one writer anyway.
 */
export async function holdNodes(
  tx: Tx,
  kind: Database['kind'],
  nodeIds: readonly string[],
): Promise<void> {
  if (kind !== 'postgres') return;
  for (const ids of chunks([...new Set(nodeIds)].sort())) {
    await tx.all(
      `SELECT id FROM nodes WHERE id IN (${questionMarks(ids.length)}) ORDER BY id FOR NO KEY UPDATE`,
      ids,
    );
  }
}

const toNode = (row: NodeRow): FleetNode => ({
  id: row.id,
  name: row.name,
  groupId: row.group_id,
  status: row.status,
  publicKey: row.public_key,
  host: JSON.parse(row.host) as Host,
  labels: JSON.parse(row.labels) as Record<string, string>,
  agentVersion: row.agent_version,
  policyDigest: row.policy_digest ?? '',
  capabilities: JSON.parse(row.capabilities) as string[],
  services: JSON.parse(row.services) as ServiceReport[],
  enrolledAt: row.enrolled_at,
  lastSeenAt: row.last_seen_at,
  revokedAt: row.revoked_at,
  upgrader: row.upgrader,
  badge: row.badge,
  badgeCode: row.badge_code,
  heldBy: row.link_manager,
});

/** The table of nodes. */
@Injectable()
export class Nodes {
  constructor(private readonly database: Database) {}

  /** What proves who they are; without the wide rest of their rows. In no order; unknown ones are left out. */
  async keysOf(ids: readonly string[]): Promise<NodeKey[]> {
    const { read } = this.database;
    return await rowsOfNodes<NodeKey>(read, 'id, group_id, public_key, revoked_at', ids);
  }

  async find(id: string, sql: Sql = this.database.read): Promise<FleetNode | null> {
    const row = await sql.get<NodeRow>(`SELECT ${SHOWN} FROM nodes WHERE id = ?`, [id]);
    return row === undefined ? null : toNode(row);
  }

  /** Every node of exactly these groups, revoked ones too, in order of id. */
  async listInGroups(groupIds: readonly string[]): Promise<FleetNode[]> {
    const nodes: FleetNode[] = [];
    for (const ids of chunks(groupIds)) {
      const rows = await this.database.read.all<NodeRow>(
        `SELECT ${SHOWN} FROM nodes WHERE group_id IN (${questionMarks(ids.length)})`,
        ids,
      );
      nodes.push(...rows.map(toNode));
    }
    return nodes.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** In no order; ids that nobody has are left out. */
  async findAll(ids: readonly string[]): Promise<FleetNode[]> {
    return (await rowsOfNodes<NodeRow>(this.database.read, SHOWN, ids)).map(toNode);
  }

  async create(
    tx: Tx,
    node: {
      readonly id: string;
      readonly name: string;
      readonly groupId: string;
      readonly publicKey: string;
      readonly host: Host;
      readonly now: number;
    },
  ): Promise<void> {
    await tx.run(
      `INSERT INTO nodes (${COLUMNS}, generation, software, name_key, label_key)
       VALUES (?, ?, ?, 'offline', ?, ?, ?, NULL, '[]', '[]', ?, NULL, NULL, 'none', 'none', '', 0, '', ?, ?)`,
      [
        node.id,
        node.name,
        node.groupId,
        node.publicKey,
        JSON.stringify(node.host),
        JSON.stringify(node.host.labels),
        node.now,
        nameKeyOf(node.name),
        labelKeyOf(node.host.labels),
      ],
    );
  }

  /**
   * Services and time of health reports, each node named once; written by `HealthBook`, not once a report. Answers whose were written: not
   * those of nodes that another manager than `heldBy` has, which knows better. Null asks nobody.
   */
  async recordServices(
    tx: Tx,
    reports: readonly { readonly nodeId: string; readonly services: string; readonly at: number }[],
    heldBy: string | null = null,
  ): Promise<ReadonlySet<string>> {
    const written = new Set<string>();
    for (const some of chunks(reports)) {
      const { text, params } = tableOf(
        some.map(({ nodeId, services, at }) => [nodeId, services, String(at)]),
      );
      const rows = await tx.all<{ id: string }>(
        `UPDATE nodes SET services = v.column2, last_seen_at = CAST(v.column3 AS bigint)
         FROM ${text} WHERE nodes.id = v.column1 AND ${IS_OURS} RETURNING nodes.id`,
        [...params, heldBy],
      );
      for (const { id } of rows) written.add(id);
      const ours = some.filter(({ nodeId }) => written.has(nodeId));
      await saveServiceFacts(
        tx,
        ours.map(({ nodeId, services }) => ({
          nodeId,
          services: JSON.parse(services) as ServiceReport[],
        })),
      );
    }
    return written;
  }

  /** Of nodes that said nothing new: when they did. Otherwise as `recordServices`; each is named once. */
  async recordSeen(
    tx: Tx,
    seen: readonly { readonly nodeId: string; readonly at: number }[],
    heldBy: string | null = null,
  ): Promise<void> {
    for (const some of chunks(seen)) {
      const { text, params } = tableOf(some.map(({ nodeId, at }) => [nodeId, String(at)]));
      await tx.run(
        `UPDATE nodes SET last_seen_at = CAST(v.column2 AS bigint)
         FROM ${text} WHERE nodes.id = v.column1 AND ${IS_OURS}`,
        [...params, heldBy],
      );
    }
  }

  /** Of nodes that are held: versions by name of the service; what a node does not have is left out. Idempotent. */
  async recordVersions(
    tx: Tx,
    versionsOf: ReadonlyMap<string, ReadonlyMap<string, string>>,
  ): Promise<void> {
    type Kept = Pick<NodeRow, 'id' | 'services'>;
    const rows = await rowsOfNodes<Kept>(tx, 'id, services', [...versionsOf.keys()]);
    const told = rows.map((row) => ({
      nodeId: row.id,
      services: (JSON.parse(row.services) as ServiceReport[]).map((service) => ({
        ...service,
        version: versionsOf.get(row.id)?.get(service.name) ?? service.version,
      })),
    }));
    for (const some of chunks(told)) {
      const { text, params } = tableOf(
        some.map(({ nodeId, services }) => [nodeId, JSON.stringify(services)]),
      );
      await tx.run(
        `UPDATE nodes SET services = v.column2 FROM ${text} WHERE nodes.id = v.column1`,
        params,
      );
      await saveServiceFacts(tx, some);
    }
  }

  /** At start nobody is connected, whatever an earlier process wrote before it died. */
  async everyoneOffline(tx: Tx): Promise<void> {
    await tx.run(
      `UPDATE nodes SET status = 'offline', link_manager = NULL, link_session = NULL,
         link_poll = NULL WHERE status = 'online'`,
    );
  }

  /** True when this revoked it, false when it was revoked before. For ever: a new key is needed. */
  async revoke(tx: Tx, nodeId: string, now: number): Promise<boolean> {
    const changed = await tx.run(
      `UPDATE nodes SET status = 'revoked', revoked_at = ? WHERE id = ? AND revoked_at IS NULL`,
      [now, nodeId],
    );
    return changed > 0;
  }

  /** The same for a node that is silent since before `silentSince`; false when it is not, or was revoked. */
  async revokeSilent(tx: Tx, nodeId: string, now: number, silentSince: number): Promise<boolean> {
    const changed = await tx.run(
      `UPDATE nodes SET status = 'revoked', revoked_at = ?
       WHERE id = ? AND revoked_at IS NULL AND status = 'offline'
         AND COALESCE(NULLIF(last_seen_at, 0), enrolled_at) < ?`,
      [now, nodeId, silentSince],
    );
    return changed > 0;
  }

  /** See `holdNodes`. */
  hold(tx: Tx, nodeIds: readonly string[]): Promise<void> {
    return holdNodes(tx, this.database.kind, nodeIds);
  }

  /**
   * The next command number of each node, and which manager has its link: set-based, one statement for 500
   * nodes. Unknown ids are left out of the answer. A node that goes to another manager meanwhile waits for
   * this transaction, and is told there what it made.
   */
  async nextGenerations(tx: Tx, nodeIds: readonly string[]): Promise<Map<string, NextCommand>> {
    const generations = new Map<string, NextCommand>();
    await this.hold(tx, nodeIds);
    for (const ids of chunks([...new Set(nodeIds)])) {
      const rows = await tx.all<{ id: string; generation: number; link_manager: string | null }>(
        `UPDATE nodes SET generation = generation + 1 WHERE id IN (${questionMarks(ids.length)})
         RETURNING id, generation, link_manager`,
        ids,
      );
      for (const { id, generation, link_manager: heldBy } of rows) {
        generations.set(id, { generation, heldBy });
      }
    }
    return generations;
  }
}
