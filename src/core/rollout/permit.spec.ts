import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENABLED, members, RolloutFleet, T0 } from '../../../test/support/rollout-fleet.js';
import { plus } from '../kernel/index.js';
import { hasBudget, permit, STRICT, whyNot, type PresetSpec } from './index.js';

const atOnce: PresetSpec = { strategy: 'immediate' };
const fleetOf = (terms: ConstructorParameters<typeof RolloutFleet>[0]['terms'], count = 10) =>
  new RolloutFleet({ preset: atOnce, members: members(count), terms: terms ?? {} });

describe('a permit', () => {
  it('is given once the wave is open, and again to whoever did not hear it', () => {
    const fleet = fleetOf({});
    const [first = ''] = fleet.of(0);
    expect(fleet.swap(first)).toBeNull();
    expect(fleet.swap(first)).toBeNull();
    fleet.report(first, 'probation');
    expect(fleet.swap(first)).toBe('target_not_waiting');
  });

  it('is not given for a command that another one replaced', () => {
    const fleet = fleetOf({});
    const [first = ''] = fleet.of(0);
    const facts = { now: fleet.now, circumstances: ENABLED, otherNodesDown: 0 };
    expect(permit(fleet.rollout, fleet.target(first), 'cmd_old', facts)).toMatchObject({
      error: { code: 'command_not_current' },
    });
  });

  it('is not given before the wave is open, whoever asks', () => {
    const fleet = new RolloutFleet({
      preset: { strategy: 'staged', percents: [50, 100], settleMs: 0, tolerance: STRICT },
      members: members(4),
    });
    const later = { ...fleet.target(fleet.of(1)[0] ?? ''), commandId: 'cmd_x' };
    const facts = { now: fleet.now, circumstances: ENABLED, otherNodesDown: 0 };
    expect(permit(fleet.rollout, later, 'cmd_x', facts)).toMatchObject({
      error: { code: 'wave_not_open' },
    });
  });

  it.each([
    [{ count: 2 }, 10, 2],
    [{ percent: 30 }, 10, 3],
    [{ percent: 1 }, 10, 1],
  ])('leaves with %j of %i nodes at most %i down', (maxUnavailable, count, most) => {
    const fleet = fleetOf({ maxUnavailable }, count);
    expect(hasBudget(fleet.rollout)).toBe(true);
    const answers = fleet.of(0).map((id) => fleet.swap(id));
    expect(answers.filter((answer) => answer === null)).toHaveLength(most);
    expect(new Set(answers.slice(most))).toEqual(new Set(['too_many_nodes_down']));
    fleet.report(fleet.of(0)[0] ?? '', 'succeeded');
    expect(fleet.swap(fleet.of(0)[most] ?? '')).toBeNull();
  });

  it('is never given past the limit, in whatever order nodes come and go', () => {
    const step = fc.tuple(fc.nat(9), fc.constantFrom('swap', 'succeeded', 'rolled_back', 'away'));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const fleet = fleetOf({ maxUnavailable: { count: 3 } });
        for (const [index, what] of steps) {
          const id = fleet.of(0)[index] ?? '';
          const before = fleet.down('');
          if (what === 'swap') fleet.swap(id);
          else if (what === 'away') fleet.hear(id, { kind: 'presence', online: false });
          else fleet.report(id, what);
          if (what === 'swap' && fleet.down('') > before) {
            expect(fleet.down('')).toBeLessThanOrEqual(3);
          }
        }
      }),
    );
  });

  it('is spread over time, at the same place for the same node', () => {
    const fleet = fleetOf({ spreadMs: 3_600_000 }, 40);
    const at = (ms: number): number => {
      fleet.now = plus(T0, ms);
      return fleet.of(0).filter((id) => fleet.swap(id) === null).length;
    };
    const quarters = [at(900_000), at(1_800_000), at(2_700_000), at(3_600_000)];
    expect(quarters[3]).toBe(40);
    expect(quarters[0]).toBeGreaterThan(0);
    expect(quarters[1]).toBeGreaterThan(quarters[0] ?? 0);
    expect(quarters[1]).toBeLessThan(36);
  });

  it('still counts for a node that was silent after it, and then speaks of what was before', () => {
    const fleet = fleetOf({ maxUnavailable: { count: 2 } }, 4);
    const [first = '', second = '', third = ''] = fleet.of(0);
    for (const id of [first, second]) expect(fleet.swap(id)).toBeNull();
    fleet.pass(fleet.rollout.plan.nodeDeadlineMs);
    expect(fleet.target(first)).toMatchObject({ state: 'silent', reason: 'lost_after_permit' });
    fleet.report(first, 'staged');
    fleet.report(second, 'downloading');
    expect(fleet.down(third)).toBe(2);
    expect(fleet.swap(third)).not.toBeNull();
    fleet.report(first, 'probation');
    fleet.report(first, 'succeeded');
    expect(fleet.target(first).state).toBe('succeeded');
    expect(fleet.down(third)).toBe(1);
  });

  it('is not kept waiting for a clock that was set back', () => {
    const fleet = fleetOf({ spreadMs: 60_000, maxUnavailable: { count: 3 } }, 10);
    fleet.now = plus(T0, -3_600_000);
    const answers = fleet.of(0).map((id) => fleet.swap(id));
    expect(answers.filter((answer) => answer === null)).toHaveLength(3);
    expect(answers.slice(3)).toEqual(Array.from({ length: 7 }, () => 'too_many_nodes_down'));
  });
});

