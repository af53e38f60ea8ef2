import { describe, expect, it } from 'vitest';
import { members, RolloutFleet } from '../../../test/support/rollout-fleet.js';
import { STRICT, type TargetState } from './index.js';

const fleetOf = (count = 12): RolloutFleet =>
  new RolloutFleet({
    preset: { strategy: 'staged', percents: [10, 50, 100], settleMs: 0, tolerance: STRICT },
    members: members(count),
  });
const movesIn = (fleet: RolloutFleet): number =>
  fleet.journal.filter((event) => event.type === 'target_moved').length;

describe('a report', () => {
  it('leads a target forward only', () => {
    const fleet = fleetOf();
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'staged');
    fleet.report(first, 'downloading');
    fleet.report(first, 'accepted');
    expect(fleet.target(first).state).toBe('staged');
    expect(movesIn(fleet)).toBe(1);
  });

  it('about another command is an echo', () => {
    const fleet = fleetOf();
    const [first = ''] = fleet.of(0);
    fleet.hear(first, {
      kind: 'progress',
      commandId: 'cmd_of_yesterday',
      state: 'succeeded',
      reason: 'upgrade_completed',
      errorCode: null,
    });
    expect(fleet.target(first).state).toBe('offered');
  });

  it.each<[TargetState, TargetState, TargetState]>([
    ['succeeded', 'failed', 'succeeded'],
    ['succeeded', 'rolled_back', 'rolled_back'],
    ['failed', 'succeeded', 'failed'],
    ['rolled_back', 'succeeded', 'rolled_back'],
  ])('that ended as %s and then says %s leaves it %s', (first, second, result) => {
    const fleet = fleetOf();
    const [node = ''] = fleet.of(0);
    fleet.report(node, first);
    fleet.report(node, second);
    expect(fleet.target(node).state).toBe(result);
  });

  it('keeps a node that goes on telling from being silent', () => {
    const fleet = fleetOf();
    const all = fleet.of(0);
    for (let i = 0; i < 5; i += 1) {
      fleet.pass(500_000);
      for (const id of all) fleet.report(id, 'accepted');
    }
    expect(all.map((id) => fleet.target(id).state)).toEqual(all.map(() => 'accepted'));
  });

  it('of a node that was called back too late is recorded as what it became', () => {
    const fleet = fleetOf();
    const [first = '', second = ''] = fleet.of(0);
    fleet.report(first, 'staged');
    fleet.verb({ verb: 'cancel' });
    fleet.report(second, 'staged');
    expect(fleet.target(second).state).toBe('cancelled');
    fleet.report(first, 'succeeded');
    expect(fleet.target(first).state).toBe('succeeded');
    expect(fleet.rollout.status).toBe('cancelled');
  });
});

describe('a node that was told on the spot to take nothing', () => {
  it.each(['upgrade_pinned', 'upgrade_disabled'])(
    'with %s is left out of its wave, which goes on without it',
    (code) => {
      const fleet = fleetOf();
      const [first = '', second = ''] = fleet.of(0);
      fleet.report(first, 'failed', code);
      expect(fleet.target(first)).toMatchObject({
        state: 'skipped',
        reason: 'held_on_node',
        errorCode: code,
        deadlineAt: null,
      });
      expect(fleet.rollout.status).toBe('in_progress');
      fleet.report(second, 'succeeded');
      expect(fleet.rollout.waves[0]).toMatchObject({ status: 'passed', counts: { skipped: 1 } });
      // Said again, by an event or a hello: nothing new.
      const before = movesIn(fleet);
      fleet.report(first, 'failed', code);
      expect(movesIn(fleet)).toBe(before);
    },
  );

  it('is left out whenever it says so: from silence, and with its permit in hand', () => {
    const fleet = fleetOf();
    const [first = '', second = ''] = fleet.of(0);
    fleet.swap(first);
    fleet.report(first, 'failed', 'upgrade_pinned');
    fleet.pass(700_000);
    expect(fleet.target(second).state).toBe('silent');
    fleet.report(second, 'failed', 'upgrade_disabled');
    expect([first, second].map((id) => fleet.target(id).state)).toEqual(['skipped', 'skipped']);
    expect(fleet.rollout.waves[0]?.counts).toMatchObject({ skipped: 2, silent: 0, failed: 0 });
  });

  it('is no evidence either: a wave of nobody else proves nothing', () => {
    const fleet = fleetOf();
    for (const id of fleet.of(0)) fleet.report(id, 'failed', 'upgrade_pinned');
    expect(fleet.rollout).toMatchObject({ status: 'paused', reason: 'not_enough_evidence' });
  });

  it('and comes to the version later all the same counts as done', () => {
    const fleet = fleetOf();
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'failed', 'upgrade_pinned');
    fleet.hear(first, { kind: 'version', atTarget: true });
    expect(fleet.target(first)).toMatchObject({ state: 'succeeded', reason: 'arrived_by_hand' });
  });

  it('with any other code has failed', () => {
    const fleet = fleetOf();
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'failed', 'upgrade_policy_invalid');
    expect(fleet.target(first).state).toBe('failed');
    expect(fleet.rollout.status).toBe('paused');
  });
});

