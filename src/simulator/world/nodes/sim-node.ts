import {
  answerTo,
  FRESH_WATCH,
  type step,
  type Facts,
  type Input,
  type InstalledVersion,
  type Job,
  type Machine,
} from '../../../core/update/index.js';
import {
  Command,
  type CommandEnvelope,
  type Hello,
  type NodeMessage,
  type ServiceReport,
} from '../../../protocol/node/index.js';
import type { z } from 'zod';
import type { Agenda } from '../agenda.js';
import type { Chance } from '../chance.js';
import { Executor, type Body } from './executor.js';
import type { Faults } from '../faults.js';
import { DiskFull, NodeCrashed, NodeDisk } from './node-disk.js';
import { inputOf, newId, toSpoolEvent } from '../parts.js';

/** The step of the update machine; a mutant brings its own. */
export type Step = typeof step;

/** Told at the moments that matter to an invariant. */
export interface NodeWatcher {
  took(node: SimNode, before: Machine, input: Input): void;
  swapBegins(node: SimNode, job: Job): void;
  say(who: string, what: string): void;
}

export interface SimNodeOptions {
  readonly id: string;
  readonly name: string;
  readonly groupId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly installed: InstalledVersion;
  /** Whether a version is well on this node, once it is installed. */
  readonly isGood: (version: string) => boolean;
  readonly healthWindowMs: number;
  /** Its policy wants a person to apply what is staged. */
  readonly manualOnly: boolean;
  readonly agenda: Agenda;
  readonly faults: Faults;
  readonly chance: Chance;
  readonly watcher: NodeWatcher;
  readonly step: Step;
}

/**
 * One machine of the fleet: the real update machine on a simulated disk. `take` is the agent's: one
 * input, its state durable and its events in the spool before anything follows; at each of these steps
 * the node may crash.
 */
export class SimNode implements Body {
  readonly options: SimNodeOptions;
  readonly disk: NodeDisk;
  machine: Machine;
  isUp = true;
  /** Whether the process of the service lives. */
  serviceRuns = true;
  bootId = 1;
  hungUntil = 0;
  /** How far its wall clock is off. */
  clockErrorMs = 0;
  /** When the manager sent the permit that it has. */
  permit: { readonly commandId: string; readonly sentAt: number } | null = null;
  /** How each command ended here. */
  readonly outcomes = new Map<string, string>();
  /** Versions that it ran with no job at hand. */
  readonly settledOn = new Set<string>();
  /** New events are in the spool; a permit is wanted; the process is gone. */
  onSpooled: () => void = () => undefined;
  onAsk: (job: Job, ask: number) => void = () => undefined;
  onCrash: () => void = () => undefined;
  onBoot: () => void = () => undefined;
  #saved: Machine['state'];
  #bootedAt = 0;
  readonly #executor: Executor;

  constructor(options: SimNodeOptions) {
    this.options = options;
    this.disk = new NodeDisk(newId('spl'), options.installed);
    this.machine = { state: this.disk.state, watch: FRESH_WATCH };
    this.#saved = this.disk.state;
    this.settledOn.add(options.installed.version);
    this.#bootedAt = options.agenda.now - 1_000;
    this.#executor = new Executor(this);
  }

  get name(): string {
    return this.options.name;
  }

  get isHung(): boolean {
    return this.hungUntil > this.options.agenda.now;
  }

  facts(): Facts {
    const { agenda, healthWindowMs, manualOnly } = this.options;
    return {
      nowMs: agenda.now + this.clockErrorMs,
      monotonicMs: agenda.now - this.#bootedAt,
      healthWindowMs,
      bootAttemptsMax: 3,
      manualOnly,
    };
  }

  say(what: string): void {
    this.options.watcher.say(this.name, what);
  }

  /**
   * Does something that may end with the node: at a full disk it is tried again later, at a crash the
   * process is gone. False when it did not come to its end.
   */
  attempt(work: () => void): boolean {
    if (!this.isUp) return false;
    try {
      work();
      return true;
    } catch (error) {
      if (error instanceof NodeCrashed) this.crash();
      else if (error instanceof DiskFull) this.#executor.lookIn(1_000);
      else throw error;
      return false;
    }
  }

  /** One input: durable, and its events in the spool, when it returns. */
  take(input: Input, of: Job | null = null): void {
    const before = this.machine;
    const job = before.state.job;
    if (of !== null && job?.command_id !== of.command_id) return;
    this.machine = this.options.step(before, input, this.facts());
    this.options.watcher.took(this, before, input);
    const after = this.machine.state.job;
    const hasEnded = job !== null && job.command_id !== after?.command_id;
    if (hasEnded) this.#executor.abort();
    if (this.machine !== before) this.#executor.lookIn(0);
    this.#save();
  }

  swapBegins(job: Job): void {
    this.options.watcher.swapBegins(this, job);
  }

  /** A place where the process can end. */
  point(): void {
    if (this.options.faults.hit('node_crash')) throw new NodeCrashed();
  }

