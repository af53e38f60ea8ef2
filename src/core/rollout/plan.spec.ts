import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { members } from '../../../test/support/rollout-fleet.js';
import { instant } from '../kernel/index.js';
import { planRollout, rulesOf, skipReason, stepsOf, STRICT, type PlanInput } from './index.js';

const input = (count: number, change: Partial<PlanInput> = {}): PlanInput => ({
  id: 'rol_a',
  seed: 'rol_a',
  terms: {
    strategy: 'staged',
    order: 'sequential',
    nodeDeadlineMs: 1,
    maxUnavailable: null,
    expiresAt: null,
    spreadMs: 0,
  },
  rules: rulesOf(
    { strategy: 'staged', percents: [10, 50, 100], settleMs: 0, tolerance: STRICT },
    { applyAfter: null, approvals: 0, order: 'sequential' },
  ),
  cut: { domain: null, strata: [] },
  members: members(count),
  now: instant(0),
  ...change,
});
const sizes = (count: number): number[] =>
  planRollout(input(count)).rollout.waves.map((wave) => wave.size);

describe('a plan', () => {
  it.each([
    [12, [2, 4, 6]],
    [10, [1, 4, 5]],
    [30, [3, 12, 15]],
    [2, [1, 1]],
    [1, [1]],
  ])('cuts %i nodes by 10, 50 and 100 percent into %j', (count, expected) => {
    expect(sizes(count)).toEqual(expected);
  });

  it('holds every node once and does not depend on the order of the answer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.string(), (count, seed) => {
        const one = planRollout(input(count, { seed }));
        const two = planRollout(input(count, { seed, members: [...members(count)].reverse() }));
        expect(one).toEqual(two);
        const ids = one.targets.map((target) => target.nodeId).sort();
        expect(ids).toEqual(members(count).map((member) => member.nodeId));
        expect(one.left).toEqual([]);
      }),
    );
  });

  it('takes another order for another seed', () => {
    const order = (seed: string): string[] =>
      planRollout(input(50, { seed })).targets.map((target) => target.nodeId);
    expect(order('rol_a')).not.toEqual(order('rol_b'));
  });

  it('refuses emptiness as a mistake of ours', () => {
    expect(() => planRollout(input(0))).toThrow('needs a node');
  });

  it('steps of 30 percent end at the whole', () => {
    expect(stepsOf(30)).toEqual([30, 60, 90, 100]);
    expect(stepsOf(25)).toEqual([25, 50, 75, 100]);
    expect(stepsOf(100)).toEqual([100]);
  });

  it('proves a ring by canaries that must all live, and takes the rest at a share', () => {
    const window = {
      days: ['mon'],
      startMinute: 600,
      durationMinutes: 60,
      timeZone: 'UTC',
    } as const;
    const { rollout } = planRollout(
      input(20, {
        rules: rulesOf(
          {
            strategy: 'scheduled',
            rings: [{ name: 'all', selector: { by: 'rest' }, window, waitMs: 0, canaryCount: 3 }],
            donePercent: 90,
            settleMs: 0,
            tolerance: STRICT,
          },
          { applyAfter: null, approvals: 0, order: 'sequential' },
        ),
      }),
    );
    const [canary, main] = rollout.plan.waves;
    expect(rollout.waves.map((wave) => wave.size)).toEqual([3, 17]);
    expect(canary).toMatchObject({ ring: 'all', part: 'canary', doneAtPercent: null });
    expect(main).toMatchObject({ ring: 'all', part: 'main', doneAtPercent: 90 });
    expect(main?.opens.map((gate) => gate.kind)).toEqual(['window']);
  });

  it('asks for approval and the hour once, at its beginning', () => {
    const rules = rulesOf(
      { strategy: 'canary', percent: 10, settleMs: 0, tolerance: STRICT },
      { applyAfter: instant(5), approvals: 2, order: 'sequential' },
    );
    expect(rules.map((rule) => rule.opens)).toEqual([
      [
        { kind: 'approval', needed: 2 },
        { kind: 'not_before', at: 5 },
      ],
      [{ kind: 'approval', needed: 1 }],
    ]);
  });
});

describe('a candidate', () => {
  const fine = {
    nodeId: 'nod_1',
    revoked: false,
    canUpgrade: true,
    currentVersion: '1.0.0',
    hasService: true,
    hasArtifact: true,
    isReachable: true,
    byHand: null,
  };
  it.each([
    [{}, null],
    [{ revoked: true, hasService: false }, 'revoked'],
    [{ hasService: false }, 'no_such_service'],
    [{ canUpgrade: false }, 'no_upgrade_capability'],
    [{ currentVersion: '1.1.0' }, 'already_current'],
    [{ hasArtifact: false, isReachable: false }, 'no_artifact_for_host'],
    [{ isReachable: false }, 'hop_not_allowed'],
    [{ byHand: { enabled: false, pin: null } }, 'disabled_by_hand'],
    [{ byHand: { enabled: false, pin: '1.1.0' } }, 'disabled_by_hand'],
    [{ byHand: { enabled: true, pin: '1.0.0' } }, 'pinned_by_hand'],
    [{ byHand: { enabled: true, pin: '1.1.0' } }, null],
    [{ byHand: { enabled: true, pin: '1.0.0' }, currentVersion: '1.1.0' }, 'already_current'],
  ])('with %j is skipped because of %s', (change, reason) => {
    expect(skipReason({ ...fine, ...change }, '1.1.0')).toBe(reason);
  });
});
