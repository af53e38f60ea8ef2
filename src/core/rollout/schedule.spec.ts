import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DAY_MS, HOUR_MS, instant, MINUTE_MS, plus, type Instant } from '../kernel/index.js';
import { windowAt, type Freeze, type Weekday, type WindowRule } from './calendar.js';
import {
  judgeSchedule,
  missedWindow,
  wentBack,
  type ReleaseNews,
  type ScheduleLook,
} from './schedule.js';

const at = (iso: string): Instant => instant(Date.parse(iso));
const NIGHTS: WindowRule = {
  days: ['sun'],
  startMinute: 150,
  durationMinutes: 60,
  timeZone: 'Europe/Berlin',
};
const release = (over: Partial<ReleaseNews> = {}): ReleaseNews => ({
  sequence: 2,
  version: '1.1.0',
  since: at('2026-01-01T00:00Z'),
  isHighest: true,
  ...over,
});
const look = (over: Partial<ScheduleLook> = {}): ScheduleLook => ({
  now: at('2026-01-02T00:00Z'),
  isPaused: false,
  window: null,
  whenBusy: 'wait',
  release: release(),
  wasRolledOut: false,
  refusal: null,
  circumstances: { mode: 'enabled', freezes: [] },
  open: [],
  ...over,
});
const own = { id: 'rol_own', isReplaceable: true };
const other = { id: 'rol_other', isReplaceable: false };
const START = { kind: 'start', supersedes: [] };
const frozen = (from: string, to: string): Freeze => ({ name: 'f', from: at(from), to: at(to) });

describe('a schedule', () => {
  it.each<[string, Partial<ScheduleLook>, object]>([
    ['starts what is new', {}, START],
    ['rests while paused', { isPaused: true }, { kind: 'paused' }],
    ['has nothing to do', { release: null }, { kind: 'idle' }],
    ['starts nothing twice', { wasRolledOut: true }, { reason: 'rolled_out_already' }],
    [
      'goes to no older line',
      { release: release({ isHighest: false }) },
      { reason: 'not_the_highest' },
    ],
    ['does nothing for a maker that lost the right', { refusal: 'maker_gone' }, { kind: 'refuse' }],
    [
      'tells so before the window opens',
      { refusal: 'maker_lost_right', window: NIGHTS },
      { kind: 'refuse', reason: 'maker_lost_right' },
    ],
    [
      'obeys the switch',
      { circumstances: { mode: 'suspended', freezes: [] } },
      { reason: 'upgrades_suspended', until: null },
    ],
    [
      'waits for its window',
      { window: NIGHTS },
      { reason: 'outside_window', until: at('2026-01-04T01:30Z') },
    ],
    [
      'waits for the end of a freeze',
      {
        circumstances: {
          mode: 'enabled',
          freezes: [frozen('2026-01-01T00:00Z', '2026-01-03T00:00Z')],
        },
      },
      { reason: 'frozen', until: at('2026-01-03T00:00Z') },
    ],
    ['waits for another rollout', { open: [own] }, { reason: 'rollout_open', until: null }],
    [
      'supersedes one of its own place when told to',
      { open: [own], whenBusy: 'supersede' },
      { kind: 'start', supersedes: ['rol_own'] },
    ],
    [
      'supersedes nobody else',
      { open: [own, other], whenBusy: 'supersede' },
      { reason: 'rollout_open' },
    ],
  ])('%s', (_what, over, expected) => {
    expect(judgeSchedule(look(over))).toMatchObject(expected);
  });

  it.each([
    // Clocks go from 02:00 to 03:00 on 29 March: 02:30 is the end of the gap.
    ['forward', '2026-03-28T12:00Z', '2026-03-29T01:00Z'],
    // And from 03:00 back to 02:00 on 25 October: 02:30 comes twice, the first counts.
    ['back', '2026-10-24T12:00Z', '2026-10-25T00:30Z'],
  ])('waits for the right moment when clocks go %s', (_way, now, until) => {
    const step = judgeSchedule(look({ now: at(now), window: NIGHTS }));
    expect(step).toEqual({ kind: 'wait', reason: 'outside_window', until: at(until) });
    const early = plus(at(until), -1);
    expect(judgeSchedule(look({ now: early, window: NIGHTS })).kind).toBe('wait');
    expect(judgeSchedule(look({ now: at(until), window: NIGHTS }))).toEqual(START);
    const last = plus(at(until), HOUR_MS - 1);
    expect(judgeSchedule(look({ now: last, window: NIGHTS }))).toEqual(START);
    expect(judgeSchedule(look({ now: plus(last, 1), window: NIGHTS })).kind).toBe('wait');
  });

  it('has missed a window when it is over, and not while it is late inside', () => {
    const due = at('2026-01-04T01:30Z');
    expect(missedWindow(NIGHTS, due, plus(due, HOUR_MS - 1))).toBeNull();
    expect(missedWindow(NIGHTS, due, plus(due, HOUR_MS))).toEqual({
      from: due,
      to: plus(due, HOUR_MS),
    });
    expect(missedWindow(NIGHTS, null, plus(due, DAY_MS))).toBeNull();
    expect(missedWindow(null, due, plus(due, DAY_MS))).toBeNull();
    expect(missedWindow(NIGHTS, due, plus(due, -1))).toBeNull();
  });

  it('takes clocks that differ a little for the same', () => {
    const then = at('2026-01-04T01:30Z');
    expect(wentBack(then, plus(then, -MINUTE_MS))).toBe(false);
    expect(wentBack(then, plus(then, -MINUTE_MS - 1))).toBe(true);
  });
});

