import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import {
  Database,
  questionMarks,
  type Sql,
  type SqlValue,
  type Tx,
} from '../platform/database/index.js';
import type { Cursor } from '../platform/http/index.js';
import { CLOCK, newId, type Clock } from '../platform/index.js';

export interface GroupRecord {
  readonly id: string;
  readonly name: string;
  readonly parentId: string | null;
  /** Ids from the root down to this group. */
  readonly path: readonly string[];
  /** How many nodes it may hold with those below it; null: as many as come. */
  readonly nodesMax: number | null;
  readonly createdAt: number;
}

interface GroupRow {
  id: string;
  name: string;
  parent_id: string | null;
  path: string;
  nodes_max: number | null;
  created_at: number;
}

/** Deeper trees are a mistake, and a path must stay short enough to be read for every request. */
export const GROUP_DEPTH_MAX = 16;

const COLUMNS = 'id, name, parent_id, path, nodes_max, created_at';

const pathOf = (text: string): string[] => text.split('/').filter((id) => id !== '');

const toRecord = (row: GroupRow): GroupRecord => ({
  id: row.id,
  name: row.name,
  parentId: row.parent_id,
  path: pathOf(row.path),
  nodesMax: row.nodes_max,
  createdAt: row.created_at,
});

/**
 * The tree of groups. A group that was deleted is found no more; `subtree` still has it, so that
 * what happened in it is seen by those above.
 */