describe('a version that came or went without us', () => {
  it('counts a node that arrives by hand as done', () => {
    const fleet = fleetOf();
    for (const id of fleet.of(0)) fleet.hear(id, { kind: 'version', atTarget: true });
    expect(fleet.rollout.waves[0]).toMatchObject({ status: 'passed', counts: { succeeded: 2 } });
    const waiting = fleet.of(2)[0] ?? '';
    fleet.hear(waiting, { kind: 'version', atTarget: true });
    expect(fleet.target(waiting)).toMatchObject({ state: 'succeeded', reason: 'arrived_by_hand' });
  });

  it('does not count a node in its probation: the new version answers, and has proved nothing', () => {
    const fleet = fleetOf();
    const [first = ''] = fleet.of(0);
    fleet.swap(first);
    fleet.report(first, 'probation');
    fleet.hear(first, { kind: 'version', atTarget: true });
    expect(fleet.target(first).state).toBe('probation');
  });

  it('is drift when an upgraded node falls back: bad evidence that opens its wave again', () => {
    const fleet = fleetOf();
    const [first = ''] = fleet.of(0);
    fleet.succeed(0);
    expect(fleet.rollout.waves[0]?.status).toBe('passed');
    fleet.hear(first, { kind: 'version', atTarget: false });
    expect(fleet.target(first)).toMatchObject({ state: 'rolled_back', reason: 'drifted' });
    expect(fleet.rollout).toMatchObject({ status: 'paused', reason: 'wave_failed' });
    expect(fleet.rollout.waves[0]).toMatchObject({ status: 'open' });
  });

  it('mends what had failed', () => {
    const fleet = fleetOf();
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'failed');
    fleet.hear(first, { kind: 'version', atTarget: true });
    expect(fleet.rollout.waves[0]?.counts).toMatchObject({ failed: 0, succeeded: 1 });
  });
});

describe('presence', () => {
  it('matters for upgraded nodes only, and each change once', () => {
    const fleet = fleetOf();
    const [first = '', second = ''] = fleet.of(0);
    fleet.hear(first, { kind: 'presence', online: false });
    expect(fleet.rollout.waves[0]?.offline).toBe(0);
    fleet.report(second, 'succeeded');
    fleet.hear(second, { kind: 'presence', online: false });
    fleet.hear(second, { kind: 'presence', online: false });
    expect(fleet.rollout.waves[0]?.offline).toBe(1);
    expect(fleet.rollout).toMatchObject({ status: 'paused', reason: 'nodes_went_offline' });
  });

  it('of a node that then tells of its rollback is counted once', () => {
    const fleet = fleetOf();
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'succeeded');
    fleet.hear(first, { kind: 'presence', online: false });
    fleet.report(first, 'rolled_back');
    expect(fleet.rollout.waves[0]).toMatchObject({ offline: 0, counts: { rolled_back: 1 } });
    expect(fleet.folded()).toEqual(fleet.rollout);
  });
});
