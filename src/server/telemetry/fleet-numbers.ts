import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { AuditLog, Checkpoints } from '../audit/index.js';
import { deadLettersByKind, EventLog, sinkLags, type SinkLag } from '../events/index.js';
import { SINK_KINDS } from '../../protocol/api/index.js';
import { CLOCK, Database, LOGGER, type Clock } from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import { rolloutNumbers, type RolloutNumbers } from '../rollouts/index.js';

/** Several scrapers, and many managers on one database, cost it no more than one look in this time. */
const FRESH_MS = 5_000;

interface Numbers {
  readonly rollouts: RolloutNumbers;
  readonly eventHead: number;
  readonly auditHead: number;
  readonly sinks: readonly SinkLag[];
  readonly deadLetters: ReadonlyMap<string, number>;
  readonly signed: { readonly size: number; readonly madeAt: number } | null;
}

/**
 * What the database knows of the whole fleet: read with a handful of statements whose cost does not
 * grow with nodes, targets, events or entries, and kept for some seconds.
 */
@Injectable()
export class FleetNumbers {
  #known: { readonly numbers: Numbers | null; readonly atMs: number } | null = null;
  #reading: Promise<void> | null = null;

  constructor(
    private readonly database: Database,
    private readonly events: EventLog,
    private readonly audit: AuditLog,
    private readonly checkpoints: Checkpoints,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  /** Never rejects: what cannot be read is not told, and that is counted. */
  async refresh(): Promise<void> {
    const atMs = performance.now();
    if (this.#known !== null && atMs - this.#known.atMs < FRESH_MS) return;
    this.#reading ??= this.#read()
      .then(
        (numbers) => {
          this.#known = { numbers, atMs };
        },
        (error: unknown) => {
          this.#known = { numbers: null, atMs };
          meters.count('bellwether_fleet_numbers_failures_total');
          this.log.warn({ err: error }, 'the numbers of the fleet could not be read');
        },
      )
      .finally(() => (this.#reading = null));
    await this.#reading;
  }

  /** Puts what was read last into the meters; without it these metrics are left out. */
  tell(): void {
    for (const name of FLEET) meters.forget(name);
    const numbers = this.#known?.numbers ?? null;
    if (numbers === null) return;
    const { rollouts, eventHead, auditHead, signed } = numbers;
    for (const status of ['pending', 'in_progress', 'paused']) {
      meters.set('bellwether_rollouts', rollouts.byStatus.get(status) ?? 0, status);
    }
    for (const [state, count] of rollouts.targets) {
      meters.set('bellwether_rollout_targets', count, state);
    }
    for (const [reason, count] of rollouts.waves) {
      meters.set('bellwether_rollout_waves_waiting', count, reason);
    }
    meters.set('bellwether_rollouts_beyond_limit', rollouts.beyondLimit);
    meters.set('bellwether_wakeups_pending', rollouts.waiting);
    const first = rollouts.firstWakeAt ?? Infinity;
    const overdueMs = Math.max(0, this.clock.now() - first);
    meters.set('bellwether_wakeup_overdue_seconds', overdueMs / 1_000);
    meters.set('bellwether_event_head', eventHead);
    this.#tellSinks(numbers);
    meters.set('bellwether_audit_head', auditHead);
    meters.set('bellwether_audit_unsigned_entries', Math.max(0, auditHead - (signed?.size ?? 0)));
    meters.set('bellwether_audit_checkpoint_timestamp_seconds', (signed?.madeAt ?? 0) / 1_000);
  }

  #tellSinks({ sinks, deadLetters }: Pick<Numbers, 'sinks' | 'deadLetters'>): void {
    const now = this.clock.now();
    for (const kind of SINK_KINDS) {
      const ofKind = sinks.filter((sink) => sink.kind === kind);
      const awake = ofKind.filter(({ isPaused }) => !isPaused);
      for (const state of ['closed', 'open', 'half_open'] as const) {
        const count = awake.filter(({ circuit }) => circuit === state).length;
        meters.set('bellwether_sinks', count, kind, state);
      }
      meters.set('bellwether_sinks', ofKind.length - awake.length, kind, 'paused');
      const events = Math.max(0, ...awake.map((sink) => sink.events));
      const ages = awake.map(({ oldestAt }) => (oldestAt === null ? 0 : now - oldestAt));
      meters.set('bellwether_sink_lag_events', events, kind);
      meters.set('bellwether_sink_lag_seconds', Math.max(0, ...ages) / 1_000, kind);
      meters.set('bellwether_sink_dead_letters', deadLetters.get(kind) ?? 0, kind);
    }
  }

  async #read(): Promise<Numbers> {
    const sql = this.database.read;
    return {
      rollouts: await rolloutNumbers(sql),
      eventHead: (await this.events.head(sql)).last,
      auditHead: await this.audit.head(sql),
      sinks: await sinkLags(sql),
      deadLetters: await deadLettersByKind(sql),
      signed: await this.checkpoints.newest(sql),
    };
  }
}

const FLEET = [
  'bellwether_rollouts',
  'bellwether_rollout_targets',
  'bellwether_rollout_waves_waiting',
  'bellwether_rollouts_beyond_limit',
  'bellwether_wakeups_pending',
  'bellwether_wakeup_overdue_seconds',
  'bellwether_event_head',
  'bellwether_sinks',
  'bellwether_sink_lag_events',
  'bellwether_sink_lag_seconds',
  'bellwether_sink_dead_letters',
  'bellwether_audit_head',
  'bellwether_audit_unsigned_entries',
  'bellwether_audit_checkpoint_timestamp_seconds',
] as const;