@Injectable()
export class Groups {
  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async find(id: string, sql: Sql = this.database.read): Promise<GroupRecord | null> {
    const row = await sql.get<GroupRow>(
      `SELECT ${COLUMNS} FROM node_groups WHERE id = ? AND deleted_at IS NULL`,
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
         SELECT id FROM node_groups WHERE id IN (${questionMarks(ids.length)})
         UNION
         SELECT node_groups.id FROM node_groups JOIN below ON node_groups.parent_id = below.id
       ) SELECT id FROM below`,
      ids,
    );
    return rows.map((row) => row.id);
  }

  /** Each of these groups with all above it, without duplicates and in no order; deleted ones are left out. */
  async withAbove(ids: readonly string[]): Promise<string[]> {
    if (ids.length === 0) return [];
    const rows = await this.database.read.all<{ path: string }>(
      `SELECT path FROM node_groups WHERE deleted_at IS NULL AND id IN (${questionMarks(ids.length)})`,
      ids,
    );
    return [...new Set(rows.flatMap(({ path }) => pathOf(path)))];
  }

  /** Oldest first, so that a parent comes before its children. */
  async list(options: {
    readonly groups: 'all' | readonly string[];
    readonly after: Cursor | null;
    readonly limit: number;
  }): Promise<GroupRecord[]> {
    const { groups, after, limit } = options;
    if (groups !== 'all' && groups.length === 0) return [];
    const where = ['deleted_at IS NULL', '(created_at > ? OR (created_at = ? AND id > ?))'];
    const params: SqlValue[] = [after?.at ?? -1, after?.at ?? -1, after?.id ?? ''];
    if (groups !== 'all') {
      where.push(`id IN (${questionMarks(groups.length)})`);
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
  async create(tx: Tx, name: string, above: GroupRecord): Promise<GroupRecord> {
    await this.#lock(tx);
    // As it is now: it may have been moved or deleted since it was looked up.
    const parent = await this.find(above.id, tx);
    if (parent === null) throw new FleetError('not_found', 'no such group');
    if (parent.path.length >= GROUP_DEPTH_MAX) {
      throw new FleetError('conflict', `groups nest at most ${GROUP_DEPTH_MAX} deep`);
    }
    const id = newId('grp');
    const record: GroupRecord = {
      id,
      name,
      parentId: parent.id,
      path: [...parent.path, id],
      nodesMax: null,
      createdAt: this.clock.now(),
    };
    const created = await tx.run(
      `INSERT INTO node_groups (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (parent_id, name) DO NOTHING`,
      [id, name, parent.id, `/${record.path.join('/')}/`, null, record.createdAt],
    );
    if (created === 0) {
      throw new FleetError('conflict', `the group already holds one named ${JSON.stringify(name)}`);
    }
    return record;
  }

  /**
   * Gives a group another name or parent, and all below it their new paths. Throws `conflict` when it was
   * changed meanwhile, when the new parent is below it, a sibling has the name or the tree gets too deep.
   */
  async change(
    tx: Tx,
    from: GroupRecord,
    to: { readonly name: string; readonly parentId: string | null },
  ): Promise<GroupRecord> {
    await this.#lock(tx);
    const now = await this.find(from.id, tx);
    const parent = to.parentId === null ? null : await this.find(to.parentId, tx);
    if (now === null || (to.parentId !== null && parent === null)) {
      throw new FleetError('not_found', 'no such group');
    }
    if (now.parentId !== from.parentId) throw new FleetError('conflict', 'it was moved meanwhile');
    if (parent?.path.includes(now.id) === true) {
      throw new FleetError('conflict', 'a group cannot hang below itself');
    }
    const path = [...(parent?.path ?? []), now.id];
    const taken = await tx.get(
      'SELECT id FROM node_groups WHERE parent_id = ? AND name = ? AND id <> ?',
      [to.parentId, to.name, now.id],
    );
    if (taken !== undefined) {
      throw new FleetError('conflict', `a group is named ${JSON.stringify(to.name)} there already`);
    }
    await tx.run('UPDATE node_groups SET name = ?, parent_id = ? WHERE id = ?', [
      to.name,
      to.parentId,
      now.id,
    ]);
    await this.#repath(tx, now, path);
    return { ...now, name: to.name, parentId: to.parentId, path };
  }

  /** Throws `group_not_empty` when groups are below it. Its name is free again. */
  async remove(tx: Tx, group: GroupRecord): Promise<void> {
    await this.#lock(tx);
    const below = await tx.get(
      'SELECT id FROM node_groups WHERE parent_id = ? AND deleted_at IS NULL LIMIT 1',
      [group.id],
    );
    if (below !== undefined) throw new FleetError('group_not_empty', 'the group holds groups');
    const removed = await tx.run(
      `UPDATE node_groups SET deleted_at = ?, name = ? WHERE id = ? AND deleted_at IS NULL`,
      [this.clock.now(), `deleted ${group.id}`, group.id],
    );
    if (removed === 0) throw new FleetError('not_found', 'no such group');
  }

  /**
   * Keeps the group until the transaction ends: who deletes it waits, and then finds what was put into it.
   * Throws `not_found`.
   */
  async hold(tx: Tx, id: string): Promise<void> {
    const held = await tx.run(
      'UPDATE node_groups SET name = name WHERE id = ? AND deleted_at IS NULL',
      [id],
    );
    if (held === 0) throw new FleetError('not_found', 'no such group');
  }

  async limit(tx: Tx, id: string, nodesMax: number | null): Promise<void> {
    await tx.run('UPDATE node_groups SET nodes_max = ? WHERE id = ?', [nodesMax, id]);
  }

  /** Changes of the tree go one after another: two moves at once could make a loop of it. */
  async #lock(tx: Tx): Promise<void> {
    await tx.run('UPDATE node_groups SET name = name WHERE parent_id IS NULL');
  }

  async #repath(tx: Tx, { id, path: before }: GroupRecord, path: readonly string[]): Promise<void> {
    const [old, next] = [before, path].map((ids) => `/${ids.join('/')}/`) as [string, string];
    if (old === next) return;
    const rows = await tx.all<{ id: string; path: string }>(
      'SELECT id, path FROM node_groups WHERE path LIKE ?',
      [`%/${id}/%`],
    );
    for (const row of rows) {
      const moved = next + row.path.slice(old.length);
      if (moved.split('/').length - 2 > GROUP_DEPTH_MAX) {
        throw new FleetError('conflict', `groups nest at most ${GROUP_DEPTH_MAX} deep`);
      }
      await tx.run('UPDATE node_groups SET path = ? WHERE id = ?', [moved, row.id]);
    }
  }
}
