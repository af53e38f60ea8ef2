import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from '../../protocol/api/index.js';
import type { Crew } from './crew.js';
import type { NodeSeed } from './orders.js';
import type { Client } from './parts.js';
import { patiently } from './patience.js';
import type { Look } from './picture.js';
import type { Scenario } from './scenario.js';
import type { Report } from './tally.js';

type Rollout = Answer<'rollouts.show'>;

const LOOK_MS = 250;
/** The rollout itself is asked for less often: it is a question to the manager. */
const ROLLOUT_LOOK_MS = 1_000;
/** A clock that is off by more is refused (`JWT_CLOCK_SKEW_MS`). */
const SKEW_BORNE_MS = 30_000;
/** Nodes that wait for their next try wait for a minute at most; and then a little. */
const RETURN_MS_MAX = 90_000;

export interface Played {
  readonly report: Report;
  readonly rollout: Rollout | null;
  readonly isInTime: boolean;
  readonly connectedInMs: number;
  /** From when the links were cut until 99 in 100 were back; null when none were cut. */
  readonly backInMs: number | null;
}

export interface Piece {
  readonly scenario: Scenario;
  readonly client: Client;
  readonly crew: Crew;
  readonly seeds: readonly NodeSeed[];
  readonly connectsPerSecond: number;
  /** Makes the rollout, when all are connected; null: there is none. */
  readonly begin: (() => Promise<Rollout>) | null;
  readonly show: (look: Look) => void;
}

/** One scenario, from the first connection to its end. */
export class Play {
  readonly #piece: Piece;
  readonly #startedAt = performance.now();
  #rollout: Rollout | null = null;
  #rolloutAt = 0;
  #eventsBefore = 0;
  #lookedAt = performance.now();
  #cutAt: number | null = null;
  #cutFrom = 0;
  #backInMs: number | null = null;

  constructor(piece: Piece) {
    this.#piece = piece;
  }

  async run(): Promise<Played> {
    const { crew, seeds, connectsPerSecond, begin, scenario } = this.#piece;
    crew.connect(connectsPerSecond);
    const comers = seeds.filter(({ faults }) => !faults.some(isRefused)).length;
    const troubled = seeds.filter(({ faults }) => faults.some(isUnsteady)).length;
    await this.#until(({ states }) => states.connected >= comers - troubled);
    const connectedInMs = performance.now() - this.#startedAt;
    if (begin !== null) {
      this.#rollout = await begin();
      this.#rolloutAt = performance.now();
    }
    const acts = this.#act();
    if (begin !== null) await this.#until(() => this.#isOver());
    await acts;
    await this.#linger(scenario.linger_ms);
    crew.tell({ order: 'calm' });
    const isCalm = ({ states, backlog }: Report): boolean =>
      states.connected >= comers && backlog === 0;
    await this.#until(isCalm, Math.min(this.#leftMs(), RETURN_MS_MAX));
    await this.#look(true);
    return {
      report: crew.report(),
      rollout: this.#rollout,
      isInTime: this.#leftMs() > 0,
      connectedInMs,
      backInMs: this.#backInMs,
    };
  }

  #leftMs(): number {
    return this.#piece.scenario.limit_seconds * 1_000 - (performance.now() - this.#startedAt);
  }

  #isOver(): boolean {
    const { status } = this.#rollout ?? { status: 'complete' };
    return status !== 'pending' && status !== 'in_progress';
  }

  async #until(isSo: (report: Report) => boolean, withinMs = this.#leftMs()): Promise<void> {
    const endsAt = performance.now() + withinMs;
    while (performance.now() < endsAt) {
      await sleep(LOOK_MS);
      await this.#look(false);
      if (isSo(this.#piece.crew.report())) return;
    }
  }

  async #linger(ms: number): Promise<void> {
    await this.#until(() => false, Math.min(ms, this.#leftMs()));
  }

  async #look(isLast: boolean): Promise<void> {
    const { client, crew, show } = this.#piece;
    const now = performance.now();
    const report = crew.report();
    if (this.#rollout !== null && (isLast || now - this.#rolloutAt > ROLLOUT_LOOK_MS)) {
      this.#rolloutAt = now;
      const params = { id: this.#rollout.id };
      this.#rollout = await patiently(() => client.call('rollouts.show', { params }));
      await this.#approve(this.#rollout);
    }
    if (this.#cutAt !== null && this.#backInMs === null && now - this.#cutAt > LOOK_MS) {
      if (report.states.connected >= 0.99 * this.#cutFrom) this.#backInMs = now - this.#cutAt;
    }
    const { events_acked: acked } = report.numbers;
    const eventsPerSecond =
      (1_000 * (acked - this.#eventsBefore)) / Math.max(1, now - this.#lookedAt);
    this.#eventsBefore = acked;
    this.#lookedAt = now;
    show({ elapsedMs: now - this.#startedAt, report, eventsPerSecond, rollout: this.#rollout });
  }

  /** Nobody else is there to do it. */
  async #approve({ id, waves }: Rollout): Promise<void> {
    const waiting = waves.find(({ reason }) => reason === 'waiting_for_approval');
    if (waiting === undefined) return;
    const body = { wave: waiting.index };
    this.#rollout = await this.#piece.client.call('rollouts.approve', { params: { id }, body });
  }

  async #act(): Promise<void> {
    for (const act of [...this.#piece.scenario.acts].sort((a, b) => a.after_ms - b.after_ms)) {
      await sleep(act.after_ms);
      const { crew } = this.#piece;
      this.#cutFrom = crew.report().states.connected;
      this.#cutAt = performance.now();
      crew.tell({ order: 'disconnect', share: act.share });
    }
  }
}

const isRefused = (fault: NodeSeed['faults'][number]): boolean =>
  fault.kind === 'clock_skew' && Math.abs(fault.ms) > SKEW_BORNE_MS;
/** May be away at the very moment at which all others are there. */
const isUnsteady = ({ kind }: NodeSeed['faults'][number]): boolean =>
  kind === 'flapping' || kind === 'reboot_loop' || kind === 'half_open';
