import { describe, expect, it } from 'vitest';
import {
  members,
  RolloutFleet,
  T0,
  type FleetOptions,
} from '../../../test/support/rollout-fleet.js';
import { plus } from '../kernel/index.js';
import { allowedVerbs, STRICT, type PresetSpec, type RolloutStatus } from './index.js';

const staged: PresetSpec = {
  strategy: 'staged',
  percents: [10, 50, 100],
  settleMs: 300_000,
  tolerance: STRICT,
};
const canary: PresetSpec = { strategy: 'canary', percent: 10, settleMs: 0, tolerance: STRICT };
const fleetOf = (preset: PresetSpec, options: Partial<FleetOptions> = {}): RolloutFleet =>
  new RolloutFleet({ preset, members: members(12), ...options });
const statusOf = ({ rollout }: RolloutFleet): string[] => rollout.waves.map((wave) => wave.status);
const told = ({ rollout }: RolloutFleet): [string, string] => [rollout.status, rollout.reason];
const statesOf = (fleet: RolloutFleet, wave: number): Set<string> =>
  new Set(fleet.of(wave).map((id) => fleet.target(id).state));

describe('pause and resume', () => {
  it('hold every swap back from the next moment on', () => {
    const fleet = fleetOf(staged);
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'staged');
    expect(fleet.verb({ verb: 'pause' })).toBeNull();
    expect(told(fleet)).toEqual(['paused', 'paused_by_operator']);
    expect(fleet.swap(first)).toBe('rollout_not_running');
    fleet.verb({ verb: 'resume' });
    expect(fleet.swap(first)).toBeNull();
  });

  it('stop the deadlines of nodes that wait', () => {
    const fleet = fleetOf(staged);
    fleet.verb({ verb: 'pause' });
    fleet.pass(86_400_000);
    expect(statesOf(fleet, 0)).toEqual(new Set(['offered']));
    fleet.verb({ verb: 'resume' });
    fleet.pass(1_000);
    expect(statesOf(fleet, 0)).toEqual(new Set(['offered']));
  });

  it('work before the first wave too', () => {
    const start = { applyAfter: plus(T0, 3_600_000) };
    const fleet = fleetOf(staged, { start });
    expect(told(fleet)).toEqual(['pending', 'not_before']);
    fleet.verb({ verb: 'pause' });
    fleet.pass(7_200_000);
    expect(statusOf(fleet)[0]).toBe('pending');
    fleet.verb({ verb: 'resume' });
    expect(told(fleet)).toEqual(['in_progress', 'wave_open']);
  });
});

describe('approvals', () => {
  it('let the rest follow the canaries, whenever they come', () => {
    const fleet = fleetOf(canary);
    fleet.succeed(0);
    fleet.pass(30 * 86_400_000);
    expect(told(fleet)).toEqual(['in_progress', 'waiting_for_approval']);
    expect(fleet.verb({ verb: 'approve', wave: 1, by: 'usr_ada' })).toBeNull();
    expect(statusOf(fleet)).toEqual(['passed', 'open']);
  });

  it('may come early, and then hold nothing up', () => {
    const fleet = fleetOf(canary);
    fleet.verb({ verb: 'approve', wave: 1, by: 'usr_ada' });
    expect(statusOf(fleet)).toEqual(['open', 'pending']);
    fleet.succeed(0);
    expect(statusOf(fleet)).toEqual(['passed', 'open']);
  });

  it('by two people are not given by one person twice', () => {
    const fleet = fleetOf(staged, { start: { approvals: 2 } });
    expect(told(fleet)).toEqual(['pending', 'waiting_for_approval']);
    expect(fleet.verb({ verb: 'approve', wave: 0, by: 'usr_ada' })).toBeNull();
    expect(fleet.verb({ verb: 'approve', wave: 0, by: 'usr_ada' })).toBe('rollout_wrong_state');
    expect(statusOf(fleet)[0]).toBe('pending');
    fleet.verb({ verb: 'approve', wave: 0, by: 'usr_ben' });
    expect(statusOf(fleet)[0]).toBe('open');
  });

  it('are refused where none is asked for', () => {
    const fleet = fleetOf(staged);
    expect(fleet.verb({ verb: 'approve', wave: 1, by: 'usr_ada' })).toBe('rollout_wrong_state');
    expect(fleet.verb({ verb: 'approve', wave: 9, by: 'usr_ada' })).toBe('rollout_wave_unknown');
  });
});

