import { Injectable } from '@nestjs/common';
import { MINUTE_MS, type JsonValue } from '../../core/kernel/index.js';
import type { RolloutEvent, RolloutState, Verb } from '../../core/rollout/index.js';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import type { Caller, Tx } from '../platform/index.js';
import { lineFor, typeOf } from './rollout-lines.js';
import type { RolloutMeta } from './tables/rollouts.store.js';

/** Writes what a rollout does into the event log and the audit log, in its own transaction. */
@Injectable()
export class Chronicle {
  constructor(
    private readonly events: EventLog,
    private readonly audit: AuditLog,
  ) {}

  async record(
    tx: Tx,
    rollout: { readonly meta: RolloutMeta; readonly state: RolloutState },
    journal: readonly RolloutEvent[],
    caller: Caller,
  ): Promise<void> {
    const { meta, state } = rollout;
    for (const event of journal) {
      const line = lineFor(meta, state, event);
      if (line !== null) {
        this.events.append(tx, [
          {
            category: 'upgrade',
            type: typeOf(event),
            severity: line.severity,
            nodeId: 'nodeId' in event ? event.nodeId : null,
            groupId: meta.groupId,
            rolloutId: meta.id,
            message: line.message,
            details: { product: meta.product, version: meta.version, ...line.details },
            at: event.at,
          },
        ]);
      }
      await this.#audit(tx, meta, event, caller);
    }
  }

  /** A person asked for the rollout: who, what, how many. */
  async requested(tx: Tx, meta: RolloutMeta, nodeCount: number, caller: Caller): Promise<void> {
    const isNode = meta.scopeKind === 'node';
    const { version, channel, strategy } = meta;
    await this.audit.append(tx, {
      caller,
      action: isNode ? 'node.upgrade.request' : 'group.upgrade.schedule',
      targetKind: meta.scopeKind,
      targetId: meta.scopeId,
      groupId: meta.groupId,
      outcome: 'allowed',
      details: {
        version,
        channel,
        product: meta.product,
        rollout_id: meta.id,
        ...(isNode ? {} : { strategy, node_count: nodeCount }),
        ...madeByDetails(meta),
      },
    });
  }

  /** An operator's verb on a rollout. */
  async verb(tx: Tx, meta: RolloutMeta, { verb, ...rest }: Verb, caller: Caller): Promise<void> {
    await this.audit.append(tx, {
      caller,
      action: `rollout.${verb}`,
      targetKind: 'rollout',
      targetId: meta.id,
      groupId: meta.groupId,
      outcome: 'allowed',
      details: {
        version: meta.version,
        product: meta.product,
        ...('wave' in rest ? { wave: rest.wave + 1 } : {}),
        ...('forMs' in rest ? { reason: rest.reason, minutes: rest.forMs / MINUTE_MS } : {}),
      },
    });
  }

  /** Somebody took a rollout back; the rollouts that do it have entries of their own. */
  async reverted(tx: Tx, meta: RolloutMeta, by: readonly string[], caller: Caller): Promise<void> {
    await this.audit.append(tx, {
      caller,
      action: 'rollout.revert',
      targetKind: 'rollout',
      targetId: meta.id,
      groupId: meta.groupId,
      outcome: 'allowed',
      details: { version: meta.version, product: meta.product, rollout_ids: [...by] },
    });
  }

  async #audit(tx: Tx, meta: RolloutMeta, event: RolloutEvent, caller: Caller): Promise<void> {
    if (meta.scopeKind !== 'group') return;
    const base = {
      caller,
      targetKind: 'group',
      targetId: meta.scopeId,
      groupId: meta.groupId,
      outcome: 'allowed' as const,
    };
    const { version } = meta;
    if (event.type === 'rollout_paused') {
      const details = {
        version,
        wave: event.wave === null ? null : event.wave + 1,
        failure_count: event.failures,
        reason: event.reason,
        rollout_id: meta.id,
      };
      await this.audit.append(tx, { ...base, action: 'group.upgrade.paused', details });
    } else if (event.type === 'rollout_completed') {
      const details = { version, completed_count: event.completed, rollout_id: meta.id };
      await this.audit.append(tx, { ...base, action: 'group.upgrade.complete', details });
    }
  }
}

/** The plan and the schedule that a rollout was made by; nothing where there are none. */
function madeByDetails({ madeBy }: RolloutMeta): Readonly<Record<string, JsonValue>> {
  if (madeBy === null) return {};
  const { plan, schedule } = madeBy;
  return {
    plan_id: plan.id,
    plan_revision: plan.revision,
    ...(schedule === null ? {} : { schedule_id: schedule.id }),
  };
}
