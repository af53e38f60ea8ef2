import { Injectable } from '@nestjs/common';
import { FleetError, type JsonValue } from '../../core/kernel/index.js';
import { Access, Groups, type GroupRecord } from '../access/index.js';
import { AuditLog, type AuditAction } from '../audit/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { Quotas } from './quotas.js';
import { Transfers } from './transfers.js';

const isNotFound = (error: unknown): boolean =>
  error instanceof FleetError && error.code === 'not_found';

/** What else a group holds that would be without a home, such as `2 plans`; null when it holds none. */
export type Keeper = (tx: Tx, groupId: string) => Promise<string | null>;

/** Renaming, moving, deleting groups, and their quotas: what needs to know of the nodes in them. */
@Injectable()
export class GroupShape {
  readonly #keepers: Keeper[] = [];

  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly groups: Groups,
    private readonly quotas: Quotas,
    private readonly audit: AuditLog,
    private readonly transfers: Transfers,
  ) {}

  /** Modules that come later say what keeps a group from being deleted. Registered at the start. */
  keepWhile(keeper: Keeper): void {
    this.#keepers.push(keeper);
  }

  /**
   * Renames or moves a group, with all below it. To move, one administers the group that it leaves and the
   * one that it goes to: whoever holds a role on the old one alone loses it. Throws `conflict` for a loop, a
   * taken name, a tree too deep or the root; `quota_exceeded`; `rollout_node_busy` while a rollout of those
   * above holds a node in it, as for a transfer.
   */
  async change(
    caller: Caller,
    id: string,
    wanted: { readonly name?: string | undefined; readonly parent_id?: string | undefined },
  ): Promise<GroupRecord> {
    await this.access.require(caller, 'group.manage', id);
    const now = await this.#find(id);
    const parentId = wanted.parent_id ?? now.parentId;
    if (parentId !== now.parentId) {
      await this.#requireAbove(caller, now);
      if (parentId !== null) await this.access.require(caller, 'group.manage', parentId);
    }
    const name = wanted.name ?? now.name;
    if (name === now.name && parentId === now.parentId) return now;
    return await this.database.transaction(async (tx) => {
      // Before the paths change: then it is still seen who leads the rollouts of its nodes.
      if (parentId !== now.parentId) await this.transfers.requireFree(tx, id);
      const changed = await this.groups.change(tx, now, { name, parentId });
      if (parentId !== now.parentId) {
        await this.quotas.check(tx, id, await this.quotas.count(tx, id));
      }
      await this.#record(tx, caller, 'group.change', now, {
        name,
        parent_id: parentId,
        old_name: now.name,
        old_parent_id: now.parentId,
      });
      return changed;
    });
  }

  /** Only one that holds no nodes, groups, plans or schedules; revoked nodes do not keep it. Throws `group_not_empty`. */
  async remove(caller: Caller, id: string): Promise<void> {
    await this.access.require(caller, 'group.manage', id);
    const group = await this.#find(id);
    await this.#requireAbove(caller, group);
    await this.database.transaction(async (tx) => {
      await this.groups.remove(tx, group);
      const nodes = await this.quotas.count(tx, id);
      if (nodes > 0) {
        throw new FleetError('group_not_empty', `the group holds ${nodes} nodes`, {
          context: { nodes },
        });
      }
      for (const keeper of this.#keepers) {
        const held = await keeper(tx, id);
        if (held !== null) throw new FleetError('group_not_empty', `the group holds ${held}`);
      }
      await this.#record(tx, caller, 'group.delete', group, { name: group.name });
    });
  }

  /** Null takes the quota away. One below what is there already stops newcomers and touches nobody. */
  async limit(caller: Caller, id: string, nodesMax: number | null): Promise<GroupRecord> {
    await this.access.require(caller, 'quota.manage', id);
    const group = await this.#find(id);
    if (group.nodesMax === nodesMax) return group;
    await this.database.transaction(async (tx) => {
      await this.groups.limit(tx, id, nodesMax);
      await this.#record(tx, caller, 'group.quota', group, { nodes_max: nodesMax });
    });
    return { ...group, nodesMax };
  }

  async #find(id: string): Promise<GroupRecord> {
    const group = await this.groups.find(id);
    if (group === null) throw new FleetError('not_found', 'no such group');
    return group;
  }

  /** Where a group hangs is for those above it: who sees the group is told so, not that there is none. */
  async #requireAbove(caller: Caller, { parentId }: GroupRecord): Promise<void> {
    if (parentId === null) throw new FleetError('conflict', 'the root stays where it is');
    try {
      await this.access.require(caller, 'group.manage', parentId);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new FleetError('insufficient_role', 'this needs the role admin on the group above', {
        context: { required_role: 'admin' },
      });
    }
  }

  async #record(
    tx: Tx,
    caller: Caller,
    action: AuditAction,
    group: GroupRecord,
    details: Readonly<Record<string, JsonValue>>,
  ): Promise<void> {
    const { id } = group;
    await this.audit.append(tx, {
      caller,
      action,
      targetKind: 'group',
      targetId: id,
      groupId: id,
      outcome: 'allowed',
      details,
    });
  }
}
