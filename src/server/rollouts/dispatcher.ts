import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import type { Logger } from 'pino';
import { plus, toIso, type Instant } from '../../core/kernel/index.js';
import type { Command } from '../../protocol/node/index.js';
import { Nodes } from '../fleet/index.js';
import { Links } from '../gateway/index.js';
import {
  questionMarks,
  BUS,
  Database,
  LOGGER,
  newId,
  type Bus,
  type Tx,
} from '../platform/index.js';
import { commandsSent, meters } from '../platform/telemetry/index.js';
import { findCommands, insertCommands, type StoredCommand } from './tables/commands.store.js';
import type { RolloutMeta } from './tables/rollouts.store.js';
import { chunksOf } from './tables/statements.js';
import type { StoredTarget } from './tables/targets.store.js';

/** A node that stays away for a day has to be asked anew. */
const COMMAND_LIFETIME_MS = 24 * 3_600_000;

/** Commands that wait to be read; of more the sweep reminds. Ten times a rollout to 10 000 nodes. */
const WAITING_MAX = 100_000;
const BATCH = 500;
const NOT_HELD = { generation: 1, heldBy: null };

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
         WHERE rollout_id = ? AND node_id IN (${questionMarks(chunk.length)})`,
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
         WHERE rollout_id = ? AND node_id IN (${questionMarks(chunk.length)})`,
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
      const { generation, heldBy } = generations.get(target.nodeId) ?? NOT_HELD;
      return {
        id,
        nodeId: target.nodeId,
        service: target.service,
        rolloutId: meta.id,
        heldBy,
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
      this.#tell(commands);
    });
  }

  /** Those of nodes that other managers have: they read them in SQL. */
  #tell(commands: readonly { readonly id: string; readonly heldBy: string | null }[]): void {
    const { elsewhere } = this.links;
    const byManager = new Map<string, string[]>();
    for (const { id, heldBy } of commands) {
      if (heldBy === null || heldBy === elsewhere.managerId) continue;
      const ids = byManager.get(heldBy);
      if (ids === undefined) byManager.set(heldBy, [id]);
      else ids.push(id);
    }
    for (const [managerId, ids] of byManager) elsewhere.tellCommands(managerId, ids);
  }
}

/**
 * Commands that another manager made for nodes that are here. Told are their ids; what they say is read in SQL, so
 * nobody can command a node through Redis. What is lost the sweep finds within seconds.
 */
@Injectable()
export class Errands implements BeforeApplicationShutdown {
  readonly #waiting = new Set<string>();
  #running: Promise<void> | null = null;

  constructor(
    private readonly database: Database,
    private readonly dispatcher: Dispatcher,
    @Inject(BUS) bus: Bus,
    @Inject(LOGGER) private readonly log: Logger,
  ) {
    bus.hear('commands', ({ ids }) => this.#take(ids));
  }

  /** What is left the node hears at its next manager. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#waiting.clear();
    await this.#running;
  }

  #take(ids: readonly string[]): void {
    for (const id of ids) if (this.#waiting.size < WAITING_MAX) this.#waiting.add(id);
    this.#start();
  }

  #start(): void {
    if (this.#waiting.size === 0) return;
    this.#running ??= this.#run()
      .catch((error: unknown) => {
        this.#waiting.clear();
        this.log.warn({ err: error }, 'commands could not be read; the sweep pushes them');
      })
      .finally(() => {
        this.#running = null;
        // Something may have come in between the last look and now.
        this.#start();
      });
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      const ids = [...this.#waiting].slice(0, BATCH);
      for (const id of ids) this.#waiting.delete(id);
      const commands = await findCommands(this.database.read, ids);
      this.dispatcher.push(commands.filter(({ status }) => status === 'open'));
    }
  }
}
