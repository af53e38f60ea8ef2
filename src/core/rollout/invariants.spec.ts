import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { members, RolloutFleet, T0 } from '../../../test/support/rollout-fleet.js';
import { plus } from '../kernel/index.js';
import {
  advance,
  isOpen,
  isOver,
  isStuck,
  isSwapping,
  nextWake,
  observe,
  STRICT,
  TARGET_STATES,
  verdictOf,
  type PresetSpec,
  type TargetState,
  type Verb,
} from './index.js';

const tolerance = fc.constantFrom(STRICT, { ...STRICT, failures: { percent: 30 } });
const settleMs = fc.constantFrom(0, 1_000, 300_000);
const preset: fc.Arbitrary<PresetSpec> = fc.oneof(
  fc.record({
    strategy: fc.constant('staged' as const),
    percents: fc.constantFrom([10, 50, 100], [100], [1, 2, 3, 100]),
    settleMs,
    tolerance,
  }),
  fc.record({
    strategy: fc.constant('rolling' as const),
    stepPercent: fc.integer({ min: 5, max: 60 }),
    settleMs,
    tolerance,
  }),
  fc.record({
    strategy: fc.constant('canary' as const),
    percent: fc.integer({ min: 1, max: 90 }),
    settleMs,
    tolerance,
  }),
  fc.constant({ strategy: 'immediate' as const }),
  fc.record({
    strategy: fc.constant('scheduled' as const),
    rings: fc.constant(
      ['a', 'b'].map((name, i) => ({
        name,
        selector: { by: 'label', key: 'ring', value: name } as const,
        window: {
          days: ['mon', 'wed'],
          startMinute: 600 + i * 90,
          durationMinutes: 120,
          timeZone: 'Europe/Berlin',
        } as const,
        waitMs: i * 3_600_000,
        canaryCount: 1,
      })),
    ),
    donePercent: fc.constantFrom(90, 100),
    settleMs,
    tolerance,
  }),
);

type Step =
  | {
      readonly do: 'report';
      readonly node: number;
      readonly state: TargetState;
      readonly code: string | null;
    }
  | {
      readonly do: 'swap' | 'stuck' | 'away' | 'back' | 'drift' | 'by_hand';
      readonly node: number;
    }
  | { readonly do: 'verb'; readonly verb: Verb }
  | { readonly do: 'mode'; readonly mode: 'enabled' | 'suspended' }
  | { readonly do: 'pass'; readonly ms: number };

const node = fc.nat(29);
const wave = fc.nat(4);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('report' as const),
      node,
      state: fc.constantFrom(...TARGET_STATES.filter((s) => s !== 'pending' && s !== 'skipped')),
      code: fc.constantFrom(null, null, 'upgrade_pinned'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('swap' as const), node }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('stuck' as const, 'away', 'back', 'drift', 'by_hand'),
      node,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('verb' as const),
      verb: fc.oneof(
        fc.record({ verb: fc.constantFrom('pause' as const, 'resume', 'retry_failed') }),
        fc.record({ verb: fc.constant('skip_wave' as const), wave }),
        fc.record({
          verb: fc.constant('break_glass' as const),
          by: fc.constant('usr_ann'),
          byName: fc.constant('ann'),
          reason: fc.constant('it burns'),
          forMs: fc.integer({ min: 60_000, max: 14_400_000 }),
        }),
        fc.record({
          verb: fc.constantFrom('approve' as const, 'start_wave', 'mark_done'),
          wave,
          by: fc.constantFrom('usr_a', 'usr_b'),
        }),
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('mode' as const),
      mode: fc.constantFrom('enabled' as const, 'suspended'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.constantFrom(1_000, 300_000, 3_600_000, 86_400_000),
    }),
  },
);

const world = fc.record({
  count: fc.integer({ min: 2, max: 30 }),
  preset,
  approvals: fc.constantFrom(0, 0, 2),
  expires: fc.constantFrom(null, 86_400_000),
  maxUnavailable: fc.constantFrom(null, { count: 2 }),
});

function fleetOf(options: typeof world extends fc.Arbitrary<infer W> ? W : never): RolloutFleet {
  return new RolloutFleet({
    preset: options.preset,
    members: members(options.count, (i) => ({ labels: { ring: i % 2 === 0 ? 'a' : 'b' } })),
    start: { approvals: options.approvals },
    terms: {
      expiresAt: options.expires === null ? null : plus(T0, options.expires),
      maxUnavailable: options.maxUnavailable,
    },
  });
}

function take(fleet: RolloutFleet, each: Step): void {
  const nodes = [...fleet.targets.keys()];
  const nodeId = 'node' in each ? (nodes[each.node % nodes.length] ?? '') : '';
  switch (each.do) {
    case 'report':
      fleet.report(nodeId, each.state, each.code);
      break;
    case 'swap':
      fleet.swap(nodeId);
      break;
    case 'stuck': {
      const commandId = fleet.target(nodeId).commandId ?? 'cmd_none';
      const said = { state: 'failed', reason: 'upgrade_rollback_failed', errorCode: null } as const;
      fleet.hear(nodeId, { kind: 'progress', commandId, ...said });
      break;
    }
    case 'away':
    case 'back':
      fleet.hear(nodeId, { kind: 'presence', online: each.do === 'back' });
      break;
    case 'drift':
    case 'by_hand':
      fleet.hear(nodeId, { kind: 'version', atTarget: each.do === 'by_hand' });
      break;
    case 'verb':
      fleet.verb(each.verb);
      break;
    case 'mode':
      // Whoever turns the switch wakes every rollout below it.
      fleet.circumstances = { ...fleet.circumstances, mode: each.mode };
      fleet.wake();
      break;
    case 'pass':
      fleet.pass(each.ms);
      break;
  }
}

