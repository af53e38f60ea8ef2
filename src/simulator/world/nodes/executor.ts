import {
  nextAction,
  type Facts,
  type Input,
  type Job,
  type Machine,
} from '../../../core/update/index.js';
import type { Agenda, Appointment } from '../agenda.js';
import type { Chance } from '../chance.js';
import type { Faults } from '../faults.js';
import type { NodeDisk } from './node-disk.js';

/** Checks in a health window, as the agent's health watch has them. */
const CHECKS_PER_WINDOW = 8;
const ROLLBACK_RETRY_MS = 5_000;
/** A node that waits looks less and less often: nothing is lost by it but virtual time. */
const PATIENCE_MS_MAX = 600_000;

/** The node whose work is done. */
export interface Body {
  readonly options: {
    readonly agenda: Agenda;
    readonly chance: Chance;
    readonly faults: Faults;
    readonly healthWindowMs: number;
    readonly isGood: (version: string) => boolean;
  };
  readonly disk: NodeDisk;
  readonly machine: Machine;
  readonly isUp: boolean;
  readonly isHung: boolean;
  readonly hungUntil: number;
  serviceRuns: boolean;
  facts(): Facts;
  attempt(work: () => void): boolean;
  take(input: Input, of?: Job | null): void;
  point(): void;
  swapBegins(job: Job): void;
  onAsk(job: Job, ask: number): void;
}

/**
 * Does what the update machine of one node wants done, with luck in place of network, archives and
 * processes. One thing at a time, as the agent's loop.
 */
export class Executor {
  readonly #node: Body;
  #next: Appointment | null = null;
  /** The download, unpacking or swap that is under way. */
  #working: Appointment | null = null;
  #rollbackAt = 0;
  #askHealthAt = 0;
  #patienceMs = 250;

  constructor(node: Body) {
    this.#node = node;
  }

  /** Whatever is under way is given up. */
  abort(): void {
    if (this.#working !== null) this.#working.isOff = true;
    this.#working = null;
  }

  /** Looks what there is to do, no later than in so many ms. */
  lookIn(ms: number): void {
    const { agenda } = this.#node.options;
    const at = agenda.now + ms;
    if (this.#next !== null && !this.#next.isOff && this.#next.at <= at) return;
    if (this.#next !== null) this.#next.isOff = true;
    this.#next = agenda.at(at, () => {
      this.#next = null;
      this.#look();
    });
  }

  #look(): void {
    const node = this.#node;
    if (!node.isUp) return;
    if (node.isHung) {
      this.lookIn(node.hungUntil - node.options.agenda.now);
      return;
    }
    // The agent's loop waits for what it began.
    if (this.#working !== null) return;
    node.attempt(() => {
      node.take({ type: 'tick' });
      const waitMs = this.#do();
      if (waitMs !== null) this.lookIn(waitMs);
    });
  }

  /** How long to wait; null when something else will look again. */
  #do(): number | null {
    const node = this.#node;
    const action = nextAction(node.machine, node.facts());
    if (action.do !== 'wait' && action.do !== 'ask_permit') this.#patienceMs = 250;
    switch (action.do) {
      case 'wait':
        return action.ms === null ? null : this.#wait(action.ms);
      case 'fetch':
        this.#fetch(action.job);
        return null;
      case 'extract':
        this.#extract(action.job);
        return null;
      case 'ask_permit':
        node.take({ type: 'permit_asked' }, action.job);
        node.onAsk(action.job, node.machine.watch.asks);
        return this.#wait(10_000);
      case 'swap':
        this.#swap(action.job);
        return null;
      case 'watch':
        return this.#watch(action.job);
      case 'roll_back':
        return this.#rollBack(action.job);
    }
  }

