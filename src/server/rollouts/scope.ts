import { Injectable } from '@nestjs/common';
import { Groups } from '../access/index.js';
import { Nodes, Transfers, type FleetNode, type NodeHolds } from '../fleet/index.js';
import { questionMarks, type Cursor, type Sql } from '../platform/index.js';
import type { Scope } from './tables/rollouts.store.js';
import { activeOf } from './tables/targets.store.js';

/** Whether a node of the right groups is in scope: by label, by id, and not excluded. */
export function isInScope(scope: Scope, node: FleetNode): boolean {
  if (scope.exclude.includes(node.id)) return false;
  if (scope.nodeIds !== null && !scope.nodeIds.includes(node.id)) return false;
  return Object.entries(scope.labels).every(([key, value]) => node.labels[key] === value);
}

/** Which nodes a scope means, now and later. */
@Injectable()
export class Scopes {
  constructor(
    private readonly groups: Groups,
    private readonly nodes: Nodes,
  ) {}

  /** Every node of the scope in order of id, revoked ones too. */
  async nodesOf(scope: Scope): Promise<FleetNode[]> {
    const nodes = await this.nodes.listInGroups(await this.#groupsOf(scope));
    return nodes.filter((node) => isInScope(scope, node));
  }

  /**
   * Nodes of the scope that were enrolled after a moment and are no target yet, at most `limit` of them
   * looked at; `last` is where to go on, null at the end.
   */
  async newcomers(
    sql: Sql,
    rollout: { readonly id: string; readonly scope: Scope; readonly after: Cursor },
    limit: number,
  ): Promise<{ readonly nodes: readonly FleetNode[]; readonly last: Cursor | null }> {
    const { id, scope, after } = rollout;
    const groups = await this.#groupsOf(scope);
    const rows = await sql.all<{ id: string; enrolled_at: number }>(
      `SELECT id, enrolled_at FROM nodes WHERE group_id IN (${questionMarks(groups.length)})
         AND (enrolled_at > ? OR (enrolled_at = ? AND id > ?))
         AND revoked_at IS NULL AND services <> '[]'
         AND id NOT IN (SELECT node_id FROM rollout_targets WHERE rollout_id = ?)
       ORDER BY enrolled_at, id LIMIT ?`,
      [...groups, after.at, after.at, after.id, id, limit],
    );
    const found = await Promise.all(rows.map((row) => this.nodes.find(row.id)));
    const nodes = found.flatMap((node) => (node !== null && isInScope(scope, node) ? [node] : []));
    const end = rows.length < limit ? undefined : rows.at(-1);
    return { nodes, last: end === undefined ? null : { at: end.enrolled_at, id: end.id } };
  }

  /** Ids of a group and of those below it. */
  subtree(groupId: string): Promise<readonly string[]> {
    return this.groups.subtree(groupId);
  }

  async #groupsOf(scope: Scope): Promise<readonly string[]> {
    return scope.subgroups ? this.subtree(scope.groupId) : [scope.groupId];
  }
}

/** Tells the fleet which nodes a rollout holds where they are. */
@Injectable()
export class RolloutHolds implements NodeHolds {
  constructor(transfers: Transfers) {
    transfers.useHolds(this);
  }

  async rolloutOf(sql: Sql, nodeId: string): Promise<string | null> {
    return (await activeOf(sql, [nodeId]))[0]?.rolloutId ?? null;
  }

  async rolloutFromOutside(sql: Sql, groupId: string): Promise<string | null> {
    const below = `%/${groupId}/%`;
    const row = await sql.get<{ id: string }>(
      `SELECT r.id FROM active_targets a JOIN rollouts r ON r.id = a.rollout_id
         JOIN nodes n ON n.id = a.node_id JOIN node_groups g ON g.id = n.group_id
         JOIN node_groups led ON led.id = r.group_id
       WHERE g.path LIKE ? AND led.path NOT LIKE ? ORDER BY r.id LIMIT 1`,
      [below, below],
    );
    return row?.id ?? null;
  }
}
