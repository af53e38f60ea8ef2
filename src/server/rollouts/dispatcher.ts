import { Injectable } from '@nestjs/common';
import { plus, toIso, type Instant } from '../../core/kernel/index.js';
import type { Command } from '../../protocol/node/index.js';
import { Nodes } from '../fleet/index.js';
import { Links } from '../gateway/index.js';
import { newId, type Tx } from '../platform/index.js';
import { commandsSent, meters } from '../platform/telemetry/index.js';
import { insertCommands, type StoredCommand } from './commands.store.js';
import type { RolloutMeta } from './rollouts.store.js';
import { chunksOf } from './statements.js';
import type { StoredTarget } from './targets.store.js';

/** A node that stays away for a day has to be asked anew. */
const COMMAND_LIFETIME_MS = 24 * 3_600_000;

/**
 * Writes commands in the transaction that decides them, and hands them to the links after its
 * commit. What is not delivered then, is told in the node's next `welcome`.
 */
@Injectable()
export class Dispatcher {
  constructor(
    private readonly nodes: Nodes,
    private readonly links: Links,
  ) {}

  /** One `upgrade_binary` for each target, and each target `offered`. */
  async offer(
    tx: Tx,
    meta: RolloutMeta,
    targets: readonly StoredTarget[],
    times: {
      readonly now: Instant;
      readonly deadlineAt: Instant;
      /** After it no node begins any more; null: a day. */
      readonly expiresAt: Instant | null;
    },
  ): Promise<void> {
    const expiresAt = times.expiresAt ?? plus(times.now, COMMAND_LIFETIME_MS);
    await this.#send(tx, meta, targets, { now: times.now, expiresAt }, (target, base) => ({
      ...base,
      action: 'upgrade_binary',
      service: target.service,
      product: meta.product,
      version: meta.version,
      channel: meta.channel,
      sources: [],
      apply_after: null,
      expires_at: toIso(expiresAt),
      permit: 'required',
    }));
    for (const chunk of chunksOf(targets)) {
      await tx.run(
        `UPDATE rollout_targets SET state = 'offered', reason = 'command_sent', error_code = NULL, offline = 0,
         deadline_at = ?, updated_at = ?,
         command_id = (SELECT c.id FROM commands c WHERE c.node_id = rollout_targets.node_id
           AND c.status = 'open' AND c.rollout_id = rollout_targets.rollout_id
           AND c.service = rollout_targets.service)
         WHERE rollout_id = ? AND node_id IN (${chunk.map(() => '?').join(', ')})`,
        [times.deadlineAt, times.now, meta.id, ...chunk.map((t) => t.nodeId)],
      );
    }
  }

  /** Ends targets; those that had a command get a `withdraw` for it. */
  async withdraw(
    tx: Tx,
    meta: RolloutMeta,
    targets: readonly StoredTarget[],
    end: {
      readonly state: 'cancelled' | 'skipped';
      readonly reason: string;
      readonly now: Instant;
    },
  ): Promise<void> {
    const { now } = end;
    const told = targets.filter((target) => target.commandId !== null);
    const until = plus(now, COMMAND_LIFETIME_MS);
    await this.#send(tx, meta, told, { now, expiresAt: until }, (target, base) => ({
      ...base,
      action: 'withdraw',
      withdraws: target.commandId ?? '',
    }));
    for (const chunk of chunksOf(targets)) {
      await tx.run(
        `UPDATE rollout_targets SET state = ?, reason = ?, deadline_at = NULL, updated_at = ?
         WHERE rollout_id = ? AND node_id IN (${chunk.map(() => '?').join(', ')})`,
        [end.state, end.reason, now, meta.id, ...chunk.map((t) => t.nodeId)],
      );
    }
  }

  /** Hands commands to the links that are open here. Losing one costs time only. */
  push(commands: readonly Pick<StoredCommand, 'nodeId' | 'payload'>[]): void {
    for (const { nodeId, payload } of commands) {
      const isPushed = this.links.push(nodeId, { type: 'command', command: payload });
      if (isPushed) meters.count('bellwether_commands_total', payload.action, 'pushed');
    }
  }

  async #send(
    tx: Tx,
    meta: RolloutMeta,
    targets: readonly StoredTarget[],
    times: { readonly now: Instant; readonly expiresAt: Instant },
    make: (
      target: StoredTarget,
      base: { readonly command_id: string; readonly generation: number },
    ) => Command,
  ): Promise<void> {
    if (targets.length === 0) return;
    const generations = await this.nodes.nextGenerations(
      tx,
      targets.map((target) => target.nodeId),
    );
    const commands = targets.map((target) => {
      const id = newId('cmd');
      const generation = generations.get(target.nodeId) ?? 1;
      return {
        id,
        nodeId: target.nodeId,
        service: target.service,
        rolloutId: meta.id,
        payload: make(target, { command_id: id, generation }),
      };
    });
    await insertCommands(tx, commands, times.now, times.expiresAt);
    tx.afterCommit(() => {
      for (const { payload } of commands) {
        meters.count('bellwether_commands_total', payload.action, 'made');
      }
      commandsSent(
        commands[0]?.payload.action ?? '',
        commands.map(({ id }) => id),
      );
      this.push(commands);
    });
  }
}
