import { Injectable } from '@nestjs/common';
import { DAY_MS } from '../../core/kernel/index.js';
import type { Sql, Tx } from '../platform/database/index.js';
import { hashSecret, newId, newSecret } from '../platform/index.js';

export const CLUSTER_TOKEN_PREFIX = 'bwc';
/** Of one group; a cluster needs one, and a second while it is rotated. */
const LIST_MAX = 1_000;

export interface ClusterToken {
  readonly id: string;
  readonly groupId: string;
  readonly cluster: string;
  readonly maxNodes: number | null;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | null;
  readonly lastUsedAt: number | null;
}

/** A node of a cluster that is not revoked. */
export interface ClusterNode {
  readonly id: string;
  readonly name: string;
  readonly groupId: string;
  readonly publicKey: string;
  readonly isOnline: boolean;
}

interface Row {
  id: string;
  group_id: string;
  cluster: string;
  max_nodes: number | null;
  created_by: string;
  created_at: number;
  expires_at: number;
  revoked_at: number | null;
  last_used_at: number | null;
}

const COLUMNS =
  'id, group_id, cluster, max_nodes, created_by, created_at, expires_at, revoked_at, last_used_at';

const toToken = (row: Row): ClusterToken => ({
  id: row.id,
  groupId: row.group_id,
  cluster: row.cluster,
  maxNodes: row.max_nodes,
  createdBy: row.created_by,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  revokedAt: row.revoked_at,
  lastUsedAt: row.last_used_at,
});

/** Reusable tokens, each for one cluster; only hashes are stored. A cluster is a name within a group. */
@Injectable()
export class ClusterTokens {
  async create(
    tx: Tx,
    wanted: Pick<ClusterToken, 'groupId' | 'cluster' | 'maxNodes' | 'createdBy'> & {
      readonly days: number;
      readonly now: number;
    },
  ): Promise<{ readonly token: ClusterToken; readonly secret: string }> {
    const { days, now, ...rest } = wanted;
    const secret = newSecret(CLUSTER_TOKEN_PREFIX);
    const token: ClusterToken = {
      ...rest,
      id: newId('clt'),
      createdAt: now,
      expiresAt: now + days * DAY_MS,
      revokedAt: null,
      lastUsedAt: null,
    };
    await tx.run(
      `INSERT INTO cluster_tokens (${COLUMNS}, secret_hash)
       VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?)`,
      [
        token.id,
        token.groupId,
        token.cluster,
        token.maxNodes,
        token.createdBy,
        token.createdAt,
        token.expiresAt,
        hashSecret(secret),
      ],
    );
    return { token, secret };
  }

  async findBySecret(sql: Sql, secret: string): Promise<ClusterToken | null> {
    const row = await sql.get<Row>(`SELECT ${COLUMNS} FROM cluster_tokens WHERE secret_hash = ?`, [
      hashSecret(secret),
    ]);
    return row === undefined ? null : toToken(row);
  }

  async find(sql: Sql, id: string): Promise<ClusterToken | null> {
    const row = await sql.get<Row>(`SELECT ${COLUMNS} FROM cluster_tokens WHERE id = ?`, [id]);
    return row === undefined ? null : toToken(row);
  }

  /** The newest thousand of exactly this group. */
  async list(sql: Sql, groupId: string): Promise<ClusterToken[]> {
    const rows = await sql.all<Row>(
      `SELECT ${COLUMNS} FROM cluster_tokens WHERE group_id = ?
       ORDER BY created_at DESC, id LIMIT ${LIST_MAX}`,
      [groupId],
    );
    return rows.map(toToken);
  }

  /** False when it was revoked already. */
  async revoke(tx: Tx, id: string, now: number): Promise<boolean> {
    const done = await tx.run(
      'UPDATE cluster_tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL',
      [now, id],
    );
    return done === 1;
  }

  /**
   * First in the transaction of an enrollment: of several for one cluster each waits for the one before it,
   * so that a limit holds and a name is given once.
   */
  async hold(tx: Tx, { groupId, cluster }: ClusterToken): Promise<void> {
    await tx.run('UPDATE cluster_tokens SET cluster = cluster WHERE group_id = ? AND cluster = ?', [
      groupId,
      cluster,
    ]);
  }

  async used(tx: Tx, id: string, now: number): Promise<void> {
    await tx.run('UPDATE cluster_tokens SET last_used_at = ? WHERE id = ?', [now, id]);
  }

  async join(
    tx: Tx,
    token: ClusterToken,
    node: { readonly id: string; readonly name: string },
  ): Promise<void> {
    await tx.run(
      'INSERT INTO cluster_nodes (node_id, group_id, cluster, name, token_id) VALUES (?, ?, ?, ?, ?)',
      [node.id, token.groupId, token.cluster, node.name, token.id],
    );
  }

  async nodeNamed(
    sql: Sql,
    { groupId, cluster }: ClusterToken,
    name: string,
  ): Promise<ClusterNode | null> {
    const row = await sql.get<{ id: string; group_id: string; public_key: string; status: string }>(
      `SELECT n.id, n.group_id, n.public_key, n.status FROM cluster_nodes c
       JOIN nodes n ON n.id = c.node_id
       WHERE c.group_id = ? AND c.cluster = ? AND c.name = ? AND n.revoked_at IS NULL`,
      [groupId, cluster, name],
    );
    if (row === undefined) return null;
    const { id, group_id, public_key, status } = row;
    return { id, name, groupId: group_id, publicKey: public_key, isOnline: status === 'online' };
  }

  /** Nodes of the cluster that are not revoked. */
  async count(
    sql: Sql,
    { groupId, cluster }: Pick<ClusterToken, 'groupId' | 'cluster'>,
  ): Promise<number> {
    const row = await sql.get<{ count: number }>(
      `SELECT CAST(count(*) AS integer) AS count FROM cluster_nodes c
       JOIN nodes n ON n.id = c.node_id
       WHERE c.group_id = ? AND c.cluster = ? AND n.revoked_at IS NULL`,
      [groupId, cluster],
    );
    return row?.count ?? 0;
  }
}