  #wait(ms: number): number {
    const { chance } = this.#node.options;
    this.#patienceMs = Math.min(PATIENCE_MS_MAX, this.#patienceMs * 1.5);
    return Math.max(ms, Math.round(this.#patienceMs * (0.5 + chance.next())));
  }

  /** Something that takes a while, and is dropped when the job ends meanwhile. */
  #begin(ms: number, done: () => void): void {
    const node = this.#node;
    this.#working = node.options.agenda.in(ms, () => {
      if (node.isHung) {
        this.#begin(node.hungUntil - node.options.agenda.now, done);
        return;
      }
      this.#working = null;
      node.attempt(done);
      this.lookIn(0);
    });
  }

  #fetch(job: Job): void {
    const node = this.#node;
    const { chance, faults } = node.options;
    const sequence = Number(job.version.split('.')[0]);
    const artifact = { sha256: '0'.repeat(64), size: 1, sequence, state_schema: null };
    node.take({ type: 'judged', artifact }, job);
    this.#begin(chance.spread(500, 120_000), () => {
      node.point();
      if (node.disk.isFull) this.#fail(job, 'download', 'upgrade_disk_full');
      else if (faults.hit('download_failed')) this.#fail(job, 'download', 'upgrade_network_error');
      else node.take({ type: 'downloaded' }, job);
    });
  }

  #extract(job: Job): void {
    const node = this.#node;
    const { chance, faults } = node.options;
    this.#begin(chance.spread(200, 20_000), () => {
      node.point();
      if (node.disk.isFull) this.#fail(job, 'stage', 'upgrade_disk_full');
      else if (faults.hit('stage_failed')) this.#fail(job, 'stage', 'upgrade_extract_failed');
      else node.take({ type: 'extracted' }, job);
    });
  }

  #fail(job: Job, step: 'download' | 'stage' | 'swap', code: string): void {
    // What came so far is removed first: that makes the room to tell the failure.
    if (code === 'upgrade_disk_full') this.#node.disk.isFull = false;
    this.#node.take({ type: 'failed', step, code, message: code }, job);
  }

  #swap(job: Job): void {
    const node = this.#node;
    const { chance, faults } = node.options;
    node.swapBegins(job);
    node.serviceRuns = false;
    this.#begin(chance.spread(20, 8_000), () => {
      node.point();
      if (faults.hit('swap_failed')) {
        this.#swapFailed(job);
        return;
      }
      node.disk.previous = job.from?.version ?? null;
      node.point();
      node.disk.current = job.version;
      node.point();
      node.serviceRuns = true;
      node.point();
      node.take({ type: 'swapped' });
    });
  }

  #swapFailed(job: Job): void {
    const node = this.#node;
    if (node.options.faults.hit('rollback_failed')) {
      const code = 'upgrade_swap_failed';
      node.take({ type: 'restore_failed', code, message: 'stuck half way' });
      return;
    }
    this.#restore(job);
    this.#fail(job, 'swap', 'upgrade_swap_failed');
  }

  #watch(job: Job): number {
    const node = this.#node;
    const { agenda, faults, isGood, healthWindowMs, chance } = node.options;
    if (agenda.now < this.#askHealthAt) return this.#askHealthAt - agenda.now;
    const oftenMs = Math.ceil(healthWindowMs / CHECKS_PER_WINDOW);
    this.#askHealthAt = agenda.now + oftenMs;
    const isWell = isGood(job.version);
    if (!isWell && chance.hit(0.3)) {
      node.serviceRuns = false;
      node.take({ type: 'exited' });
      node.serviceRuns = true;
    } else {
      node.take({ type: 'health', healthy: isWell && !faults.hit('health_flaps') });
    }
    return oftenMs;
  }

  #rollBack(job: Job): number {
    const node = this.#node;
    const { agenda, faults } = node.options;
    if (agenda.now < this.#rollbackAt) return this.#rollbackAt - agenda.now;
    if (faults.hit('rollback_failed')) {
      this.#rollbackAt = agenda.now + ROLLBACK_RETRY_MS;
      node.take({ type: 'rollback_failed', message: 'the link cannot be moved' });
      return ROLLBACK_RETRY_MS;
    }
    this.#restore(job);
    node.point();
    node.take({ type: 'rolled_back' });
    return 0;
  }

  #restore(job: Job): void {
    const { disk } = this.#node;
    disk.current = job.from?.version ?? null;
    disk.previous = job.from_previous?.version ?? null;
    this.#node.serviceRuns = job.from !== null;
  }
}
