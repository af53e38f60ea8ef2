import { describe, expect, it } from 'vitest';
import { members, RolloutFleet, type FleetOptions } from '../../../test/support/rollout-fleet.js';
import { HOUR_MS, instant, MINUTE_MS, plus, toIso, type Instant } from '../kernel/index.js';
import type { WindowRule } from './calendar.js';
import { forecast, usualMs } from './forecast.js';
import { STRICT, type PresetSpec, type RingSpec } from './presets.js';

/** A Monday. */
const NINE = instant(Date.UTC(2026, 2, 2, 9));
const TAKES_MS = 2 * MINUTE_MS;

const daily = (startMinute: number): WindowRule => ({
  days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'],
  startMinute,
  durationMinutes: 60,
  timeZone: 'UTC',
});
const ring = (name: string, over: Partial<RingSpec> = {}): RingSpec => ({
  name,
  selector: { by: 'label', key: 'ring', value: name },
  window: null,
  waitMs: 0,
  canaryCount: 0,
  ...over,
});
const scheduled = (...rings: RingSpec[]): PresetSpec => ({
  strategy: 'scheduled',
  rings,
  donePercent: 100,
  settleMs: 5 * MINUTE_MS,
  tolerance: STRICT,
});
const ringed = members(12, (i) => ({ labels: { ring: i < 6 ? 'dev' : 'prod' } }));

/** When each wave opens and the last is through, after nine o'clock. */
function foreseen(preset: PresetSpec, over: Partial<FleetOptions> = {}) {
  const { planned } = new RolloutFleet({ preset, members: ringed, now: NINE, ...over });
  const { opens, ends } = forecast(planned, NINE, TAKES_MS);
  const inMinutes = (at: Instant | null) => at && (at - NINE) / MINUTE_MS;
  return { opens: opens.map((at) => (at === NINE ? 0 : inMinutes(at))), ends: inMinutes(ends) };
}

describe('the forecast of a rollout', () => {
  it('in sequence adds up: how long a node takes, spread and settle time of each wave', () => {
    const rings = [ring('dev'), ring('prod')];
    expect(foreseen(scheduled(...rings))).toEqual({ opens: [0, 7], ends: 14 });
    const terms = { spreadMs: 10 * MINUTE_MS };
    expect(foreseen(scheduled(...rings), { terms })).toEqual({ opens: [0, 17], ends: 34 });
  });

  it('of rings that are independent is of each its own, and ends with the last of them', () => {
    const start = { order: 'independent' } as const;
    const late = ring('dev', { window: daily(12 * 60) });
    const early = ring('prod', { window: daily(10 * 60) });
    expect(foreseen(scheduled(late, early), { start })).toEqual({ opens: [180, 60], ends: 187 });
    // In order the second window of that day is over when the first ring is through.
    expect(foreseen(scheduled(late, early))).toEqual({ opens: [180, 25 * 60], ends: 25 * 60 + 7 });
  });

  it('keeps the waves of a ring in order, whatever rings are', () => {
    const rings = [ring('dev', { canaryCount: 2 }), ring('prod', { canaryCount: 2 })];
    const start = { order: 'independent' } as const;
    // Canaries do not settle.
    expect(foreseen(scheduled(...rings), { start })).toEqual({ opens: [0, 2, 0, 2], ends: 9 });
    expect(foreseen(scheduled(...rings))).toEqual({ opens: [0, 2, 9, 11], ends: 18 });
  });

  it('knows nothing from the first wave on that waits for people; other rings go on', () => {
    const [dev, prod] = [ring('dev'), ring('prod')];
    const custom: PresetSpec = {
      strategy: 'custom',
      waves: [dev, prod].map((one, index) => ({
        ...one,
        settleMs: 0,
        tolerance: STRICT,
        approvals: index === 0 ? 1 : 0,
        windows: [],
        notBefore: null,
      })),
    };
    expect(foreseen(custom)).toEqual({ opens: [null, null], ends: null });
    const start = { order: 'independent' } as const;
    expect(foreseen(custom, { start })).toEqual({ opens: [null, 0], ends: null });
  });

  it('counts hours to wait from when the wave before was opened, and moments as they are', () => {
    const rings = scheduled(ring('dev'), ring('prod', { waitMs: 2 * HOUR_MS }));
    expect(foreseen(rings).opens).toEqual([0, 120]);
    const start = { applyAfter: plus(NINE, HOUR_MS) };
    expect(foreseen(rings, { start }).opens).toEqual([60, 180]);
  });

  it('passes the window over in which the rollout was made, as the machine does', () => {
    const preset = scheduled(ring('dev', { window: daily(9 * 60 - 30) }));
    const fleet = new RolloutFleet({ preset, members: ringed, now: NINE });
    const { opens } = forecast(fleet.planned, NINE, TAKES_MS);
    expect(opens.map((at) => at && toIso(at))).toEqual(['2026-03-03T08:30:00.000Z']);
    expect(fleet.rollout.waves[0]?.until).toBe(opens[0]);
  });
});

describe('how long an upgrade usually takes', () => {
  it('is not known of fewer than five', () => {
    expect(usualMs([])).toBeNull();
    expect(usualMs([1, 2, 3, 4])).toBeNull();
  });

  it('is the median: a few that waited for a day do not move it', () => {
    expect(usualMs([30, 10, 20, 24 * HOUR_MS, 40])).toBe(30);
    expect(usualMs([10, 20, 31, 40, 50, 60])).toBe(36);
  });
});
