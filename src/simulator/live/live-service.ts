import {
  answerTo,
  FRESH_WATCH,
  HEALTHY_RESULTS_MIN,
  freshState,
  nextAction,
  step,
  type Action,
  type Facts,
  type Input,
  type Job,
  type Machine,
  type OutboxEvent,
} from '../../core/update/index.js';
import type { Command, NodeMessage, ServiceReport } from '../../protocol/node/index.js';
import type { ServiceSeed } from './orders.js';
import type { LiveMemory } from './live-memory.js';
import { inputOf } from './parts.js';
import type { Fault, Scenario } from './scenario.js';
import type { Counter, Moment } from './tally.js';
import type { Slot, Wheel } from './wheel.js';

/** Health checks in a window; three good ones in a row at its end are needed. */
const CHECKS_PER_WINDOW = 4;
/** Downloads of one release that arrive damaged, until the node gives it up. */
const DOWNLOAD_TRIES_MAX = 3;
const PERMIT_LOOK_MS_MAX = 10_000;
const BOOT_ATTEMPTS_MAX = 3;

/** What a service needs of its node. */
export interface Home {
  readonly wheel: Wheel;
  readonly work: Scenario['work'];
  readonly bootedAt: number;
  /** Null: it forgets everything when its process dies. */
  readonly memory: LiveMemory | null;
  /** From 0 to 1, from the seed. */
  luck(): number;
  /** By the clock of the node, which may be wrong. */
  nowMs(): number;
  fault<K extends Fault['kind']>(kind: K): Extract<Fault, { kind: K }> | null;
  count(counter: Counter): void;
  mark(moment: Moment): void;
  send(message: NodeMessage): boolean;
  /** Keeps what it is now, when it has where. */
  remember(): void;
  spool(service: string, events: readonly OutboxEvent[]): void;
  ended(result: 'succeeded' | 'failed' | 'rolled_back' | 'withdrawn', code: string | null): void;
}

/**
 * One service of a simulated node: the agent's own update machine, with waiting in place of downloads,
 * archives and processes.
 */
export class LiveService {
  readonly seed: ServiceSeed;
  readonly #home: Home;
  machine: Machine;
  /** What the link `current` leads to. */
  #current: string | null;
  #slot: Slot | null = null;
  #isWorking = false;
  #isLooping = false;
  /** One look is one moment: how long a busy process needs for it is not the service's doing. */
  #lookedAt: number | null = null;
  #nextCheckAt = 0;
  #downloads = 0;
  #swapped: string | null = null;

  constructor(seed: ServiceSeed, home: Home) {
    this.seed = seed;
    this.#home = home;
    const { name, product, variant, version } = seed;
    const current =
      version === null
        ? null
        : { version, channel: 'stable' as const, sequence: 0, state_schema: null };
    const state = { ...freshState({ service: name, product, variant }), current };
    const kept = home.memory?.kept?.services[name];
    this.#current = kept === undefined ? version : kept.current;
    this.machine = { state: kept?.state ?? state, watch: FRESH_WATCH };
  }

  /** What the link `current` leads to, which may differ from what the machine believes. */
  get linked(): string | null {
    return this.#current;
  }

  /** Whether this command is, or was, one of this service. */
  knows(commandId: string): boolean {
    const { state } = this.machine;
    return state.job?.command_id === commandId || answerTo(state, commandId) !== null;
  }

  obey(command: Command): NodeMessage {
    const { command_id } = command;
    const before = answerTo(this.machine.state, command_id);
    if (before === null) this.take(inputOf(command));
    const answer = before ?? answerTo(this.machine.state, command_id);
    if (answer === null || answer.error_code === null) {
      return { type: 'ack', command_id, result: before === null ? 'accepted' : 'duplicate' };
    }
    const code = answer.error_code as 'command_stale';
    return { type: 'reject', command_id, error_code: code, message: answer.message };
  }

