import { describe, expect, it } from 'vitest';
import {
  members,
  RolloutFleet,
  T0,
  type FleetOptions,
} from '../../../test/support/rollout-fleet.js';
import { plus } from '../kernel/index.js';
import { nextWake, OFFERS_PER_PASS, STRICT, type PresetSpec, type Tolerance } from './index.js';

const SETTLE_MS = 300_000;
const staged = (tolerance: Tolerance = STRICT): PresetSpec => ({
  strategy: 'staged',
  percents: [10, 50, 100],
  settleMs: SETTLE_MS,
  tolerance,
});
const fleetOf = (count: number, options: Partial<FleetOptions> = {}): RolloutFleet =>
  new RolloutFleet({ preset: staged(), members: members(count), ...options });
const statusOf = ({ rollout }: RolloutFleet): string[] => rollout.waves.map((wave) => wave.status);
const told = ({ rollout }: RolloutFleet): [string, string] => [rollout.status, rollout.reason];

describe('a staged rollout', () => {
  it('goes wave by wave, each after its settle time, and ends', () => {
    const fleet = fleetOf(12);
    expect(fleet.rollout.waves.map((wave) => wave.size)).toEqual([2, 4, 6]);
    expect(told(fleet)).toEqual(['in_progress', 'wave_open']);
    fleet.succeed(0);
    expect(told(fleet)).toEqual(['in_progress', 'settling']);
    fleet.pass(SETTLE_MS - 1);
    expect(statusOf(fleet)).toEqual(['settling', 'pending', 'pending']);
    fleet.pass(1);
    expect(statusOf(fleet)).toEqual(['passed', 'open', 'pending']);
    fleet.succeed(1);
    fleet.pass(SETTLE_MS);
    fleet.succeed(2);
    expect(told(fleet)).toEqual(['in_progress', 'settling']);
    fleet.pass(SETTLE_MS);
    expect(told(fleet)).toEqual(['complete', 'complete']);
    expect(fleet.folded()).toEqual(fleet.rollout);
  });

  it('settles anew when the clock was set back, for its whole time and no longer', () => {
    const fleet = fleetOf(12);
    fleet.succeed(0);
    fleet.now = plus(fleet.now, -3_600_000);
    fleet.wake();
    fleet.pass(SETTLE_MS - 1);
    expect(statusOf(fleet)).toEqual(['settling', 'pending', 'pending']);
    fleet.pass(1);
    expect(statusOf(fleet)).toEqual(['passed', 'open', 'pending']);
    expect(fleet.folded()).toEqual(fleet.rollout);
  });

  it.each(['failed', 'rolled_back'] as const)('pauses at the first node that %s', (state) => {
    const fleet = fleetOf(12);
    const [first = ''] = fleet.of(0);
    fleet.report(first, state, 'upgrade_boot_failed');
    expect(told(fleet)).toEqual(['paused', 'wave_failed']);
    fleet.succeed(0);
    fleet.pass(10 * SETTLE_MS);
    expect(statusOf(fleet)).toEqual(['open', 'pending', 'pending']);
  });

  it('goes on after a resume, which tries what failed again', () => {
    const fleet = fleetOf(12);
    const [first = '', second = ''] = fleet.of(0);
    fleet.report(second, 'succeeded');
    fleet.report(first, 'failed');
    expect(fleet.verb({ verb: 'resume' })).toBeNull();
    expect(fleet.target(first).state).toBe('offered');
    expect(fleet.target(second).state).toBe('succeeded');
    fleet.report(first, 'succeeded');
    fleet.pass(SETTLE_MS);
    expect(statusOf(fleet)).toEqual(['passed', 'open', 'pending']);
  });

  it('stops when a wave that had passed turns bad later, and opens that wave again', () => {
    const fleet = fleetOf(12);
    const [first = ''] = fleet.of(0);
    fleet.succeed(0);
    fleet.pass(SETTLE_MS);
    fleet.report(first, 'rolled_back');
    expect(told(fleet)).toEqual(['paused', 'wave_failed']);
    expect(statusOf(fleet)).toEqual(['open', 'open', 'pending']);
  });
});

