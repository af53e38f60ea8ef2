import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instant, plus, type Instant } from '../kernel/index.js';
import {
  advance,
  decide,
  evolve,
  isOpen,
  nextWake,
  observe,
  permit,
  planRollout,
  TARGET_STATES,
  verdictOf,
  type Decision,
  type RolloutEvent,
  type RolloutState,
  type Target,
  type TargetState,
} from './index.js';

/**
 * The machine under random hands: nodes that report anything in any order, deadlines, verbs, time.
 * The little shell here does with effects what the server does with SQL.
 */
class Fleet {
  now: Instant = instant(1_790_000_000_000);
  planned: RolloutState;
  rollout: RolloutState;
  targets: Map<string, Target>;
  journal: RolloutEvent[] = [];
  commands = 0;

  constructor(nodes: number, wavePercents: readonly number[], strategy: 'staged' | 'immediate') {
    const planned = planRollout({
      id: 'rol_property',
      plan: { strategy, settleMs: 1_000, nodeDeadlineMs: 10_000 },
      wavePercents,
      nodeIds: Array.from({ length: nodes }, (_, i) => `nod_${i}`),
      now: this.now,
    });
    this.planned = planned.rollout;
    this.rollout = planned.rollout;
    this.targets = new Map(planned.targets.map((target) => [target.nodeId, target]));
    this.verb('start');
  }

  verb(verb: 'start' | 'pause' | 'resume' | 'cancel'): void {
    const decision = decide(this.rollout, verb, this.now);
    if (decision.ok) this.take(decision.value);
  }

  report(index: number, state: TargetState): void {
    const target = this.pick(index);
    const report = {
      kind: 'progress',
      commandId: target.commandId ?? 'cmd_none',
      state,
      reason: state,
      errorCode: null,
    } as const;
    const seen = observe(this.rollout, target, report, this.now);
    this.targets.set(target.nodeId, seen.target);
    this.take(seen.decision);
    const again = observe(this.rollout, this.pick(index), report, this.now);
    if (this.pick(index).commandId === report.commandId) {
      expect(again.decision.events, 'a report taken twice equals one taken once').toEqual([]);
    }
  }

  /** What a real node does: ask, and swap only when let. */
  swap(index: number): void {
    const target = this.pick(index);
    const answer = permit(this.rollout, target, target.commandId ?? '');
    if (answer.ok) {
      expect(['in_progress', 'complete']).toContain(this.rollout.status);
      this.report(index, 'swapping');
    }
  }

  isStill(): boolean {
    return this.rollout.status !== 'in_progress';
  }

  pass(ms: number): void {
    this.now = plus(this.now, ms);
    for (const target of [...this.targets.values()]) {
      const current = this.targets.get(target.nodeId) as Target;
      if (this.isStill()) return;
      if (current.deadlineAt === null || current.deadlineAt > this.now) continue;
      const seen = observe(this.rollout, current, { kind: 'deadline' }, this.now);
      this.targets.set(target.nodeId, seen.target);
      this.take(seen.decision);
    }
    this.take(advance(this.rollout, this.now));
    expect(advance(this.rollout, this.now).events, 'advance is idempotent').toEqual([]);
  }

  pick(index: number): Target {
    const all = [...this.targets.values()];
    return all[index % all.length] as Target;
  }

  take(decision: Decision): void {
    this.rollout = decision.rollout;
    this.journal.push(...decision.events);
    for (const effect of decision.effects) {
      if (effect.kind === 'offer') this.offer(effect.wave, ['pending']);
      if (effect.kind === 'retry') this.offer(effect.wave, ['failed', 'rolled_back', 'silent']);
      if (effect.kind === 'withdraw') this.withdraw();
    }
    this.check();
  }

  offer(wave: number, states: TargetState[]): void {
    for (const target of this.targets.values()) {
      if (target.wave !== wave || !states.includes(target.state)) continue;
      this.commands += 1;
      this.targets.set(target.nodeId, {
        ...target,
        state: 'offered',
        reason: 'command_sent',
        commandId: `cmd_${this.commands}`,
        deadlineAt: plus(this.now, 10_000),
      });
    }
  }

