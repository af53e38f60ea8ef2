import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DAY_MS, type JsonValue } from '../../core/kernel/index.js';
import type { NodeEvent } from '../../protocol/node/index.js';
import { AuditLog } from '../audit/index.js';
import type { NodeEventObserver, NodeNews } from '../events/index.js';
import { CLOCK, type Clock, type Tx } from '../platform/index.js';

/** The same image for the same reason is one entry in this time. */
const AGAIN_MS = DAY_MS;
/** Kinds of one node in this time: whoever makes up images cannot flood the log. */
export const KINDS_MAX = 20;

const TOLD = ['workload', 'pod', 'container', 'image', 'count', 'first_at', 'mode'] as const;

/**
 * Pods that the webhook of a cluster kept out, in the audit log: by node, image and reason, once a day. A pod that is tried again and
 * again is one entry, and so is what was audited by another manager; every refusal is an event as well.
 */
@Injectable()
export class AdmissionRefusals implements NodeEventObserver {
  constructor(
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async observe(tx: Tx, news: readonly NodeNews[]): Promise<void> {
    for (const { node, events } of news) {
      for (const event of events) {
        if (event.type === 'admission_refused') await this.#refused(tx, node, event);
      }
    }
  }

  async #refused(tx: Tx, node: NodeNews['node'], event: NodeEvent): Promise<void> {
    const { nodeId, groupId } = node;
    const details = event.details as Readonly<Record<string, JsonValue>>;
    const code = details['error_code'] ?? null;
    const isWarning = details['mode'] === 'warn';
    if (!(await this.#isNews(tx, nodeId, [code, details['image'] ?? null, isWarning]))) return;
    const about = await tx.get<{ name: string; cluster: string | null }>(
      `SELECT n.name, c.cluster FROM nodes n LEFT JOIN cluster_nodes c ON c.node_id = n.id
       WHERE n.id = ?`,
      [nodeId],
    );
    const name = about?.name ?? nodeId;
    const told = TOLD.map((key) => [key, details[key] ?? null] as const);
    await this.audit.append(tx, {
      caller: { kind: 'node', id: nodeId, name, grants: [], requestId: '', ip: '' },
      action: 'admission.refused',
      targetKind: 'node',
      targetId: nodeId,
      groupId,
      outcome: isWarning ? 'allowed' : 'refused',
      details: {
        name,
        cluster: about?.cluster ?? null,
        error_code: code,
        ...Object.fromEntries(told),
      },
    });
  }

  /** Whether it was not audited lately, here or by another manager; then it is from now on. */
  async #isNews(tx: Tx, nodeId: string, what: readonly JsonValue[]): Promise<boolean> {
    const now = this.clock.now();
    await tx.run('DELETE FROM admission_refusals WHERE node_id = ? AND audited_at <= ?', [
      nodeId,
      now - AGAIN_MS,
    ]);
    const kind = createHash('sha256').update(JSON.stringify(what)).digest('base64url');
    const taken = await tx.get<{ found: number }>(
      `INSERT INTO admission_refusals (node_id, kind, audited_at)
       SELECT id, CAST(? AS text), CAST(? AS bigint) FROM nodes WHERE id = ?
         AND (SELECT COUNT(*) FROM admission_refusals r WHERE r.node_id = nodes.id) < ${KINDS_MAX}
       ON CONFLICT (node_id, kind) DO NOTHING RETURNING 1 AS found`,
      [kind, now, nodeId],
    );
    return taken !== undefined;
  }
}
