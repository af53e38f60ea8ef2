import { describe, expect, it } from 'vitest';
import { members, RolloutFleet, T0 } from '../../../test/support/rollout-fleet.js';
import { plus } from '../kernel/index.js';
import { isHeldBack, nextWake, STRICT } from './index.js';

const staged = { strategy: 'staged', percents: [100], settleMs: 1_000, tolerance: STRICT } as const;

/** Each of these was a run of `npm run sim` that failed, reduced to its few steps. */
describe('what the simulator found', () => {
  it('a wave marked as done does not resume a paused rollout that had not started', () => {
    const start = { applyAfter: plus(T0, 3_600_000) };
    const fleet = new RolloutFleet({ preset: staged, members: members(2), start });
    expect(fleet.verb({ verb: 'pause' })).toBeNull();
    expect(fleet.verb({ verb: 'mark_done', wave: 0, by: 'usr_ada' })).toBeNull();
    expect(fleet.rollout.status).toBe('paused');
    expect([...fleet.targets.values()].map(({ state }) => state)).toEqual(['pending', 'pending']);
    expect(fleet.verb({ verb: 'resume' })).toBeNull();
    expect(fleet.rollout.status).toBe('in_progress');
    expect([...fleet.targets.values()].map(({ state }) => state)).toEqual(['offered', 'offered']);
  });

  it('a node that was silent and comes back while paused does not hold its wave up for ever', () => {
    const fleet = new RolloutFleet({ preset: staged, members: members(1) });
    const [nodeId] = [...fleet.targets.keys()];
    fleet.pass(700_000);
    expect(fleet.rollout.reason).toBe('not_enough_evidence');
    fleet.report(nodeId!, 'staged');
    expect(fleet.verb({ verb: 'resume' })).toBeNull();
    fleet.report(nodeId!, 'succeeded');
    fleet.pass(10_000);
    expect(fleet.rollout.status).toBe('complete');
  });

  it('a rollout that a switch holds back says so, since no moment is known at which it goes on', () => {
    const fleet = new RolloutFleet({
      preset: staged,
      members: members(2),
      start: { applyAfter: plus(T0, 1_000) },
    });
    expect(isHeldBack(fleet.rollout)).toBe(false);
    fleet.circumstances = { mode: 'suspended', freezes: [] };
    fleet.pass(2_000);
    expect(nextWake(fleet.rollout, null)).toBeNull();
    expect(isHeldBack(fleet.rollout)).toBe(true);
    fleet.circumstances = { mode: 'enabled', freezes: [] };
    fleet.wake();
    expect(isHeldBack(fleet.rollout)).toBe(false);
  });

  it('a wave that waits, and then has to wait for one that was opened again, rings no alarm', () => {
    const wave = {
      canaryCount: 0,
      settleMs: 600_000,
      tolerance: STRICT,
      approvals: 0,
      windows: [],
      notBefore: null,
    };
    const fleet = new RolloutFleet({
      preset: {
        strategy: 'custom',
        waves: [
          { ...wave, name: 'one', selector: { by: 'count', count: 1 }, waitMs: 0 },
          { ...wave, name: 'rest', selector: { by: 'rest' }, waitMs: 3_600_000 },
        ],
      },
      members: members(3),
    });
    const [first] = fleet.of(0);
    fleet.report(first!, 'succeeded');
    fleet.pass(700_000);
    expect(fleet.rollout.waves[1]?.reason).toBe('waiting_after_previous_wave');
    fleet.report(first!, 'rolled_back');
    expect(fleet.rollout.status).toBe('paused');
    fleet.pass(3_600_000);
    expect(fleet.verb({ verb: 'resume' })).toBeNull();
    fleet.report(first!, 'succeeded');
    // The settle time of the first wave, not the wait of the second that has long been over.
    expect(nextWake(fleet.rollout, null)).toBe(plus(fleet.now, 600_000));
  });
});