const DAYS: readonly Weekday[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata'];
const anyWindow: fc.Arbitrary<WindowRule> = fc.record({
  days: fc.subarray([...DAYS], { minLength: 1 }),
  startMinute: fc.integer({ min: 0, max: 1_439 }),
  durationMinutes: fc.integer({ min: 1, max: 2_000 }),
  timeZone: fc.constantFrom(...ZONES),
});
const YEAR = at('2026-01-01T00:00Z');
const anyTime = fc.integer({ min: 0, max: 365 * 24 * 60 }).map((n) => plus(YEAR, n * MINUTE_MS));
const anyFreezes = fc.array(
  fc
    .tuple(anyTime, fc.integer({ min: 1, max: 5 * 24 * 60 }))
    .map(([from, minutes]): Freeze => ({ name: 'f', from, to: plus(from, minutes * MINUTE_MS) })),
  { maxLength: 3 },
);

describe('whatever the window, the zone and the freezes', () => {
  it('starts only inside, and what it waits for is the first moment at which it would', () => {
    fc.assert(
      fc.property(
        anyWindow,
        anyTime,
        anyFreezes,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (window, now, freezes, part) => {
          const circumstances = { mode: 'enabled', freezes } as const;
          const stepAt = (moment: Instant) =>
            judgeSchedule(look({ now: moment, window, circumstances }));
          const step = stepAt(now);
          const isFrozen = (moment: Instant) =>
            freezes.some(({ from, to }) => from <= moment && moment < to);
          expect(step.kind === 'start').toBe(windowAt(window, now) !== null && !isFrozen(now));
          if (step.kind !== 'wait' || step.until === null) return;
          expect(step.until).toBeGreaterThan(now);
          expect(stepAt(step.until)).toEqual(START);
          const between = instant(Math.floor(now + (step.until - now - 1) * part));
          expect(stepAt(between).kind).toBe('wait');
        },
      ),
      { numRuns: 300 },
    );
  });

  it('starts each release once at most, whatever the clock does and however often it is asked', () => {
    const anySteps = fc.array(
      fc.record({
        jump: fc.integer({ min: -3 * DAY_MS, max: 9 * DAY_MS }),
        publishes: fc.boolean(),
        forgets: fc.boolean(),
        busy: fc.boolean(),
      }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(
        anyWindow,
        anySteps,
        fc.constantFrom('wait', 'supersede'),
        (window, steps, whenBusy) => {
          let now = YEAR;
          let newest = 0;
          let done = 0;
          const started: number[] = [];
          for (const { jump, publishes, forgets, busy } of steps) {
            now = plus(now, jump);
            if (publishes) newest += 1;
            const isNews = newest > done;
            const news = isNews ? release({ sequence: newest, since: now }) : null;
            const wasRolledOut = started.includes(newest);
            const open = busy ? [other] : [];
            const step = judgeSchedule(
              look({ now, window, whenBusy, release: news, wasRolledOut, open }),
            );
            if (step.kind === 'start') {
              expect(windowAt(window, now)).not.toBeNull();
              expect(busy).toBe(false);
              started.push(newest);
            }
            // The row of the schedule may be lost with a backup; what was rolled out is known all the same.
            if ((step.kind === 'start' && !forgets) || step.kind === 'pass_over') done = newest;
          }
          expect(new Set(started).size).toBe(started.length);
          expect(started).toEqual([...started].sort((a, b) => a - b));
        },
      ),
      { numRuns: 300 },
    );
  });
});
