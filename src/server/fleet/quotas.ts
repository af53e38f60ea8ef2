import { Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Sql, Tx } from '../platform/database/index.js';

interface Quota {
  id: string;
  nodes_max: number;
}

/** How many nodes a group and those below it may hold. The quota of the root is that of the whole fleet. */
@Injectable()
export class Quotas {
  /**
   * Call it in the transaction that brings nodes into a group, after they are in it: throws `quota_exceeded`
   * with the group, how many are there without the new ones, and the limit; `not_found` when the group was
   * deleted meanwhile. Of several at once, each waits for the one before it. Revoked nodes do not count.
   */
  async check(tx: Tx, groupId: string, added: number): Promise<void> {
    // Taken for writing, so that nobody deletes, moves or fills the group at the same time.
    const there = await tx.run(
      'UPDATE node_groups SET name = name WHERE id = ? AND deleted_at IS NULL',
      [groupId],
    );
    if (there === 0) throw new FleetError('not_found', 'no such group');
    const above = `nodes_max IS NOT NULL AND
      (SELECT path FROM node_groups g WHERE g.id = ?) LIKE '%/' || node_groups.id || '/%'`;
    await tx.run(`UPDATE node_groups SET name = name WHERE ${above}`, [groupId]);
    const quotas = await tx.all<Quota>(
      `SELECT id, nodes_max FROM node_groups WHERE ${above} ORDER BY path`,
      [groupId],
    );
    for (const { id, nodes_max: limit } of quotas) {
      const current = await this.count(tx, id);
      if (current <= limit) continue;
      throw new FleetError('quota_exceeded', `the group ${id} may hold ${limit} nodes`, {
        context: { quota: id, current: current - added, limit },
      });
    }
  }

  /** Nodes of a group and below it that are not revoked. */
  async count(sql: Sql, groupId: string): Promise<number> {
    const row = await sql.get<{ count: number }>(
      `SELECT CAST(count(*) AS integer) AS count FROM nodes n JOIN node_groups g ON g.id = n.group_id
       WHERE n.revoked_at IS NULL AND g.path LIKE ?`,
      [`%/${groupId}/%`],
    );
    return row?.count ?? 0;
  }
}
