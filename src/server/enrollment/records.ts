import { Injectable } from '@nestjs/common';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import { Nodes, Quotas } from '../fleet/index.js';
import type { Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import type { EnrollmentToken } from './enrollment.store.js';

/** What stays of an enrollment: the node, an event, an audit entry. */
@Injectable()
export class EnrollmentRecords {
  constructor(
    private readonly nodes: Nodes,
    private readonly events: EventLog,
    private readonly audit: AuditLog,
    private readonly quotas: Quotas,
  ) {}

  async node(
    tx: Tx,
    node: Parameters<Nodes['create']>[1],
    by: { readonly caller: Caller; readonly token: Pick<EnrollmentToken, 'id' | 'createdBy'> },
  ): Promise<void> {
    await this.nodes.create(tx, node);
    await this.quotas.check(tx, node.groupId, 1);
    this.events.append(tx, [
      {
        category: 'agent',
        type: 'node_enrolled',
        severity: 'info',
        nodeId: node.id,
        groupId: node.groupId,
        message: `${node.name} was enrolled`,
        details: { enrollment_token_id: by.token.id, hostname: node.host.hostname },
        at: node.now,
      },
    ]);
    await this.audit.append(tx, {
      caller: { ...by.caller, kind: 'node', id: node.id, name: node.name },
      action: 'node.enroll',
      targetKind: 'node',
      targetId: node.id,
      groupId: node.groupId,
      outcome: 'allowed',
      details: {
        name: node.name,
        enrollment_token_id: by.token.id,
        token_created_by: by.token.createdBy,
      },
    });
  }

  /** The node that had its place before is not trusted any more. */
  async supersede(
    tx: Tx,
    old: { readonly id: string; readonly name: string; readonly groupId: string },
    by: { readonly caller: Caller; readonly now: number },
  ): Promise<void> {
    if (!(await this.nodes.revoke(tx, old.id, by.now))) return;
    await this.audit.append(tx, {
      caller: { ...by.caller, kind: 'node', id: old.id, name: old.name },
      action: 'node.revoke',
      targetKind: 'node',
      targetId: old.id,
      groupId: old.groupId,
      outcome: 'allowed',
      details: { name: old.name, superseded: true },
    });
    this.events.append(tx, [
      {
        category: 'agent',
        type: 'node_revoked',
        severity: 'info',
        nodeId: old.id,
        groupId: old.groupId,
        message: `${old.name} was enrolled anew; its old key is not trusted any more`,
        details: { superseded: true },
        at: by.now,
      },
    ]);
  }
}
