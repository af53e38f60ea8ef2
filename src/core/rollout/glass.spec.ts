import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENABLED, members, RolloutFleet } from '../../../test/support/rollout-fleet.js';
import { HOUR_MS, instant, MINUTE_MS, plus } from '../kernel/index.js';
import { STRICT, type Circumstances, type PresetSpec, type Verb } from './index.js';

const preset: PresetSpec = {
  strategy: 'staged',
  percents: [50, 100],
  settleMs: 0,
  tolerance: STRICT,
};
const FROZEN: Circumstances = {
  mode: 'enabled',
  freezes: [{ name: 'fair', from: instant(0), to: instant(Number.MAX_SAFE_INTEGER) }],
};
const broken = (forMs: number): Verb => ({
  verb: 'break_glass',
  by: 'usr_ann',
  byName: 'ann',
  reason: 'it burns',
  forMs,
});

/** One that a freeze holds, or that waits for two people. */
function heldFleet(why: 'freeze' | 'approval'): RolloutFleet {
  const start = why === 'approval' ? { approvals: 2 } : {};
  // Made, and its first commands given, before the freeze began.
  const fleet = new RolloutFleet({ preset, members: members(4), start });
  fleet.circumstances = why === 'freeze' ? FROZEN : ENABLED;
  return fleet;
}

describe('a broken glass', () => {
  it('stands for approvals, in this wave and, while it lasts, in the next', () => {
    const fleet = heldFleet('approval');
    expect(fleet.rollout.reason).toBe('waiting_for_approval');
    expect(fleet.verb(broken(HOUR_MS))).toBeNull();
    expect(fleet.rollout.waves[0]).toMatchObject({ status: 'open', approvedBy: [] });
    expect(fleet.rollout.glass).toEqual({
      by: 'usr_ann',
      byName: 'ann',
      reason: 'it burns',
      at: fleet.now,
      until: plus(fleet.now, HOUR_MS),
    });
  });

  it('lifts a freeze to the moment, and not a millisecond longer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 240 }), fc.integer({ min: -5, max: 5 }), (min, off) => {
        const fleet = heldFleet('freeze');
        const [first = ''] = fleet.of(0);
        fleet.report(first, 'staged');
        expect(fleet.swap(first)).toBe('frozen');
        fleet.verb(broken(min * MINUTE_MS));
        const until = fleet.rollout.glass?.until ?? fleet.now;
        fleet.now = plus(until, off);
        expect(fleet.swap(first)).toBe(off < 0 ? null : 'frozen');
      }),
    );
  });

  it.each([
    [{ mode: 'suspended', freezes: FROZEN.freezes }, 'upgrades_suspended'],
    [{ mode: 'disabled', freezes: [] }, 'upgrades_disabled'],
    [{ mode: 'enabled', freezes: FROZEN.freezes, yanked: true }, 'release_yanked'],
  ] as const)('changes nothing of %j', (circumstances, reason) => {
    const fleet = heldFleet('freeze');
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'staged');
    fleet.circumstances = circumstances;
    fleet.verb(broken(HOUR_MS));
    expect(fleet.swap(first)).toBe(reason);
  });

  it('stops nothing that stops a rollout by evidence', () => {
    const fleet = heldFleet('approval');
    fleet.verb(broken(HOUR_MS));
    const [first = ''] = fleet.of(0);
    fleet.swap(first);
    fleet.report(first, 'rolled_back');
    expect([fleet.rollout.status, fleet.rollout.reason]).toEqual(['paused', 'wave_failed']);
    expect(fleet.rollout.waves[1]?.status).toBe('pending');
  });

  it('is no verb for what is over', () => {
    const fleet = heldFleet('approval');
    fleet.verb({ verb: 'cancel' });
    expect(fleet.verb(broken(HOUR_MS))).toBe('rollout_wrong_state');
    expect(fleet.rollout.glass).toBeUndefined();
  });
});
