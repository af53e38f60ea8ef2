import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import { Database, type SqlValue, type Tx } from '../platform/database/index.js';
import type { Cursor } from '../platform/http/index.js';
import { CLOCK, newId, type Clock } from '../platform/index.js';

export interface GroupRecord {
  readonly id: string;
  readonly name: string;
  readonly parentId: string | null;
  /** Ids from the root down to this group. */
  readonly path: readonly string[];
  readonly createdAt: number;
}

interface GroupRow {
  id: string;
  name: string;
  parent_id: string | null;
  path: string;
  created_at: number;
}

/** Deeper trees are a mistake, and a path must stay short enough to be read for every request. */
export const GROUP_DEPTH_MAX = 16;

const COLUMNS = 'id, name, parent_id, path, created_at';

const toRecord = (row: GroupRow): GroupRecord => ({
  id: row.id,
  name: row.name,
  parentId: row.parent_id,
  path: row.path.split('/').filter((id) => id !== ''),
  createdAt: row.created_at,
});

/** The tree of groups. Groups are never moved or deleted, so a path never changes. */
@Injectable()
export class Groups {
  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async find(id: string): Promise<GroupRecord | null> {
    const row = await this.database.read.get<GroupRow>(
      `SELECT ${COLUMNS} FROM node_groups WHERE id = ?`,
      [id],
    );
    return row === undefined ? null : toRecord(row);
  }

  /** The group and everything below it, in no order; empty when there is no such group. */
  subtree(id: string): Promise<string[]> {
    return this.subtrees([id]);
  }

  /** The same for several groups at once, without duplicates. */
  async subtrees(ids: readonly string[]): Promise<string[]> {
    if (ids.length === 0) return [];
    const rows = await this.database.read.all<{ id: string }>(
      `WITH RECURSIVE below (id) AS (
         SELECT id FROM node_groups WHERE id IN (${ids.map(() => '?').join(', ')})
         UNION
         SELECT node_groups.id FROM node_groups JOIN below ON node_groups.parent_id = below.id
       ) SELECT id FROM below`,
      ids,
    );
    return rows.map((row) => row.id);
  }

  /** Oldest first, so that a parent comes before its children. */
  async list(options: {
    readonly groups: 'all' | readonly string[];
    readonly after: Cursor | null;
    readonly limit: number;
  }): Promise<GroupRecord[]> {
    const { groups, after, limit } = options;
    if (groups !== 'all' && groups.length === 0) return [];
    const where = ['(created_at > ? OR (created_at = ? AND id > ?))'];
    const params: SqlValue[] = [after?.at ?? -1, after?.at ?? -1, after?.id ?? ''];
    if (groups !== 'all') {
      where.push(`id IN (${groups.map(() => '?').join(', ')})`);
      params.push(...groups);
    }
    const rows = await this.database.read.all<GroupRow>(
      `SELECT ${COLUMNS} FROM node_groups WHERE ${where.join(' AND ')}
       ORDER BY created_at, id LIMIT ?`,
      [...params, limit],
    );
    return rows.map(toRecord);
  }

  /** Throws `conflict` when a sibling has the name or the tree is too deep. */
  async create(tx: Tx, name: string, parent: GroupRecord): Promise<GroupRecord> {
    if (parent.path.length >= GROUP_DEPTH_MAX) {
      throw new FleetError('conflict', `groups nest at most ${GROUP_DEPTH_MAX} deep`);
    }
    const id = newId('grp');
    const record: GroupRecord = {
      id,
      name,
      parentId: parent.id,
      path: [...parent.path, id],
      createdAt: this.clock.now(),
    };
    const created = await tx.run(
      `INSERT INTO node_groups (${COLUMNS}) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (parent_id, name) DO NOTHING`,
      [id, name, parent.id, `/${record.path.join('/')}/`, record.createdAt],
    );
    if (created === 0) {
      throw new FleetError('conflict', `the group already holds one named ${JSON.stringify(name)}`);
    }
    return record;
  }
}