  /** One input, its events in the spool when it returns; dropped when it is of another job. */
  take(input: Input, of: Job | null = null): void {
    const before = this.machine;
    const { job } = before.state;
    if (of !== null && job?.command_id !== of.command_id) return;
    this.machine = step(before, input, this.#facts());
    const { state } = this.machine;
    if (job !== null && job.command_id !== state.job?.command_id) this.#giveUp();
    if (state.outcome !== null && state.outcome.command_id !== before.state.outcome?.command_id) {
      this.#home.ended(state.outcome.result, state.outcome.error_code);
      this.#home.memory?.ended(state.outcome.command_id, state.outcome.result);
    }
    if (state.outbox.length > 0) {
      this.#home.spool(this.seed.name, state.outbox);
      const ids = state.outbox.map((event) => event.id);
      this.machine = step(this.machine, { type: 'spooled', ids }, this.#facts());
    }
    if (this.machine === before) return;
    this.#home.remember();
    this.#lookIn(0);
  }

  /** The machine was off, and runs again. */
  boot(): void {
    this.#giveUp();
    this.machine = { state: this.machine.state, watch: FRESH_WATCH };
    this.take({ type: 'booted', current: this.#current });
    this.#lookIn(0);
  }

  /** Nothing goes on while the machine is off. */
  halt(): void {
    this.#giveUp();
    this.#home.wheel.cancel(this.#slot);
    this.#slot = null;
  }

  report(): ServiceReport {
    const { current, previous, job, outcome } = this.machine.state;
    const { name, product, variant } = this.seed;
    return {
      ...{ name, product, variant },
      version: current?.version ?? null,
      previous_version: previous?.version ?? null,
      phase: job?.phase ?? 'idle',
      command_id: job?.command_id ?? null,
      healthy: current === null ? null : true,
      restarts: 0,
      outcome: outcome as ServiceReport['outcome'],
    };
  }

  #facts(): Facts {
    return {
      nowMs: this.#home.nowMs(),
      monotonicMs: (this.#lookedAt ?? performance.now()) - this.#home.bootedAt,
      healthWindowMs: this.#home.work.health_window_ms,
      bootAttemptsMax: BOOT_ATTEMPTS_MAX,
      manualOnly: false,
    };
  }

  #giveUp(): void {
    if (!this.#isWorking) return;
    this.#isWorking = false;
    this.#home.wheel.cancel(this.#slot);
    this.#slot = null;
  }

  #lookIn(ms: number): void {
    if (this.#isWorking || (this.#isLooping && ms === 0)) return;
    this.#home.wheel.cancel(this.#slot);
    if (ms > 0) {
      this.#slot = this.#home.wheel.in(ms, () => {
        this.#look();
      });
      return;
    }
    this.#look();
  }

  /** Does what there is to do, until something has to be waited for. */
  #look(): void {
    this.#slot = null;
    this.#isLooping = true;
    this.#lookedAt = performance.now();
    let waitMs: number | null = 0;
    while (waitMs === 0 && !this.#isWorking)
      waitMs = this.#do(nextAction(this.machine, this.#facts()));
    this.#isLooping = false;
    this.#lookedAt = null;
    if (waitMs !== null) this.#lookIn(waitMs);
  }

  /** How long to wait; 0: go on at once; null: something else will look again. */
  #do(action: Action): number | null {
    switch (action.do) {
      case 'wait':
        return this.#wait(action.ms);
      case 'fetch':
        return this.#fetch(action.job);
      case 'extract':
        return this.#extract(action.job);
      case 'ask_permit':
        return this.#ask(action.job);
      case 'swap':
        return this.#swap(action.job);
      case 'watch':
        return this.#watch(action.job);
      case 'roll_back':
        this.#current = action.job.from?.version ?? null;
        this.take({ type: 'rolled_back' });
        return 0;
    }
  }

  /** Looking every quarter of a second, as the agent does, would cost ten thousand nodes a processor. */
  #wait(ms: number | null): number | null {
    if (ms === null) return null;
    const { state, watch } = this.machine;
    if (state.job?.phase === 'swapping') this.take({ type: 'tick' });
    const untilAskMs = watch.askPermitAtMs - this.#facts().monotonicMs;
    return Math.max(ms, Math.min(PERMIT_LOOK_MS_MAX, untilAskMs));
  }

