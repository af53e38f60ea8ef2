import { Injectable } from '@nestjs/common';
import { durationInWords, toIso, type JsonValue } from '../../core/kernel/index.js';
import type { RolloutEvent, RolloutState } from '../../core/rollout/index.js';
import type { Severity } from '../../protocol/index.js';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import type { Caller, Tx } from '../platform/index.js';
import type { RolloutMeta } from './rollouts.store.js';

interface Line {
  readonly severity: Severity;
  readonly message: string;
  readonly details: Readonly<Record<string, JsonValue>>;
}

const counted = (nodes: number): string => (nodes === 1 ? '1 node' : `${nodes} nodes`);

/** What people and SIEM systems read of a rollout event, or null when node events say it already. */
function lineFor(meta: RolloutMeta, state: RolloutState, event: RolloutEvent): Line | null {
  const what = `${meta.product} ${meta.version}`;
  const waves = state.waves.length;
  switch (event.type) {
    case 'rollout_started':
      return { severity: 'info', message: `Rollout of ${what} started`, details: { waves } };
    case 'wave_opened': {
      const nodes = state.waves[event.wave]?.size ?? 0;
      return {
        severity: 'info',
        message: `Wave ${event.wave + 1} of ${waves} opened: ${what} for ${counted(nodes)}`,
        details: { wave: event.wave + 1, nodes },
      };
    }
    case 'wave_settling':
      return {
        severity: 'info',
        message:
          `Wave ${event.wave + 1} of ${waves} is done; it settles for ` +
          durationInWords(event.settlesAt - event.at),
        details: { wave: event.wave + 1, settles_at: toIso(event.settlesAt) },
      };
    case 'wave_passed':
      return {
        severity: 'info',
        message: `Wave ${event.wave + 1} of ${waves} passed its gate`,
        details: { wave: event.wave + 1 },
      };
    case 'rollout_paused':
      return {
        severity: event.reason === 'paused_by_operator' ? 'info' : 'critical',
        message: `Rollout of ${what} paused in wave ${event.wave + 1}: ${event.reason}`,
        details: { wave: event.wave + 1, reason: event.reason, failures: event.failures },
      };
    case 'rollout_resumed':
      return { severity: 'info', message: `Rollout of ${what} resumed`, details: {} };
    case 'targets_retried':
      return {
        severity: 'info',
        message: `Wave ${event.wave + 1}: ${counted(event.count)} tried again`,
        details: { wave: event.wave + 1, nodes: event.count },
      };
    case 'rollout_completed':
      return {
        severity: event.failures > 0 ? 'warning' : 'info',
        message: `Rollout of ${what} complete: ${counted(event.completed)} upgraded`,
        details: {
          reason: event.reason,
          completed_count: event.completed,
          failures: event.failures,
        },
      };
    case 'rollout_cancelled':
      return { severity: 'warning', message: `Rollout of ${what} cancelled`, details: {} };
    case 'target_moved':
      if (event.to !== 'silent') return null;
      return {
        severity: event.lost > 0 ? 'critical' : 'warning',
        message:
          event.lost > 0
            ? 'Node fell silent after it was let swap'
            : 'Node said nothing before its deadline',
        details: { wave: event.wave + 1, reason: event.reason },
      };
  }
}

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
            type: event.type === 'target_moved' ? 'target_silent' : event.type,
            severity: line.severity,
            nodeId: event.type === 'target_moved' ? event.nodeId : null,
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
      },
    });
  }

  /** An operator's verb on a rollout. */
  async verb(tx: Tx, meta: RolloutMeta, verb: string, caller: Caller): Promise<void> {
    await this.audit.append(tx, {
      caller,
      action: `rollout.${verb}` as 'rollout.pause',
      targetKind: 'rollout',
      targetId: meta.id,
      groupId: meta.groupId,
      outcome: 'allowed',
      details: { version: meta.version, product: meta.product },
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
        wave: event.wave + 1,
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
