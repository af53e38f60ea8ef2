import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ARRIVAL_MS_WANTED,
  CALM_MS,
  DEGRADED,
  LOAD_STEPS,
  loadAfter,
  LOOK_MS,
  nextSlot,
  NO_LOAD,
  PACE_START,
  paceAfter,
  SLOT_MS_MAX,
  SLOT_MS_MIN,
  type Load,
  type LoadSigns,
  type Pace,
} from './storm-rule.js';

const ms = (max: number) => fc.integer({ min: 0, max });
const signs: fc.Arbitrary<LoadSigns> = fc.record({
  loopDelayMs: ms(3_000),
  databaseDelayMs: ms(10_000),
});
const CALM: LoadSigns = { loopDelayMs: 0, databaseDelayMs: 0 };
const WORST: LoadSigns = { loopDelayMs: 3_000, databaseDelayMs: 10_000 };

const arrivals = (pace: Pace, workedMs: number, count: number): Pace => {
  let now = pace;
  for (let i = 0; i < count; i += 1) {
    now = paceAfter(now, { workedMs, heldMs: workedMs, wasFull: true }, i * 100);
  }
  return now;
};

describe('the pace of arrivals', () => {
  it('grows while they are quick, and falls while they are slow, within its bounds', () => {
    expect(arrivals(PACE_START, 20, 100).limit).toBe(PACE_START.limit + 100);
    expect(arrivals(PACE_START, 20, 5_000).limit).toBe(1_024);
    expect(arrivals(PACE_START, ARRIVAL_MS_WANTED + 1, 500).limit).toBe(256);
  });

  it('does not grow while nobody tries it', () => {
    const quiet = paceAfter(PACE_START, { workedMs: 5, heldMs: 5, wasFull: false }, 1);
    expect(quiet.limit).toBe(PACE_START.limit);
  });

  it('is lowered once for one slow commit, however many arrivals were in it', () => {
    const slow = { workedMs: 3_000, heldMs: 3_000, wasFull: true };
    let pace = { ...PACE_START, limit: 500 };
    for (let i = 0; i < 64; i += 1) pace = paceAfter(pace, slow, 10_000);
    expect(pace.limit).toBeCloseTo(400);
  });
});

describe('slots', () => {
  it('lie between a second and a minute ahead, and one after the other', () => {
    fc.assert(
      fc.property(
        ms(1_000_000),
        fc.integer({ min: 256, max: 1_024 }),
        ms(20_000),
        (now, limit, held) => {
          const pace = { limit, heldMs: held, loweredAtMs: 0 };
          let nextAtMs = 0;
          let before = 0;
          for (let i = 0; i < 200; i += 1) {
            const slot = nextSlot(nextAtMs, now, pace);
            expect(slot.atMs - now).toBeGreaterThanOrEqual(SLOT_MS_MIN);
            expect(slot.atMs - now).toBeLessThanOrEqual(SLOT_MS_MAX);
            expect(slot.nextAtMs).toBeGreaterThan(slot.atMs);
            if (slot.atMs < before) expect(slot.atMs - now).toBe(SLOT_MS_MAX / 2);
            before = slot.atMs;
            ({ nextAtMs } = slot);
          }
        },
      ),
    );
  });
});

describe('the load of a manager', () => {
  const after = (looks: readonly LoadSigns[], from: Load = NO_LOAD): Load[] => {
    let load = from;
    return looks.map((look, index) => (load = loadAfter(load, look, index * LOOK_MS)));
  };
  const many = (look: LoadSigns, count: number): LoadSigns[] =>
    Array.from({ length: count }, () => look);

  it('rises by a step after four looks in a row, never by one alone', () => {
    const steps = after(many(WORST, 8)).map(({ step }) => step);
    expect(steps.slice(0, 3)).toEqual(['calm', 'calm', 'calm']);
    expect(steps.slice(3, 7)).toEqual(['busy', 'busy', 'busy', 'busy']);
    expect(steps[7]).toBe('strained');
    expect(after([...many(WORST, 3), CALM, ...many(WORST, 3)]).at(-1)?.step).toBe('calm');
  });

  it('moves one step at a time, and down only after ten calm seconds', () => {
    fc.assert(
      fc.property(fc.array(signs, { maxLength: 200 }), (looks) => {
        let before: Load = NO_LOAD;
        let steppedAt = -Infinity;
        for (const [index, load] of after(looks).entries()) {
          const by = LOAD_STEPS.indexOf(load.step) - LOAD_STEPS.indexOf(before.step);
          expect(Math.abs(by)).toBeLessThanOrEqual(1);
          if (by < 0) expect((index - steppedAt) * LOOK_MS).toBeGreaterThanOrEqual(CALM_MS);
          if (by !== 0) steppedAt = index;
          before = load;
        }
      }),
    );
  });

  it('ends calm when the signs are calm for long enough, whatever was before', () => {
    fc.assert(
      fc.property(fc.array(signs, { maxLength: 100 }), (looks) => {
        const calm = many(CALM, (3 * CALM_MS) / LOOK_MS);
        expect(after([...looks, ...calm]).at(-1)).toEqual(NO_LOAD);
      }),
    );
  });

  it('leaves more for later with each step, health in lists first', () => {
    expect(LOAD_STEPS.map((step) => DEGRADED[step].refusesExports)).toEqual([false, false, true]);
    expect(LOAD_STEPS.map((step) => DEGRADED[step].heartbeatTimes)).toEqual([1, 1, 2]);
    const every = LOAD_STEPS.map((step) => DEGRADED[step].reportsEveryMs);
    expect(every).toEqual([...every].sort((a, b) => a - b));
  });
});