  /** Something that takes a while, up to half more than it says; dropped when the job ends meanwhile. */
  #after(ms: number, done: () => void): number | null {
    if (ms === 0) {
      done();
      return 0;
    }
    this.#isWorking = true;
    this.#slot = this.#home.wheel.in(ms * (1 + this.#home.luck() / 2), () => {
      this.#isWorking = false;
      this.#slot = null;
      done();
      this.#lookIn(0);
    });
    return null;
  }

  #fetch(job: Job): number | null {
    const artifact = { sha256: '0'.repeat(64), size: 1, sequence: 1, state_schema: null };
    this.take({ type: 'judged', artifact }, job);
    return this.#after(this.#home.work.fetch_ms, () => {
      this.#fetched(job);
    });
  }

  #fetched(job: Job): void {
    const full = this.#home.fault('disk_full');
    const damaged = this.#home.fault('corrupt_chunks');
    if (full !== null && this.#home.luck() < full.probability) {
      this.#home.count('faults');
      this.#fail(job, 'download', 'upgrade_disk_full');
    } else if (damaged !== null && this.#home.luck() < damaged.probability) {
      this.#home.count('faults');
      this.#downloads += 1;
      if (this.#downloads < DOWNLOAD_TRIES_MAX) return;
      this.#downloads = 0;
      this.#fail(job, 'verify', 'upgrade_checksum_mismatch');
    } else {
      this.#downloads = 0;
      this.take({ type: 'downloaded' }, job);
    }
  }

  #extract(job: Job): number | null {
    return this.#after(this.#home.work.stage_ms, () => {
      if (this.#home.fault('bad_release')?.how === 'fails') {
        this.#home.count('faults');
        this.#fail(job, 'stage', 'upgrade_extract_failed');
      } else {
        this.take({ type: 'extracted' }, job);
      }
    });
  }

  #fail(job: Job, during: 'download' | 'verify' | 'stage', code: string): void {
    this.take({ type: 'failed', step: during, code, message: `simulated: ${code}` }, job);
  }

  #ask(job: Job): number {
    this.take({ type: 'permit_asked' }, job);
    const { command_id, version } = job;
    const { asks } = this.machine.watch;
    const { name: service } = this.seed;
    this.#home.send({ type: 'permit_request', command_id, ask: asks, service, version });
    return PERMIT_LOOK_MS_MAX;
  }

  #swap(job: Job): number | null {
    this.#home.count('swaps');
    this.#home.mark('last_swap_at');
    this.#home.memory?.swapping(job);
    this.#home.remember();
    return this.#after(this.#home.work.swap_ms, () => {
      // One that a reboot undid is begun anew; it must not be done anew.
      if (this.#swapped === job.command_id) this.#home.count('swaps_twice');
      this.#swapped = job.command_id;
      this.#current = job.version;
      this.#home.memory?.swapped(job.command_id);
      this.#nextCheckAt = 0;
      this.take({ type: 'swapped' });
    });
  }

  #watch(job: Job): number {
    const { health_window_ms: windowMs } = this.#home.work;
    const now = performance.now();
    if (now < this.#nextCheckAt) return this.#nextCheckAt - now;
    const everyMs = Math.ceil(windowMs / CHECKS_PER_WINDOW);
    this.#nextCheckAt = now + everyMs;
    const bad = this.#home.fault('bad_release');
    if (bad === null || bad.how === 'fails') {
      // As many as are needed at once: a process that plays thousands must not look like a sick service.
      const checks = this.machine.watch.healthyInARow === 0 ? HEALTHY_RESULTS_MIN : 1;
      for (let at = 0; at < checks; at += 1) this.take({ type: 'health', healthy: true }, job);
      return everyMs;
    }
    this.#home.count('faults');
    if (bad.how === 'crashes') this.take({ type: 'exited' }, job);
    else this.take({ type: 'health', healthy: false }, job);
    return Math.max(20, everyMs);
  }
}