  #save(): void {
    const { state } = this.machine;
    if (state !== this.#saved) {
      this.point();
      this.disk.save(state);
      this.#remember(state);
      this.point();
    }
    this.#saved = state;
    if (state.outbox.length === 0) return;
    this.#spool(state.outbox);
    this.point();
    const ids = state.outbox.map((event) => event.id);
    this.machine = this.options.step(this.machine, { type: 'spooled', ids }, this.facts());
    this.disk.save(this.machine.state);
    this.#saved = this.machine.state;
    this.onSpooled();
  }

  /** For the checks: what the node may claim from now on, whether or not it lives on. */
  #remember({ outcome, job, current }: Machine['state']): void {
    if (outcome !== null) this.outcomes.set(outcome.command_id, outcome.result);
    if (job === null && current !== null) this.settledOn.add(current.version);
  }

  #spool(outbox: Machine['state']['outbox']): void {
    if (this.disk.isFull) throw new DiskFull();
    this.disk.spool.append(
      outbox.flatMap((event) => {
        const fitted = toSpoolEvent('edge', event);
        return fitted === null ? [] : [{ id: event.id, event: fitted }];
      }),
    );
    for (const { type, command_id } of outbox)
      this.say(`tells ${type} of ${command_id ?? 'nothing'}`);
  }

  /** The process ends; what is not on the disk is gone. */
  crash(): void {
    if (!this.isUp) return;
    const { agenda, chance, faults } = this.options;
    this.isUp = false;
    this.say('crashes');
    this.#executor.abort();
    if (chance.hit(0.4)) this.serviceRuns = false;
    this.onCrash();
    agenda.in(faults.isOn ? chance.spread(500, 600_000) : 1_000, () => {
      this.boot();
    });
  }

  /** Begins with what is on the disk, as the agent does at its start. */
  boot(): void {
    if (this.isUp) return;
    this.isUp = true;
    this.bootId += 1;
    this.#bootedAt = this.options.agenda.now;
    this.hungUntil = 0;
    this.permit = null;
    this.machine = { state: this.disk.state, watch: FRESH_WATCH };
    this.#saved = this.disk.state;
    this.say(`starts, ${this.machine.state.job?.phase ?? 'idle'}`);
    this.attempt(() => {
      const wasOnProbation = this.machine.state.job?.phase === 'probation';
      this.take({ type: 'booted', current: this.disk.current });
      if (!this.serviceRuns && wasOnProbation) this.take({ type: 'exited' });
      this.serviceRuns = true;
    });
    this.onBoot();
    this.#executor.lookIn(0);
  }

  /** Trouble of every kind ends: for the second half of a run. */
  recover(): void {
    this.hungUntil = 0;
    this.clockErrorMs = 0;
    this.disk.isFull = false;
    if (!this.isUp) this.boot();
    this.attempt(() => {
      if (this.options.manualOnly) this.take({ type: 'apply_by_hand' });
    });
    this.#executor.lookIn(0);
  }

  /** A command from the link; null when it cannot be answered now. */
  obey(envelope: z.infer<typeof CommandEnvelope>): NodeMessage | null {
    const { command_id } = envelope;
    const parsed = Command.safeParse(envelope);
    if (!parsed.success) {
      return { type: 'reject', command_id, error_code: 'command_invalid', message: 'unusable' };
    }
    const command = parsed.data;
    if (command.action === 'withdraw' && !this.knows(command.withdraws)) {
      return { type: 'ack', command_id, result: 'accepted' };
    }
    const before = answerTo(this.#saved, command_id);
    if (before === null && !this.attempt(() => this.take(inputOf(command)))) return null;
    const answer = before ?? answerTo(this.#saved, command_id);
    if (answer === null || answer.error_code === null) {
      return { type: 'ack', command_id, result: before === null ? 'accepted' : 'duplicate' };
    }
    const code = answer.error_code as 'command_stale';
    this.say(`rejects ${command_id}: ${code}`);
    return { type: 'reject', command_id, error_code: code, message: answer.message };
  }

  /** Whether this command is, or was, one of this service. */
  knows(commandId: string): boolean {
    const { state } = this.machine;
    return state.job?.command_id === commandId || answerTo(state, commandId) !== null;
  }

  report(): ServiceReport {
    const { current, previous, job, outcome } = this.#saved;
    return {
      name: 'edge',
      product: 'edge',
      variant: 'default',
      version: current?.version ?? null,
      previous_version: previous?.version ?? null,
      phase: job?.phase ?? 'idle',
      command_id: job?.command_id ?? null,
      healthy: this.serviceRuns,
      restarts: 0,
      outcome: outcome as ServiceReport['outcome'],
    };
  }

  hello(lastSession: string | null): Hello {
    const { spool } = this.disk;
    const { name, labels } = this.options;
    return {
      type: 'hello',
      protocol: 1,
      agent_version: '0.1.0',
      boot_id: `boot-${this.bootId}`,
      last_session: lastSession,
      spool: { id: spool.id, first_seq: spool.firstSeq, next_seq: spool.nextSeq },
      host: { os: 'linux', arch: 'x64', hostname: name, kernel: '6.12', memory_bytes: 1, labels },
      services: [this.report()],
      capabilities: ['upgrade'],
      policy_digest: '',
    };
  }
}
