import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instant } from '../kernel/index.js';
import { planRollout, skipReason, waveSizes } from './index.js';

const percents = fc
  .uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 8 })
  .map((list) => [...list.sort((a, b) => a - b), 100]);

describe('wave sizes', () => {
  it.each([
    [12, [10, 50, 100], [2, 4, 6]],
    [10, [10, 50, 100], [1, 4, 5]],
    [1, [10, 50, 100], [1]],
    [2, [10, 50, 100], [1, 1]],
    [30, [10, 50, 100], [3, 12, 15]],
    [1000, [0.1, 100], [1, 999]],
  ])('of %i nodes at %j %% are %j', (total, borders, sizes) => {
    expect(waveSizes(total, borders)).toEqual(sizes);
  });

  it('add up to all nodes, none empty, whatever the percents', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), percents, (total, borders) => {
        const sizes = waveSizes(total, borders);
        expect(sizes.reduce((a, b) => a + b, 0)).toBe(total);
        expect(Math.min(...sizes)).toBeGreaterThan(0);
        expect(sizes.length).toBeLessThanOrEqual(borders.length);
      }),
    );
  });
});

describe('a plan', () => {
  const plan = { strategy: 'staged', settleMs: 0, nodeDeadlineMs: 1 } as const;
  const now = instant(0);

  it('holds every node once and does not depend on the order of the answer', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 6, maxLength: 8 }), {
          minLength: 1,
          maxLength: 60,
        }),
        percents,
        (nodeIds, wavePercents) => {
          const one = planRollout({ id: 'rol_a', plan, wavePercents, nodeIds, now });
          const two = planRollout({
            id: 'rol_a',
            plan,
            wavePercents,
            nodeIds: [...nodeIds].reverse(),
            now,
          });
          expect(one).toEqual(two);
          expect(one.targets.map((t) => t.nodeId).sort()).toEqual([...nodeIds].sort());
        },
      ),
    );
  });

  it('takes another order for another rollout', () => {
    const nodeIds = Array.from({ length: 50 }, (_, i) => `nod_${i}`);
    const order = (id: string): string[] =>
      planRollout({ id, plan, wavePercents: [100], nodeIds, now }).targets.map((t) => t.nodeId);
    expect(order('rol_a')).not.toEqual(order('rol_b'));
  });

  it('refuses doubles and emptiness as mistakes of ours', () => {
    const make = (nodeIds: string[]) => () =>
      planRollout({ id: 'rol_a', plan, wavePercents: [100], nodeIds, now });
    expect(make([])).toThrow('needs a node');
    expect(make(['a', 'a'])).toThrow('planned twice');
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
  };
  it.each([
    [{}, null],
    [{ revoked: true, hasService: false }, 'revoked'],
    [{ hasService: false }, 'no_such_service'],
    [{ canUpgrade: false }, 'no_upgrade_capability'],
    [{ currentVersion: '1.1.0' }, 'already_current'],
    [{ hasArtifact: false }, 'no_artifact_for_host'],
  ])('with %j is skipped because of %s', (change, reason) => {
    expect(skipReason({ ...fine, ...change }, '1.1.0')).toBe(reason);
  });
});