/** What must be true after every step. */
function check(fleet: RolloutFleet): void {
  const { rollout } = fleet;
  const targets = [...fleet.targets.values()];
  for (const one of rollout.waves) {
    const of = targets.filter((target) => target.wave === one.index);
    for (const state of TARGET_STATES) {
      const real = of.filter((target) => target.state === state).length;
      expect(one.counts[state], `wave ${one.index} ${state}`).toBe(real);
    }
    expect(one.size).toBe(of.length);
    expect(one.lost).toBe(
      of.filter((t) => t.state === 'silent' && t.reason === 'lost_after_permit').length,
    );
    expect(one.stuck).toBe(of.filter(isStuck).length);
    expect(one.offline).toBe(of.filter((t) => t.offline).length);
    if (one.openedAt === null) {
      expect(
        of.filter((target) => isOpen(target.state)),
        'no offer before the gates',
      ).toEqual([]);
    }
  }
  expect(
    targets.filter((t) => t.reason === ''),
    'everything has a reason',
  ).toEqual([]);
  expect(fleet.folded(), 'the journal gives the snapshot').toEqual(rollout);
  if (isOver(rollout.status) && rollout.status !== 'complete') {
    expect(targets.filter((t) => isOpen(t.state) && !isSwapping(t.state))).toEqual([]);
  }
  if (nextWake(rollout, null) === null || (nextWake(rollout, null) ?? 0) > fleet.now) {
    const again = advance(rollout, fleet.now, fleet.circumstances);
    if (!isOver(rollout.status)) expect(again.events, 'advance is idempotent').toEqual([]);
  }
}

describe('whatever nodes and people do', () => {
  it('counters, gates and journal hold', () => {
    fc.assert(
      fc.property(world, fc.array(step, { maxLength: 60 }), (options, steps) => {
        const fleet = fleetOf(options);
        check(fleet);
        for (const each of steps) {
          const before = fleet.rollout.status;
          const swapping = [...fleet.targets.values()].filter((t) => isSwapping(t.state)).length;
          take(fleet, each);
          check(fleet);
          const now = [...fleet.targets.values()].filter((t) => isSwapping(t.state)).length;
          const mayGrow = before === 'in_progress' || before === 'complete';
          if (each.do === 'swap' && now > swapping) expect(mayGrow, before).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('a report taken twice equals one taken once', () => {
    fc.assert(
      fc.property(world, fc.array(step, { maxLength: 40 }), (options, steps) => {
        const fleet = fleetOf(options);
        for (const each of steps) {
          take(fleet, each);
          if (each.do !== 'report') continue;
          const target = [...fleet.targets.values()][each.node % fleet.targets.size];
          if (target === undefined) continue;
          const commandId = target.commandId ?? 'cmd_none';
          const { state } = each;
          const report = {
            kind: 'progress',
            commandId,
            state,
            reason: state,
            errorCode: null,
          } as const;
          const once = observe(fleet.rollout, target, report, fleet.now);
          const twice = observe(once.decision.rollout, once.target, report, fleet.now);
          const moved = twice.decision.events.filter((event) => event.type === 'target_moved');
          expect(moved).toEqual([]);
        }
      }),
    );
  });

  it('a wave follows another only when that one proved itself, or somebody said so', () => {
    fc.assert(
      fc.property(world, fc.array(step, { maxLength: 60 }), (options, steps) => {
        const fleet = fleetOf(options);
        for (const each of steps) {
          const before = fleet.rollout;
          take(fleet, each);
          for (const event of fleet.journal.slice(-50)) {
            if (event.type !== 'wave_passed' || event.forced || event.at !== fleet.now) continue;
            const passed = fleet.rollout.waves[event.wave];
            const plan = fleet.rollout.plan.waves[event.wave];
            if (passed?.status !== 'passed' || plan === undefined) continue;
            if (before.waves[event.wave]?.status === 'passed') continue;
            if (plan.passes.length > 0) expect(verdictOf(passed, plan)).toBe('good');
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('once trouble ends', () => {
  it('and somebody resumes and approves, the rollout ends', () => {
    fc.assert(
      fc.property(world, fc.array(step, { maxLength: 40 }), (options, steps) => {
        const fleet = fleetOf(options);
        for (const each of steps) take(fleet, each);
        fleet.circumstances = { mode: 'enabled', freezes: [] };
        for (let round = 0; round < 60 && !isOver(fleet.rollout.status); round += 1) {
          fleet.verb({ verb: 'resume' });
          for (const { index } of fleet.rollout.waves) {
            for (const by of ['usr_a', 'usr_b']) fleet.verb({ verb: 'approve', wave: index, by });
          }
          for (const target of [...fleet.targets.values()]) {
            if (target.offline) fleet.hear(target.nodeId, { kind: 'presence', online: true });
            if (isStuck(target)) fleet.report(target.nodeId, 'rolled_back');
            if (isOpen(target.state)) fleet.report(target.nodeId, 'succeeded');
          }
          fleet.pass(86_400_000);
          if (fleet.rollout.reason === 'not_enough_evidence') {
            for (const { index } of fleet.rollout.waves)
              fleet.verb({ verb: 'mark_done', wave: index, by: 'usr_a' });
          }
        }
        expect(['complete', 'cancelled'], JSON.stringify(fleet.rollout.waves)).toContain(
          fleet.rollout.status,
        );
      }),
      { numRuns: 200 },
    );
  });
});
