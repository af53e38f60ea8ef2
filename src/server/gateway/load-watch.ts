import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Logger } from 'pino';
import { FleetError } from '../../core/kernel/index.js';
import { Database, LOGGER } from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import {
  CALM_MS,
  DEGRADED,
  LOAD_STEPS,
  loadAfter,
  LOOK_MS,
  NO_LOAD,
  type Degraded,
  type Load,
  type LoadSigns,
  type LoadStep,
} from './storm-rule.js';

/** How finely the delay of the event loop is measured; a timer inside libuv, no script runs for it. */
const RESOLUTION_MS = 20;
const NS_PER_MS = 1e6;

/**
 * How busy this manager is, and what it leaves for later because of that (`DEGRADED`). It looks four times a second: how
 * long the event loop did not come round, and how long a transaction waits for its turn.
 */
@Injectable()
export class LoadWatch implements OnModuleInit, OnModuleDestroy {
  readonly #loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #listeners: ((signs: LoadSigns) => void)[] = [];
  #load: Load = NO_LOAD;
  #signs: LoadSigns = { loopDelayMs: 0, databaseDelayMs: 0 };
  #timer: NodeJS.Timeout | null = null;
  #endTelling: () => void = () => undefined;

  constructor(
    private readonly database: Database,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  onModuleInit(): void {
    this.#loop.enable();
    this.#timer = setInterval(() => {
      this.look();
    }, LOOK_MS).unref();
    this.#endTelling = meters.atScrape(() => {
      meters.set('bellwether_load_step', LOAD_STEPS.indexOf(this.step));
      meters.set('bellwether_database_delay_seconds', this.#signs.databaseDelayMs / 1_000);
    });
  }

  onModuleDestroy(): void {
    this.#loop.disable();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#endTelling();
  }

  get step(): LoadStep {
    return this.#load.step;
  }
  get signs(): LoadSigns {
    return this.#signs;
  }
  get degraded(): Degraded {
    return DEGRADED[this.#load.step];
  }

  /** Called at each look. */
  onLook(listener: (signs: LoadSigns) => void): void {
    this.#listeners.push(listener);
  }

  /** Throws `manager_busy` while exports wait. */
  requireRoomForExports(): void {
    if (!this.degraded.refusesExports) return;
    throw new FleetError('manager_busy', 'exports wait while the manager is busy', {
      context: { retry_after_seconds: CALM_MS / 1_000 },
    });
  }

  look(): void {
    // Of an untouched histogram the largest value is 0.
    const loopDelayMs = Math.max(0, this.#loop.max / NS_PER_MS - RESOLUTION_MS);
    this.#loop.reset();
    meters.observe('bellwether_event_loop_lag_seconds', loopDelayMs / 1_000);
    this.judge({ loopDelayMs, databaseDelayMs: this.database.delayMs() });
  }

  /** What a look has seen, and when. */
  judge(signs: LoadSigns, nowMs = performance.now()): void {
    this.#signs = signs;
    const before = this.step;
    this.#load = loadAfter(this.#load, signs, nowMs);
    if (this.step !== before) this.log.warn({ before, ...signs }, `the manager is ${this.step}`);
    for (const listener of this.#listeners) listener(signs);
  }
}
