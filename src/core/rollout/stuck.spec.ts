import { describe, expect, it } from 'vitest';
import { members, RolloutFleet } from '../../../test/support/rollout-fleet.js';
import { STRICT } from './index.js';

describe('a node whose way back fails', () => {
  const fleetOf = (count: number): RolloutFleet =>
    new RolloutFleet({
      preset: { strategy: 'staged', percents: [10, 50, 100], settleMs: 0, tolerance: STRICT },
      members: members(count),
    });
  const stuckIn = (fleet: RolloutFleet): string => {
    const [first = ''] = fleet.of(0);
    expect(fleet.swap(first)).toBeNull();
    const commandId = fleet.target(first).commandId ?? '';
    const said = { state: 'failed', reason: 'upgrade_rollback_failed', errorCode: null } as const;
    fleet.hear(first, { kind: 'progress', commandId, ...said });
    return first;
  };

  it('has failed, is not tried again, and is once it is back', () => {
    const fleet = fleetOf(12);
    const first = stuckIn(fleet);
    expect(fleet.rollout).toMatchObject({ status: 'paused', reason: 'wave_failed' });
    expect(fleet.rollout.waves[0]).toMatchObject({ stuck: 1, counts: { failed: 1 } });
    expect(fleet.verb({ verb: 'resume' })).toBeNull();
    expect(fleet.target(first).state).toBe('failed');
    fleet.report(first, 'succeeded');
    expect(fleet.target(first).state).toBe('failed');
    fleet.report(first, 'rolled_back');
    expect(fleet.rollout.waves[0]).toMatchObject({ stuck: 0, counts: { rolled_back: 1 } });
    expect(fleet.verb({ verb: 'resume' })).toBeNull();
    expect(fleet.target(first).state).toBe('offered');
  });

  it.each([
    [true, 'succeeded', 'arrived_by_hand'],
    [false, 'rolled_back', 'back_by_hand'],
  ])('is well again when it says that it is idle; at the target: %s', (atTarget, state, reason) => {
    const fleet = fleetOf(12);
    const first = stuckIn(fleet);
    fleet.hear(first, { kind: 'version', atTarget });
    expect(fleet.target(first)).toMatchObject({ state, reason });
    expect(fleet.rollout.waves[0]).toMatchObject({ stuck: 0 });
  });
});
