import { instant, plus, type Instant } from '../../src/core/kernel/index.js';
import {
  advance,
  canRetry,
  canWithdraw,
  decide,
  evolve,
  isStuck,
  nextWake,
  observe,
  pendingTarget,
  permit,
  planRollout,
  rulesOf,
  type Circumstances,
  type Decision,
  type Member,
  type Plan,
  type PresetSpec,
  type Report,
  type RolloutEvent,
  type RolloutState,
  type StartSpec,
  type Target,
  type TargetState,
  type Verb,
} from '../../src/core/rollout/index.js';

export const T0 = instant(Date.UTC(2026, 2, 2, 9));
export const ENABLED: Circumstances = { mode: 'enabled', freezes: [] };

/** Members that differ in nothing but their id. */
export const members = (
  count: number,
  change: (i: number) => Partial<Member> = () => ({}),
): Member[] =>
  Array.from({ length: count }, (_, i) => ({
    nodeId: `nod_${String(i).padStart(6, '0')}`,
    groupId: 'grp_default',
    labels: {},
    os: 'linux',
    arch: 'x64',
    fromVersion: '1.0.0',
    ...change(i),
  }));

export interface FleetOptions {
  readonly preset: PresetSpec;
  readonly members: readonly Member[];
  readonly start?: Partial<StartSpec>;
  readonly terms?: Partial<Omit<Plan, 'waves' | 'createdAt' | 'strategy'>>;
  readonly now?: Instant;
}

/**
 * The smallest shell around the machine: does with effects, in memory, what the manager does with
 * SQL. Everything that it is told is kept in `journal`.
 */
export class RolloutFleet {
  now: Instant;
  circumstances: Circumstances = ENABLED;
  readonly planned: RolloutState;
  rollout: RolloutState;
  readonly targets: Map<string, Target>;
  readonly journal: RolloutEvent[] = [];
  /** Ids of pending targets by wave, in order: offers must not look at all targets. */
  readonly #pending: Map<number, string[]>;
  #commands = 0;