describe('verbs about one wave', () => {
  it('start it now, past order, windows and approvals', () => {
    const fleet = fleetOf(canary);
    expect(fleet.verb({ verb: 'start_wave', wave: 1, by: 'usr_ada' })).toBeNull();
    expect(statusOf(fleet)).toEqual(['open', 'open']);
    expect(fleet.rollout.waves[1]).toMatchObject({ reason: 'manual_trigger', byHand: true });
    expect(fleet.verb({ verb: 'start_wave', wave: 1, by: 'usr_ada' })).toBe('rollout_wrong_state');
  });

  it('do not start it past the switch or a freeze', () => {
    const fleet = fleetOf(canary);
    fleet.circumstances = { mode: 'suspended', freezes: [] };
    expect(fleet.verb({ verb: 'start_wave', wave: 1, by: 'usr_ada' })).toBe('rollout_wrong_state');
    expect(fleet.verb({ verb: 'mark_done', wave: 1, by: 'usr_ada' })).toBe('rollout_wrong_state');
    expect(statusOf(fleet)).toEqual(['open', 'pending']);
  });

  it('do not start it past the approval of a second person', () => {
    const fleet = fleetOf(staged, { start: { approvals: 2 } });
    const start = { verb: 'start_wave', wave: 0, by: 'usr_ada' } as const;
    expect(fleet.verb(start)).toBe('rollout_wrong_state');
    expect(fleet.verb({ ...start, verb: 'mark_done' })).toBe('rollout_wrong_state');
    expect(fleet.verb({ verb: 'approve', wave: 0, by: 'usr_ben' })).toBeNull();
    expect(fleet.verb(start)).toBeNull();
    expect(fleet.rollout.waves[0]?.approvedBy).toEqual(['usr_ben', 'usr_ada']);
  });

  it('skip it: its nodes take no part, and the next one follows', () => {
    const fleet = fleetOf(staged);
    expect(fleet.verb({ verb: 'skip_wave', wave: 1 })).toBeNull();
    expect(statesOf(fleet, 1)).toEqual(new Set(['skipped']));
    fleet.succeed(0);
    fleet.pass(300_000);
    expect(statusOf(fleet)).toEqual(['passed', 'skipped', 'open']);
    expect(fleet.verb({ verb: 'skip_wave', wave: 2 })).toBe('rollout_wrong_state');
    expect(fleet.folded()).toEqual(fleet.rollout);
  });

  it('call it done, with failures that then stop nothing more', () => {
    const fleet = fleetOf(staged);
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'failed');
    expect(fleet.rollout.status).toBe('paused');
    expect(fleet.verb({ verb: 'mark_done', wave: 0, by: 'usr_ada' })).toBeNull();
    fleet.verb({ verb: 'resume' });
    expect(statusOf(fleet)).toEqual(['passed', 'open', 'pending']);
    expect(fleet.target(first).state).toBe('failed');
    fleet.succeed(1);
    fleet.pass(300_000);
    fleet.succeed(2);
    fleet.pass(300_000);
    // The other node of the first wave never answered: it is silent by now.
    expect(told(fleet)).toEqual(['complete', 'complete_with_failures']);
  });
});

describe('retry', () => {
  it('tries failed targets again, also in waves that are through', () => {
    const preset = { ...staged, tolerance: { ...STRICT, failures: { count: 1 } } } as PresetSpec;
    const fleet = fleetOf(preset);
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'failed');
    fleet.succeed(0);
    fleet.pass(300_000);
    expect(statusOf(fleet)).toEqual(['passed', 'open', 'pending']);
    expect(fleet.verb({ verb: 'retry_failed' })).toBeNull();
    expect(fleet.target(first).state).toBe('offered');
    fleet.report(first, 'succeeded');
    fleet.pass(300_000);
    expect(statusOf(fleet)).toEqual(['passed', 'open', 'pending']);
    expect(fleet.verb({ verb: 'retry_failed' })).toBe('rollout_wrong_state');
  });
});

describe('ends', () => {
  it('are made by a cancel, which calls back whoever has not begun to swap', () => {
    const fleet = fleetOf(staged);
    const [first = '', second = ''] = fleet.of(0);
    fleet.swap(first);
    fleet.verb({ verb: 'cancel' });
    expect(fleet.target(first).state).toBe('swapping');
    expect(fleet.target(second).state).toBe('cancelled');
    fleet.report(first, 'succeeded');
    expect(fleet.target(first).state).toBe('succeeded');
    expect(told(fleet)).toEqual(['cancelled', 'cancelled_by_operator']);
    expect(fleet.folded()).toEqual(fleet.rollout);
  });

  it('are told to be rolled back by whoever did that by other means', () => {
    const fleet = fleetOf(staged);
    fleet.verb({ verb: 'mark_rolled_back' });
    expect(told(fleet)).toEqual(['rolled_back', 'marked_by_operator']);
    expect(fleet.verb({ verb: 'resume' })).toBe('rollout_wrong_state');
  });

  it.each<[RolloutStatus, number]>([
    ['pending', 7],
    ['in_progress', 9],
    ['paused', 8],
    ['complete', 1],
    ['cancelled', 0],
    ['rolled_back', 0],
  ])('and every status: a rollout that is %s takes %i verbs', (status, count) => {
    expect(allowedVerbs(status)).toHaveLength(count);
  });
});
