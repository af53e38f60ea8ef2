import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { instant, plus, SECOND_MS, type Instant } from '../../core/kernel/index.js';
import { ACK_TIMEOUT_MS } from '../../protocol/node/index.js';
import { type Clock, CLOCK, Database, LOGGER } from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import { CHORES, type Chore } from './chores.js';
import { unansweredCommands } from './tables/commands.store.js';
import { Dispatcher } from './dispatcher.js';
import { Newcomers } from './newcomers.js';
import { Reverts } from './reverts.js';
import { Orchestrator } from './rollouts.orchestrator.js';
import { dueRollouts } from './tables/rollouts.store.js';
import { goneTargets } from './tables/targets.store.js';

/** How often the sweep looks for alarms that were lost. It bounds how late a wave can start. */
const SWEEP_EVERY_MS = 5 * SECOND_MS;
/** What is taken in one go, so that a sweep never holds up the next for long. */
const DUE_BATCH = 100;
const REPUSH_BATCH = 1_000;
const GONE_BATCH = 500;
/** An upgraded node that is away for this long counts as offline: four heartbeats of 15 s. */
const OFFLINE_AFTER_MS = 60 * SECOND_MS;

export const choresOf = (newcomers: Newcomers, reverts: Reverts): readonly Chore[] => [
  { what: 'nodes that came later', find: (now) => newcomers.tasks(now) },
  { what: 'nodes to be taken back', find: (now) => reverts.tasks(now) },
];

/**
 * Finds what nobody tells: alarms and commands that were lost on the way, nodes that stay away, nodes
 * that came later, or too late for a revert. Everything it does can be done twice.
 */
@Injectable()
export class Sweeper {
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> | null = null;
  #startedAt: Instant | null = null;
  readonly #added: Chore[] = [];

  constructor(
    private readonly database: Database,
    private readonly orchestrator: Orchestrator,
    private readonly dispatcher: Dispatcher,
    @Inject(CHORES) private readonly chores: readonly Chore[],
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  /** What modules that come later look for. To be added before the start. */
  add(chore: Chore): void {
    this.#added.push(chore);
  }

  /** Sweeps at once, then again and again, one at a time. */
  start(): void {
    this.#startedAt = this.#now();
    const sweep = (): void => {
      this.#sweeping ??= this.sweep().finally(() => (this.#sweeping = null));
    };
    sweep();
    this.#timer = setInterval(sweep, SWEEP_EVERY_MS);
    this.#timer.unref();
  }

  /** Waits for what runs; afterwards nothing is swept. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#sweeping;
  }

  /** One round. Never rejects: what failed is logged, holds nothing else up, and is tried again. */
  async sweep(): Promise<void> {
    const startedMs = performance.now();
    const now = this.#now();
    await this.#try('due rollouts', () => this.#wakeDue(now));
    await this.#try('nodes that are gone', () => this.#hearGone(now));
    for (const chore of [...this.chores, ...this.#added]) await this.#see(chore, now);
    await this.#try('unanswered commands', () => this.#pushAgain(now));
    meters.since('bellwether_sweep_seconds', startedMs);
  }

  async #wakeDue(now: Instant): Promise<void> {
    for (const id of await dueRollouts(this.database.read, now, DUE_BATCH)) {
      await this.#try(`rollout ${id}`, () => this.orchestrator.wake(id));
    }
  }

  /** While this process is young every node looks gone: they only are on their way back. */
  async #hearGone(now: Instant): Promise<void> {
    const before = plus(now, -OFFLINE_AFTER_MS);
    if (this.#startedAt !== null && this.#startedAt > before) return;
    for (const { rolloutId, nodeId } of await goneTargets(this.database.read, before, GONE_BATCH)) {
      await this.#try(`node ${nodeId}`, () =>
        this.orchestrator.hear(rolloutId, nodeId, { kind: 'presence', online: false }),
      );
    }
  }

  async #see({ what, find }: Chore, now: Instant): Promise<void> {
    await this.#try(what, async () => {
      for (const task of await find(now)) await this.#try(task.what, task.run);
    });
  }

  async #pushAgain(now: Instant): Promise<void> {
    const before = plus(now, -ACK_TIMEOUT_MS);
    this.dispatcher.push(await unansweredCommands(this.database.read, before, now, REPUSH_BATCH));
  }

  async #try(what: string, work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) => {
      meters.count('bellwether_sweep_failures_total');
      this.log.error({ err: error, what }, 'the sweep could not see to this; it tries again');
    });
  }

  #now(): Instant {
    return instant(this.clock.now());
  }
}