describe('why not now?', () => {
  const why = (fleet: RolloutFleet, nodeId: string, change: object = {}): string[] =>
    whyNot(fleet.rollout, fleet.target(nodeId), {
      now: fleet.now,
      circumstances: fleet.circumstances,
      otherNodesDown: fleet.down(nodeId),
      isOnline: true,
      lastSeenAt: fleet.now,
      ...change,
    }).map(({ code }) => code);

  it('has no answer for a node that is at work or done', () => {
    const fleet = fleetOf({});
    const [first = ''] = fleet.of(0);
    expect(why(fleet, first)).toEqual([]);
    fleet.report(first, 'succeeded');
    expect(why(fleet, first)).toEqual([]);
  });

  it('names what the wave before still waits for', () => {
    const fleet = new RolloutFleet({
      preset: { strategy: 'staged', percents: [50, 100], settleMs: 60_000, tolerance: STRICT },
      members: members(4),
    });
    const later = fleet.of(1)[0] ?? '';
    expect(why(fleet, later)).toEqual(['wave_open', 'previous_waves_not_done']);
    fleet.succeed(0);
    const chain = whyNot(fleet.rollout, fleet.target(later), {
      now: fleet.now,
      circumstances: ENABLED,
      otherNodesDown: 0,
      isOnline: true,
      lastSeenAt: null,
    });
    expect(chain[0]).toMatchObject({ code: 'settling', until: plus(fleet.now, 60_000) });
  });

  it('goes from the switch over the link to the permit', () => {
    const fleet = fleetOf({ maxUnavailable: { count: 1 } });
    const [first = '', second = '', third = ''] = fleet.of(0);
    fleet.swap(first);
    fleet.report(second, 'staged');
    expect(why(fleet, second)).toEqual(['too_many_nodes_down']);
    expect(why(fleet, third, { isOnline: false })).toEqual(['node_offline']);
    fleet.circumstances = { mode: 'suspended', freezes: [] };
    expect(why(fleet, second)).toEqual(['upgrades_suspended']);
    fleet.verb({ verb: 'pause' });
    expect(why(fleet, second)).toEqual(['paused_by_operator', 'upgrades_suspended']);
    fleet.circumstances = ENABLED;
    fleet.verb({ verb: 'cancel' });
    expect(why(fleet, second)).toEqual(['cancelled_by_operator', 'cancelled']);
  });
});
