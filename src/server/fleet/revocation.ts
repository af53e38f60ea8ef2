import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import { Links } from '../gateway/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { Nodes, type FleetNode } from './nodes.store.js';

/** Takes the key of a node out of use. */
@Injectable()
export class Revocation {
  constructor(
    private readonly database: Database,
    private readonly nodes: Nodes,
    private readonly links: Links,
    private readonly audit: AuditLog,
    private readonly events: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Takes out a node that is silent since before `silentSince`, if `isFree` still says so once its row is
   * held. False when nothing was done: of several managers one does it, and audits it.
   */
  async retire(
    node: Pick<FleetNode, 'id' | 'name' | 'groupId'>,
    why: {
      readonly silentSince: number;
      readonly isFree: (tx: Tx) => Promise<boolean>;
      readonly details: Readonly<Record<string, string | number>>;
    },
    caller: Caller,
  ): Promise<boolean> {
    const isDone = await this.database.transaction(async (tx) => {
      const now = this.clock.now();
      // Looked at before, so that there is nothing to undo, and after, when nobody can claim it any more.
      if (!(await why.isFree(tx))) return false;
      if (!(await this.nodes.revokeSilent(tx, node.id, now, why.silentSince))) return false;
      if (!(await why.isFree(tx))) throw new FleetError('conflict', 'it was claimed meanwhile');
      await this.audit.append(tx, {
        caller,
        action: 'node.retire',
        targetKind: 'node',
        targetId: node.id,
        groupId: node.groupId,
        outcome: 'allowed',
        details: { name: node.name, ...why.details },
      });
      this.events.append(tx, [
        {
          category: 'agent',
          type: 'node_revoked',
          severity: 'warning',
          nodeId: node.id,
          groupId: node.groupId,
          message: `${node.name} was taken out of the fleet: it has been gone for long`,
          details: { by: caller.id, reason: 'gone', ...why.details },
          at: now,
        },
      ]);
      return true;
    });
    if (isDone) this.links.closeEverywhere([node.id], 'revoked');
    return isDone;
  }

  /**
   * Idempotent: a second call changes nothing and is not audited again. The link is closed after
   * the commit, so no message of the node is taken with a key that is known to be revoked.
   */
  async revoke(node: FleetNode, caller: Caller): Promise<FleetNode> {
    await this.database.transaction(async (tx) => {
      const now = this.clock.now();
      if (!(await this.nodes.revoke(tx, node.id, now))) return;
      await this.audit.append(tx, {
        caller,
        action: 'node.revoke',
        targetKind: 'node',
        targetId: node.id,
        groupId: node.groupId,
        outcome: 'allowed',
        details: { name: node.name },
      });
      this.events.append(tx, [
        {
          category: 'agent',
          type: 'node_revoked',
          severity: 'warning',
          nodeId: node.id,
          groupId: node.groupId,
          message: `the key of ${node.name} was revoked by ${caller.name}`,
          details: { by: caller.id },
          at: now,
        },
      ]);
    });
    this.links.closeEverywhere([node.id], 'revoked');
    const revoked = await this.nodes.find(node.id);
    if (revoked === null) throw new FleetError('not_found', 'no such node');
    return revoked;
  }
}