describe('limits on what may go wrong', () => {
  it.each([
    [{ count: 1 }, 10, 1],
    [{ percent: 20 }, 10, 2],
    [{ percent: 19 }, 10, 1],
    [{ percent: 5 }, 10, 0],
  ])('of %j failures among %i nodes allow %i', (failures, count, allowed) => {
    const preset = { ...staged({ ...STRICT, failures }), percents: [100] } as PresetSpec;
    const fleet = fleetOf(count, { preset });
    const all = fleet.of(0);
    for (const id of all.slice(0, allowed)) fleet.report(id, 'failed');
    expect(fleet.rollout.status).toBe('in_progress');
    fleet.report(all[allowed] ?? '', 'failed');
    expect(told(fleet)).toEqual(['paused', 'wave_failed']);
  });

  it('let a rollout end that had tolerated failures, and it says so', () => {
    const preset = {
      ...staged({ ...STRICT, failures: { count: 1 } }),
      percents: [100],
    } as PresetSpec;
    const fleet = fleetOf(4, { preset });
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'failed');
    fleet.succeed(0);
    fleet.pass(SETTLE_MS);
    expect(told(fleet)).toEqual(['complete', 'complete_with_failures']);
  });
});

describe('nodes that say nothing', () => {
  it('become silent at their deadline, without blame before their swap', () => {
    const fleet = fleetOf(12);
    const [first = '', second = ''] = fleet.of(0);
    fleet.report(first, 'succeeded');
    fleet.pass(600_000);
    expect(fleet.target(second)).toMatchObject({
      state: 'silent',
      reason: 'no_report_before_deadline',
    });
    expect(told(fleet)).toEqual(['in_progress', 'settling']);
    fleet.pass(SETTLE_MS);
    expect(statusOf(fleet)).toEqual(['passed', 'open', 'pending']);
  });

  it('are lost, and bad evidence, after their permit', () => {
    const fleet = fleetOf(12);
    const [first = ''] = fleet.of(0);
    expect(fleet.swap(first)).toBeNull();
    fleet.pass(600_000);
    expect(fleet.target(first)).toMatchObject({ state: 'silent', reason: 'lost_after_permit' });
    expect(told(fleet)).toEqual(['paused', 'wave_failed']);
    fleet.report(first, 'succeeded');
    expect(fleet.rollout.waves[0]).toMatchObject({ lost: 0 });
  });

  it('prove nothing: a wave in which most keep silent pauses', () => {
    const fleet = fleetOf(30);
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'succeeded');
    fleet.pass(600_000 + SETTLE_MS);
    expect(told(fleet)).toEqual(['paused', 'not_enough_evidence']);
  });

  it('may catch up until the rollout expires, and are skipped then', () => {
    const expiresAt = plus(T0, 86_400_000);
    const preset = { ...staged(), percents: [100] } as PresetSpec;
    const fleet = fleetOf(4, { preset, terms: { expiresAt } });
    const [late = '', never = '', ...others] = fleet.of(0);
    for (const id of others) fleet.report(id, 'succeeded');
    fleet.pass(600_000 + SETTLE_MS);
    expect(told(fleet)).toEqual(['in_progress', 'waiting_for_offline_nodes']);
    fleet.report(late, 'succeeded');
    fleet.pass(86_400_000);
    expect(fleet.target(never)).toMatchObject({ state: 'skipped', reason: 'expired' });
    expect(told(fleet)).toEqual(['complete', 'complete']);
    expect(fleet.folded()).toEqual(fleet.rollout);
  });

  it('end a rollout that has no time to wait for them, and it says so', () => {
    const fleet = fleetOf(2, { preset: { ...staged(), percents: [100] } as PresetSpec });
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'succeeded');
    fleet.pass(600_000 + SETTLE_MS);
    expect(told(fleet)).toEqual(['complete', 'complete_with_silent']);
  });
});

describe('nodes that were upgraded and went away', () => {
  it('pause the rollout while their wave is being proved', () => {
    const fleet = fleetOf(12, {
      preset: { strategy: 'rolling', stepPercent: 25, settleMs: SETTLE_MS, tolerance: STRICT },
    });
    const [first = ''] = fleet.of(0);
    fleet.succeed(0);
    fleet.hear(first, { kind: 'presence', online: false });
    expect(told(fleet)).toEqual(['paused', 'nodes_went_offline']);
    fleet.hear(first, { kind: 'presence', online: true });
    expect(fleet.rollout.waves[0]?.offline).toBe(0);
    fleet.verb({ verb: 'resume' });
    fleet.pass(SETTLE_MS);
    expect(statusOf(fleet)[0]).toBe('passed');
  });
});

describe('an expired rollout', () => {
  it('takes back what was not begun and ends', () => {
    const fleet = fleetOf(12, { terms: { expiresAt: plus(T0, 60_000) } });
    const [first = ''] = fleet.of(0);
    fleet.swap(first);
    fleet.pass(60_000);
    expect(fleet.rollout.status).toBe('in_progress');
    expect(fleet.target(fleet.of(2)[0] ?? '').state).toBe('skipped');
    fleet.report(first, 'succeeded');
    fleet.pass(SETTLE_MS);
    expect(told(fleet)).toEqual(['complete', 'expired']);
  });
});

