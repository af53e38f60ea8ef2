import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import { Access } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import { Links } from '../gateway/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { Nodes, type FleetNode } from './nodes.store.js';
import { Quotas } from './quotas.js';

/** What holds a node where it is. Registered by the module that knows rollouts. */
export interface NodeHolds {
  /** The active rollout that a node is in; null when there is none. */
  rolloutOf(sql: Sql, nodeId: string): Promise<string | null>;
  /**
   * An active rollout of a group outside of this one that a node in it, or below, is in; null when there is
   * none. Those of the group itself and below go where it goes.
   */
  rolloutFromOutside(sql: Sql, groupId: string): Promise<string | null>;
}

interface Transferred {
  readonly id: string;
  readonly groupId: string;
}

/** What the constructor of `Transfers` would have too many of. */
@Injectable()
export class TransferRecords {
  constructor(
    private readonly audit: AuditLog,
    private readonly events: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** An entry for those who lose the node, an event for them and one for those who get it. */
  async moved(tx: Tx, node: FleetNode, toGroupId: string, caller: Caller): Promise<void> {
    const { id, name, groupId: from } = node;
    await this.audit.append(tx, {
      caller,
      action: 'node.transfer',
      targetKind: 'node',
      targetId: id,
      groupId: from,
      outcome: 'allowed',
      details: { name, from, to: toGroupId },
    });
    const event = (groupId: string) => ({
      category: 'agent' as const,
      type: 'node_transferred' as const,
      severity: 'info' as const,
      nodeId: id,
      groupId,
      message: `${name} was transferred by ${caller.name}`,
      details: { from, to: toGroupId, by: caller.id },
      at: this.clock.now(),
    });
    this.events.append(tx, [event(from), event(toGroupId)]);
  }
}

/**
 * Moves nodes between groups. A node in an active rollout stays: that rollout was cut, approved and limited
 * with it, under the windows and freezes of its group. Finish or cancel it first.
 */
@Injectable()
export class Transfers {
  #holds: NodeHolds | null = null;

  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly nodes: Nodes,
    private readonly quotas: Quotas,
    private readonly links: Links,
    private readonly records: TransferRecords,
  ) {}

  useHolds(holds: NodeHolds): void {
    this.#holds = holds;
  }

  /** Throws `rollout_node_busy` when a rollout of others holds a node of the group, or below it. */
  async requireFree(sql: Sql, groupId: string): Promise<void> {
    const rolloutId = (await this.#holds?.rolloutFromOutside(sql, groupId)) ?? null;
    if (rolloutId === null) return;
    throw new FleetError(
      'rollout_node_busy',
      `nodes of the group are in the rollout ${rolloutId}`,
      {
        context: { rollout_id: rolloutId },
      },
    );
  }

  /**
   * All of them or none. Each is looked at as if it were the only one: who may not transfer it gets
   * `not_found` or `insufficient_role`, and learns nothing of the others. Throws also `rollout_node_busy` and
   * `quota_exceeded`. Idempotent: a node that is there already is passed over. Those that were moved come
   * back with a new link, since a link knows its group.
   */
  async transfer(
    nodeIds: readonly string[],
    groupId: string,
    caller: Caller,
  ): Promise<readonly Transferred[]> {
    await this.access.require(caller, 'node.enroll', groupId);
    const ids = [...new Set(nodeIds)];
    const homes = new Map<string, string>();
    for (const id of ids) homes.set(id, await this.#allowed(id, caller));
    await this.database.transaction(async (tx) => {
      const moved: FleetNode[] = [];
      for (const id of ids) {
        const node = await this.nodes.find(id, tx);
        if (node === null) throw new FleetError('not_found', 'no such node');
        if (node.groupId === groupId) continue;
        // It was asked about where it was: whoever has it now was not.
        if (node.groupId !== homes.get(id)) throw movedMeanwhile();
        await this.#move(tx, node, groupId, caller);
        moved.push(node);
      }
      const counted = moved.filter((node) => node.revokedAt === null).length;
      if (moved.length > 0) await this.quotas.check(tx, groupId, counted);
      tx.afterCommit(() => {
        const ids = moved.map(({ id }) => id);
        this.links.closeEverywhere(ids, 'going_away');
      });
    });
    return ids.map((id) => ({ id, groupId }));
  }

  /** The group that it leaves. */
  async #allowed(id: string, caller: Caller): Promise<string> {
    const node = await this.nodes.find(id);
    if (node === null) throw new FleetError('not_found', 'no such node');
    await this.access.require(caller, 'node.enroll', node.groupId);
    return node.groupId;
  }

  async #move(tx: Tx, node: FleetNode, groupId: string, caller: Caller): Promise<void> {
    // Whoever was asked about is whom it is: a node that was moved meanwhile is asked about again.
    const changed = await tx.run('UPDATE nodes SET group_id = ? WHERE id = ? AND group_id = ?', [
      groupId,
      node.id,
      node.groupId,
    ]);
    if (changed === 0) throw movedMeanwhile();
    // After its row is taken: a rollout that claims it now has to wait, and sees it gone.
    const rolloutId = (await this.#holds?.rolloutOf(tx, node.id)) ?? null;
    if (rolloutId !== null) {
      throw new FleetError('rollout_node_busy', `${node.name} is in the rollout ${rolloutId}`, {
        context: { node_id: node.id, rollout_id: rolloutId },
      });
    }
    await this.records.moved(tx, node, groupId, caller);
  }
}

const movedMeanwhile = (): FleetError =>
  new FleetError('conflict', 'the node was transferred meanwhile');