  constructor(options: FleetOptions) {
    this.now = options.now ?? T0;
    const start = {
      applyAfter: null,
      approvals: 0,
      order: 'sequential',
      ...options.start,
    } as const;
    const { rollout, targets } = planRollout({
      id: 'rol_fleet',
      seed: 'rol_fleet',
      terms: {
        strategy: options.preset.strategy,
        order: start.order,
        nodeDeadlineMs: 600_000,
        maxUnavailable: null,
        expiresAt: null,
        spreadMs: 0,
        ...options.terms,
      },
      rules: rulesOf(options.preset, start),
      cut: { domain: null, strata: [] },
      members: options.members,
      now: this.now,
    });
    this.planned = rollout;
    this.rollout = rollout;
    this.targets = new Map(targets.map((target) => [target.nodeId, target]));
    this.#pending = new Map(
      rollout.waves.map(({ index }) => [
        index,
        targets
          .filter((one) => one.wave === index)
          .map((one) => one.nodeId)
          .sort(),
      ]),
    );
    this.wake();
  }

  /** As the manager does: as often as the machine wants to be woken now. */
  wake(): void {
    for (let i = 0; i < 10_000; i += 1) {
      this.take(advance(this.rollout, this.now, this.circumstances));
      const at = nextWake(this.rollout, null);
      if (at === null || at > this.now) return;
    }
    throw new Error('the machine wants to be woken again and again');
  }

  /** Lets time pass, wake-up by wake-up, and finds who is overdue. */
  pass(ms: number): void {
    const end = plus(this.now, ms);
    for (;;) {
      const at = nextWake(this.rollout, this.#firstDeadline());
      if (at === null || at > end) break;
      this.now = plus(at > this.now ? at : this.now, 0);
      this.#silence();
      this.wake();
      if (nextWake(this.rollout, this.#firstDeadline()) === at) break;
    }
    this.now = end;
    this.#silence();
    this.wake();
  }

  verb(verb: Verb): string | null {
    const { now, circumstances } = this;
    const decision = decide(this.rollout, verb, { now, circumstances });
    if (!decision.ok) return decision.error.code;
    this.take(decision.value);
    this.wake();
    return null;
  }

  hear(nodeId: string, report: Report): void {
    const target = this.target(nodeId);
    const seen = observe(this.rollout, target, report, this.now);
    this.targets.set(nodeId, seen.target);
    if (target.state === 'pending' && seen.target !== target) this.#notPending(target);
    this.take(seen.decision);
    const at = nextWake(this.rollout, null);
    if (at !== null && at <= this.now) this.wake();
  }

  report(nodeId: string, state: TargetState, errorCode: string | null = null): void {
    const commandId = this.target(nodeId).commandId ?? 'cmd_none';
    this.hear(nodeId, { kind: 'progress', commandId, state, reason: state, errorCode });
  }

  /** Asks for a permit and, when it is granted, swaps. Answers with the denial otherwise. */
  swap(nodeId: string): string | null {
    const target = this.target(nodeId);
    const answer = permit(this.rollout, target, target.commandId ?? '', {
      now: this.now,
      circumstances: this.circumstances,
      otherNodesDown: this.down(nodeId),
    });
    if (!answer.ok) return answer.error.code;
    this.report(nodeId, 'swapping');
    return null;
  }

  down(but: string): number {
    return [...this.targets.values()].filter(
      (one) =>
        one.nodeId !== but &&
        (one.state === 'swapping' || one.state === 'probation' || one.offline),
    ).length;
  }

  target(nodeId: string): Target {
    const target = this.targets.get(nodeId);
    if (target === undefined) throw new Error(`no target ${nodeId}`);
    return target;
  }

  /** Ids of the targets of a wave, in order. */
  of(wave: number): string[] {
    return [...this.targets.values()]
      .filter((target) => target.wave === wave)
      .map((target) => target.nodeId)
      .sort();
  }

  /** Every open target of the wave succeeds. */
  succeed(wave: number): void {
    for (const nodeId of this.of(wave)) this.report(nodeId, 'succeeded');
  }

  /** Folding the journal must give the snapshot. */
  folded(): RolloutState {
    return this.journal.reduce(evolve, this.planned);
  }

  take(decision: Decision): void {
    this.rollout = decision.rollout;
    this.journal.push(...decision.events);
    for (const effect of decision.effects) {
      switch (effect.kind) {
        case 'offer':
          for (const id of this.#pending.get(effect.wave)?.splice(0, effect.count) ?? []) {
            this.#offer(id);
          }
          break;
        case 'retry':
          for (const id of this.of(effect.wave)) {
            const target = this.target(id);
            if (canRetry(target.state) && !isStuck(target)) this.#retry(id, effect.wave);
          }
          break;
        case 'withdraw':
          this.#end('cancelled', 'cancelled', (target) => canWithdraw(target.state));
          break;
        case 'skip':
          this.#end(
            'skipped',
            'wave_skipped',
            (t) => t.wave === effect.wave && t.state === 'pending',
          );
          break;
        case 'expire':
          this.#end('skipped', 'expired', ({ state, reason }) => {
            return canWithdraw(state) || (state === 'silent' && reason !== 'lost_after_permit');
          });
          break;
        case 'extend_deadlines':
          for (const target of this.targets.values()) {
            if (target.deadlineAt === null) continue;
            const deadlineAt = plus(this.now, this.rollout.plan.nodeDeadlineMs);
            this.targets.set(target.nodeId, { ...target, deadlineAt });
          }
          break;
      }
    }
  }

  #retry(nodeId: string, wave: number): void {
    this.targets.set(nodeId, { ...pendingTarget(nodeId, wave), reason: 'retried' });
    this.#pending.get(wave)?.push(nodeId);
    this.#pending.get(wave)?.sort();
  }

  #offer(nodeId: string): void {
    this.#commands += 1;
    this.targets.set(nodeId, {
      ...this.target(nodeId),
      state: 'offered',
      reason: 'command_sent',
      errorCode: null,
      commandId: `cmd_${this.#commands}`,
      deadlineAt: plus(this.now, this.rollout.plan.nodeDeadlineMs),
    });
  }

  #end(state: TargetState, reason: string, holds: (target: Target) => boolean): void {
    for (const target of this.targets.values()) {
      if (!holds(target)) continue;
      this.targets.set(target.nodeId, { ...target, state, reason, deadlineAt: null });
      this.#notPending(target);
    }
  }

  #notPending({ nodeId, wave }: Target): void {
    const pending = this.#pending.get(wave) ?? [];
    const at = pending.indexOf(nodeId);
    if (at >= 0) pending.splice(at, 1);
  }

  #firstDeadline(): Instant | null {
    let first: Instant | null = null;
    for (const { deadlineAt } of this.targets.values()) {
      if (deadlineAt !== null && (first === null || deadlineAt < first)) first = deadlineAt;
    }
    return first;
  }

  #silence(): void {
    if (this.rollout.status !== 'in_progress') return;
    for (const { nodeId } of [...this.targets.values()]) {
      const { deadlineAt } = this.target(nodeId);
      if (this.#isStill()) return;
      if (deadlineAt !== null && deadlineAt <= this.now) this.hear(nodeId, { kind: 'deadline' });
    }
  }

  #isStill(): boolean {
    return this.rollout.status !== 'in_progress';
  }
}