describe('a scheduled rollout', () => {
  const ring = (name: string, startMinute: number, canaryCount = 0, waitMs = 0) => ({
    name,
    selector: { by: 'label', key: 'ring', value: name } as const,
    window: { days: ['mon'], startMinute, durationMinutes: 60, timeZone: 'UTC' } as const,
    waitMs,
    canaryCount,
  });
  const scheduled = (...rings: ReturnType<typeof ring>[]): PresetSpec => ({
    strategy: 'scheduled',
    rings,
    donePercent: 90,
    settleMs: 0,
    tolerance: STRICT,
  });
  const ringed = members(20, (i) => ({ labels: { ring: i < 10 ? 'dev' : 'prod' } }));
  const MONDAY_NINE = T0;

  it('opens each ring in its window, canaries first, after the ring before it is done', () => {
    const preset = scheduled(ring('dev', 10 * 60, 2), ring('prod', 12 * 60));
    const fleet = new RolloutFleet({ preset, members: ringed, now: MONDAY_NINE });
    expect(told(fleet)).toEqual(['pending', 'outside_window']);
    expect(nextWake(fleet.rollout, null)).toBe(plus(MONDAY_NINE, 3_600_000));
    fleet.pass(3_600_000);
    expect(fleet.rollout.plan.waves.map(({ part }) => part)).toEqual(['canary', 'main', 'main']);
    fleet.succeed(0);
    expect(statusOf(fleet)).toEqual(['passed', 'open', 'pending']);
    // Nine of ten percent are enough: one of the eight may still be on its way.
    for (const id of fleet.of(1)) fleet.report(id, 'succeeded');
    expect(statusOf(fleet)).toEqual(['passed', 'passed', 'pending']);
    expect(told(fleet)).toEqual(['in_progress', 'outside_window']);
    fleet.pass(2 * 3_600_000);
    expect(statusOf(fleet)).toEqual(['passed', 'passed', 'open']);
  });

  it('waits for the next window when it was made inside one', () => {
    const preset = scheduled(ring('dev', 9 * 60), ring('prod', 12 * 60));
    const fleet = new RolloutFleet({ preset, members: ringed, now: plus(MONDAY_NINE, 60_000) });
    expect(told(fleet)).toEqual(['pending', 'rollout_changed_during_window']);
    fleet.pass(7 * 86_400_000);
    expect(statusOf(fleet)[0]).toBe('open');
  });

  it('is done with a ring at 90 percent, and lets no node swap outside its window', () => {
    const preset = scheduled(ring('dev', 10 * 60), ring('prod', 10 * 60));
    const fleet = new RolloutFleet({ preset, members: ringed, now: MONDAY_NINE });
    fleet.pass(3_600_000);
    const [late = '', ...others] = fleet.of(0);
    for (const id of others) fleet.report(id, 'succeeded');
    expect(statusOf(fleet)).toEqual(['passed', 'open']);
    fleet.report(late, 'staged');
    fleet.now = plus(fleet.now, 3_600_000);
    expect(fleet.swap(late)).toBe('outside_window');
  });

  it('waits so long after the ring before', () => {
    const preset = scheduled(ring('dev', 10 * 60), ring('prod', 10 * 60, 0, 48 * 3_600_000));
    const fleet = new RolloutFleet({ preset, members: ringed, now: MONDAY_NINE });
    fleet.pass(3_600_000);
    fleet.succeed(0);
    expect(told(fleet)).toEqual(['in_progress', 'waiting_after_previous_wave']);
    fleet.pass(48 * 3_600_000);
    expect(told(fleet)).toEqual(['in_progress', 'outside_window']);
  });

  it('leads rings that are independent each by its own window', () => {
    const preset = scheduled(ring('dev', 12 * 60), ring('prod', 10 * 60));
    const start = { order: 'independent' } as const;
    const fleet = new RolloutFleet({ preset, members: ringed, now: MONDAY_NINE, start });
    fleet.pass(3_600_000);
    expect(statusOf(fleet)).toEqual(['pending', 'open']);
  });
});

