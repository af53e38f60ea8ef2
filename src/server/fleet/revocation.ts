import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import { Links } from '../gateway/index.js';
import { Database } from '../platform/database/index.js';
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