  withdraw(): void {
    const early: TargetState[] = ['pending', 'offered', 'accepted', 'downloading', 'staged'];
    for (const target of this.targets.values()) {
      if (!early.includes(target.state)) continue;
      this.targets.set(target.nodeId, { ...target, state: 'cancelled', deadlineAt: null });
    }
  }

  check(): void {
    for (const wave of this.rollout.waves) {
      const real = [...this.targets.values()].filter((target) => target.wave === wave.index);
      for (const state of TARGET_STATES) {
        const count = real.filter((target) => target.state === state).length;
        expect(wave.counts[state], `wave ${wave.index} ${state}`).toBe(count);
      }
      expect(wave.lost).toBeLessThanOrEqual(wave.counts.silent);
      expect(wave.lost).toBeGreaterThanOrEqual(0);
      if (wave.index > this.rollout.wave) {
        expect(wave.status, 'no offer past a closed gate').toBe('pending');
        expect(real.every((target) => !isOpen(target.state))).toBe(true);
      }
    }
    expect(this.journal.reduce(evolve, this.planned), 'journal equals snapshot').toEqual(
      this.rollout,
    );
  }
}

const percents = fc.constantFrom([10, 50, 100], [1, 2, 100], [25, 50, 75, 100], [100]);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('report' as const),
      at: fc.nat(40),
      state: fc.constantFrom<TargetState>(
        'accepted',
        'downloading',
        'staged',
        'swapping',
        'probation',
        'succeeded',
        'succeeded',
        'failed',
        'rolled_back',
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('swap' as const), at: fc.nat(40) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.integer({ min: 1, max: 12_000 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('verb' as const),
      verb: fc.constantFrom(
        'pause' as const,
        'resume' as const,
        'resume' as const,
        'cancel' as const,
      ),
    }),
  },
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function run(fleet: Fleet, steps: readonly Step[]): void {
  for (const one of steps) {
    if (one.do === 'report') fleet.report(one.at, one.state);
    else if (one.do === 'swap') fleet.swap(one.at);
    else if (one.do === 'pass') fleet.pass(one.ms);
    else fleet.verb(one.verb);
  }
}

describe('whatever nodes and people do', () => {
  it('counters, gates and journal hold', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        percents,
        fc.constantFrom('staged' as const, 'immediate' as const),
        fc.array(step, { maxLength: 60 }),
        (nodes, wavePercents, strategy, steps) => {
          run(new Fleet(nodes, wavePercents, strategy), steps);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('a staged rollout goes on past a wave only on a good verdict', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 30 }),
        percents,
        fc.array(step, { maxLength: 60 }),
        (nodes, wavePercents, steps) => {
          const fleet = new Fleet(nodes, wavePercents, 'staged');
          for (const one of steps) {
            const before = fleet.journal.length;
            const { rollout } = fleet;
            run(fleet, [one]);
            for (const event of fleet.journal.slice(before)) {
              if (event.type !== 'wave_passed') continue;
              const wave = rollout.waves[event.wave];
              // The step that passes a wave may itself have brought the last success.
              if (one.do === 'pass' && wave !== undefined) expect(verdictOf(wave)).toBe('good');
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('once trouble ends and somebody resumes, the rollout ends', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        percents,
        fc.array(step, { maxLength: 40 }),
        (nodes, wavePercents, steps) => {
          const fleet = new Fleet(nodes, wavePercents, 'staged');
          run(fleet, steps);
          for (let round = 0; round < 40; round += 1) {
            if (fleet.rollout.status === 'paused') fleet.verb('resume');
            [...fleet.targets.values()].forEach((target, index) => {
              if (isOpen(target.state)) fleet.report(index, 'succeeded');
            });
            const wakeAt = nextWake(fleet.rollout, null);
            fleet.pass(wakeAt === null ? 1 : Math.max(1, wakeAt - fleet.now));
          }
          expect(['complete', 'cancelled']).toContain(fleet.rollout.status);
        },
      ),
      { numRuns: 200 },
    );
  });
});