describe('canaries of a ring', () => {
  const rings = (order: 'sequential' | 'independent'): RolloutFleet =>
    new RolloutFleet({
      preset: {
        strategy: 'scheduled',
        rings: ['dev', 'prod'].map((name) => ({
          name,
          selector: { by: 'label', key: 'ring', value: name } as const,
          window: null,
          waitMs: 0,
          canaryCount: 2,
        })),
        donePercent: 50,
        settleMs: 0,
        tolerance: STRICT,
      },
      members: members(20, (i) => ({ labels: { ring: i < 10 ? 'dev' : 'prod' } })),
      start: { order },
    });

  it('go before the rest of their ring, also when rings are independent', () => {
    const fleet = rings('independent');
    expect(statusOf(fleet)).toEqual(['open', 'pending', 'open', 'pending']);
    fleet.succeed(2);
    expect(statusOf(fleet)).toEqual(['open', 'pending', 'passed', 'open']);
  });

  it('that die pause the rollout; whoever knows better calls them done', () => {
    const fleet = rings('sequential');
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'rolled_back');
    expect(told(fleet)).toEqual(['paused', 'wave_failed']);
    fleet.verb({ verb: 'mark_done', wave: 0, by: 'usr_ada' });
    fleet.verb({ verb: 'resume' });
    expect(statusOf(fleet).slice(0, 2)).toEqual(['passed', 'open']);
  });

  it('must all live, while a share of the rest is enough', () => {
    const fleet = rings('sequential');
    const [first = '', second = ''] = fleet.of(0);
    fleet.report(first, 'succeeded');
    expect(statusOf(fleet)[0]).toBe('open');
    fleet.report(second, 'succeeded');
    const some = fleet.of(1).slice(0, 4);
    for (const id of some) fleet.report(id, 'succeeded');
    expect(statusOf(fleet)).toEqual(['passed', 'passed', 'open', 'pending']);
  });
});

describe('an immediate rollout', () => {
  it('never pauses by itself, whatever fails', () => {
    const fleet = fleetOf(4, { preset: { strategy: 'immediate' } });
    for (const id of fleet.of(0).slice(1)) fleet.report(id, 'failed');
    fleet.report(fleet.of(0)[0] ?? '', 'succeeded');
    expect(told(fleet)).toEqual(['complete', 'complete_with_failures']);
  });
});

describe('a wait on the first ring', () => {
  it('is no wait, and no error', () => {
    const fleet = fleetOf(4, {
      preset: {
        strategy: 'scheduled',
        rings: [
          {
            name: 'all',
            selector: { by: 'rest' },
            window: null,
            waitMs: 3_600_000,
            canaryCount: 0,
          },
        ],
        donePercent: 90,
        settleMs: 0,
        tolerance: STRICT,
      },
    });
    expect(told(fleet)).toEqual(['in_progress', 'wave_open']);
  });
});

describe('what holds everything back', () => {
  it.each(['suspended', 'disabled'] as const)('is a switch that is %s', (mode) => {
    const fleet = fleetOf(12);
    fleet.succeed(0);
    fleet.circumstances = { mode, freezes: [] };
    fleet.pass(SETTLE_MS);
    expect(told(fleet)).toEqual(['in_progress', `upgrades_${mode}`]);
    expect(statusOf(fleet)).toEqual(['passed', 'pending', 'pending']);
    fleet.circumstances = { mode: 'enabled', freezes: [] };
    fleet.wake();
    expect(statusOf(fleet)).toEqual(['passed', 'open', 'pending']);
  });

  it('is a freeze, until it ends', () => {
    const to = plus(T0, 86_400_000);
    const fleet = fleetOf(12);
    fleet.circumstances = { mode: 'enabled', freezes: [{ from: T0, to, name: 'Year end' }] };
    fleet.succeed(0);
    fleet.pass(SETTLE_MS);
    expect(told(fleet)).toEqual(['in_progress', 'frozen']);
    expect(nextWake(fleet.rollout, null)).toBe(to);
    fleet.pass(86_400_000);
    expect(statusOf(fleet)[1]).toBe('open');
  });

  it('is held in the middle of a wave too: no new command, no permit', () => {
    const count = OFFERS_PER_PASS + 100;
    const fleet = fleetOf(1, { members: members(count), preset: { strategy: 'immediate' } });
    expect(fleet.of(0).every((id) => fleet.target(id).state === 'offered')).toBe(true);
    fleet.circumstances = { mode: 'suspended', freezes: [] };
    const [first = ''] = fleet.of(0);
    fleet.report(first, 'staged');
    expect(fleet.swap(first)).toBe('upgrades_suspended');
  });
});

describe('large waves', () => {
  it('are offered in batches, each its own pass', () => {
    const fleet = fleetOf(1, {
      members: members(2 * OFFERS_PER_PASS + 1),
      preset: { strategy: 'immediate' },
    });
    const batches = fleet.journal.flatMap((event) =>
      event.type === 'targets_offered' ? [event.count] : [],
    );
    expect(batches).toEqual([OFFERS_PER_PASS, OFFERS_PER_PASS, 1]);
  });
});
