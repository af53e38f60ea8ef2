import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DAY_MS, instant, MINUTE_MS, toIso, type Instant } from '../kernel/index.js';
import {
  frozenUntil,
  isTimeZone,
  nextOpening,
  nextWindow,
  problemsOfWindow,
  windowAt,
  type Freeze,
  type Span,
  type Weekday,
  type WindowRule,
} from './calendar.js';

const DAYS: readonly Weekday[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const at = (iso: string): Instant => instant(Date.parse(iso));
const shown = (span: Span | null): string | null =>
  span === null ? null : `${toIso(span.from)} ${toIso(span.to)}`.replaceAll(':00.000Z', 'Z');
const rule = (
  timeZone: string,
  start: string,
  durationMinutes: number,
  days: readonly Weekday[] = DAYS,
): WindowRule => {
  const [hour, minute] = start.split(':').map(Number);
  return { days, startMinute: hour! * 60 + minute!, durationMinutes, timeZone };
};

describe('a window', () => {
  it.each<[string, WindowRule, string, string]>([
    [
      'is plain in UTC',
      rule('UTC', '02:00', 60, ['sat']),
      '2026-11-21T00:00Z',
      '2026-11-21T02:00Z 2026-11-21T03:00Z',
    ],
    [
      'goes over midnight whole, though the next day is not named',
      rule('UTC', '23:00', 120, ['sat']),
      '2026-11-22T00:59Z',
      '2026-11-21T23:00Z 2026-11-22T01:00Z',
    ],
    [
      'begins when the gap of Berlin ends, and lasts as long as ever',
      rule('Europe/Berlin', '02:30', 60),
      '2026-03-29T00:00Z',
      '2026-03-29T01:00Z 2026-03-29T02:00Z',
    ],
    [
      'keeps its elapsed time when it goes over the gap of Berlin',
      rule('Europe/Berlin', '01:30', 120),
      '2026-03-29T00:00Z',
      '2026-03-29T00:30Z 2026-03-29T02:30Z',
    ],
    [
      'begins at the first of the two 02:30 of Berlin',
      rule('Europe/Berlin', '02:30', 60),
      '2026-10-25T00:00Z',
      '2026-10-25T00:30Z 2026-10-25T01:30Z',
    ],
    [
      'begins when the gap of New York ends',
      rule('America/New_York', '02:00', 30),
      '2026-03-08T05:00Z',
      '2026-03-08T07:00Z 2026-03-08T07:30Z',
    ],
    [
      'begins at the first of the two 01:15 of New York, and not at the second',
      rule('America/New_York', '01:15', 30),
      '2026-11-01T05:45Z',
      '2026-11-02T06:15Z 2026-11-02T06:45Z',
    ],
    [
      'begins when the gap of half an hour on Lord Howe ends',
      rule('Australia/Lord_Howe', '02:10', 60),
      '2026-10-03T15:00Z',
      '2026-10-03T15:30Z 2026-10-03T16:30Z',
    ],
    [
      'begins at the first of the two 01:45 of Lord Howe',
      rule('Australia/Lord_Howe', '01:45', 60),
      '2026-04-04T14:00Z',
      '2026-04-04T14:45Z 2026-04-04T15:45Z',
    ],
    [
      'follows an offset of three quarters',
      rule('Asia/Kathmandu', '01:00', 30, ['sun']),
      '2026-11-21T00:00Z',
      '2026-11-21T19:15Z 2026-11-21T19:45Z',
    ],
    [
      'begins at 01:00 on the day that São Paulo began an hour late',
      rule('America/Sao_Paulo', '00:15', 30, ['sun']),
      '2018-11-04T00:00Z',
      '2018-11-04T03:00Z 2018-11-04T03:30Z',
    ],
    [
      'is not held on the Friday that Samoa left out',
      rule('Pacific/Apia', '10:00', 60, ['fri']),
      '2011-12-29T00:00Z',
      '2012-01-05T20:00Z 2012-01-05T21:00Z',
    ],
    [
      'is held on the days around the one that Samoa left out',
      rule('Pacific/Apia', '10:00', 60),
      '2011-12-29T21:00Z',
      '2011-12-30T20:00Z 2011-12-30T21:00Z',
    ],
    [
      'begins after a gap that crosses midnight, if its day had begun',
      rule('America/Toronto', '23:45', 30, ['sun']),
      '1919-03-30T12:00Z',
      '1919-03-31T04:30Z 1919-03-31T05:00Z',
    ],
    [
      'follows the odd seconds that Liberia kept until 1972',
      rule('Africa/Monrovia', '00:00', 1),
      '1950-06-01T00:00Z',
      '1950-06-01T00:44:30.000Z 1950-06-01T00:45:30.000Z',
    ],
    [
      'knows the rules of a year far ahead',
      rule('Europe/Berlin', '02:00', 60, ['mon']),
      '2080-06-30T12:00Z',
      '2080-07-01T00:00Z 2080-07-01T01:00Z',
    ],
  ])('%s', (_, given, moment, window) => {
    expect(shown(nextWindow(given, at(moment)))).toBe(window);
  });

  it('holds its first moment, and not its last', () => {
    const given = rule('UTC', '02:00', 60);
    expect(windowAt(given, at('2026-11-21T01:59:59.999Z'))).toBeNull();
    expect(windowAt(given, at('2026-11-21T02:00:00Z'))).not.toBeNull();
    expect(windowAt(given, at('2026-11-21T02:59:59.999Z'))).not.toBeNull();
    expect(windowAt(given, at('2026-11-21T03:00:00Z'))).toBeNull();
  });

  it('that overlaps with the next is the earliest that holds the moment', () => {
    const given = rule('UTC', '12:00', 36 * 60);
    const window = windowAt(given, at('2026-11-21T13:00Z'));
    expect(shown(window)).toBe('2026-11-20T12:00Z 2026-11-22T00:00Z');
  });

  it('never opens without days', () => {
    expect(nextWindow(rule('UTC', '00:00', 60, []), at('2026-11-21T00:00Z'))).toBeNull();
  });
});

/** A moment at which a window that starts at this local minute of this weekday would begin. */
interface Tick {
  readonly weekday: Weekday;
  readonly minuteOfDay: number;
  readonly atMs: number;
}
interface Timeline {
  readonly timeZone: string;
  readonly middle: Instant;
  readonly ticks: readonly Tick[];
}

const TIMELINE_DAYS = 26;
const dayOf = (wallMinute: number): number => Math.floor(wallMinute / 1440);

/**
 * The slow oracle: the wall clock of each minute as Intl prints it, one after the other. A local minute
 * counts when the clock first reaches or passes it, on a day of which the clock showed something.
 */
function timelineOf(timeZone: string, middle: string): Timeline {
  const fromMs = Date.parse(middle) - (TIMELINE_DAYS / 2) * DAY_MS;
  const format = new Intl.DateTimeFormat('sv-SE', {
    timeZone,
    dateStyle: 'short',
    timeStyle: 'short',
  });
  const ticks: Tick[] = [];
  let highest = NaN;
  for (let atMs = fromMs; atMs < fromMs + TIMELINE_DAYS * DAY_MS; atMs += MINUTE_MS) {
    const wall = Date.parse(`${format.format(atMs).replace(' ', 'T')}Z`) / MINUTE_MS;
    for (let minute = highest + 1; minute <= wall; minute += 1) {
      const weekday = DAYS[new Date(minute * MINUTE_MS).getUTCDay() - 1] ?? 'sun';
      const day = dayOf(minute);
      if (day !== dayOf(highest) && day !== dayOf(wall)) continue;
      ticks.push({ weekday, minuteOfDay: minute - day * 1440, atMs });
    }
    highest = highest > wall ? highest : wall;
  }
  return { timeZone, middle: at(middle), ticks };
}

const slowWindows = ({ ticks }: Timeline, given: WindowRule): Span[] =>
  ticks
    .filter((tick) => tick.minuteOfDay === given.startMinute && given.days.includes(tick.weekday))
    .map(({ atMs }) => ({
      from: instant(atMs),
      to: instant(atMs + given.durationMinutes * MINUTE_MS),
    }));

const timelines = (
  [
    ['UTC', '2026-11-21T00:00Z'],
    ['Europe/Berlin', '2026-03-29T01:00Z'],
    ['Europe/Berlin', '2026-10-25T01:00Z'],
    ['America/New_York', '2026-03-08T07:00Z'],
    ['America/New_York', '2026-11-01T06:00Z'],
    ['Australia/Lord_Howe', '2026-04-04T15:00Z'],
    ['Australia/Lord_Howe', '2026-10-03T15:30Z'],
    ['Asia/Kathmandu', '1985-12-31T18:30Z'],
    ['America/St_Johns', '2010-11-07T02:31Z'],
    ['America/Sao_Paulo', '2018-02-18T02:00Z'],
    ['America/Toronto', '1919-03-31T04:30Z'],
    ['Pacific/Apia', '2011-12-30T10:00Z'],
    ['Pacific/Kwajalein', '1969-09-30T13:00Z'],
    ['Africa/Casablanca', '2026-02-15T02:00Z'],
  ] as const
).map(([timeZone, middle]) => timelineOf(timeZone, middle));

const ruleIn = (timeZone: string): fc.Arbitrary<WindowRule> =>
  fc.record({
    days: fc.subarray([...DAYS]),
    startMinute: fc.oneof(fc.integer({ min: 0, max: 1439 }), fc.integer({ min: 0, max: 240 })),
    durationMinutes: fc.oneof(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 7 * 1440 }),
    ),
    timeZone: fc.constant(timeZone),
  });

/** A moment in the middle of the timeline, where the oracle sees all that can matter. */
const momentIn = ({ middle }: Timeline): fc.Arbitrary<Instant> =>
  fc.integer({ min: -1.5 * DAY_MS, max: 1.5 * DAY_MS }).map((deltaMs) => instant(middle + deltaMs));

describe('windows against a scan of every minute', () => {
  it.each(timelines.map((timeline) => [timeline.timeZone, timeline] as const))(
    'agree in %s',
    (timeZone, timeline) => {
      fc.assert(
        fc.property(ruleIn(timeZone), momentIn(timeline), (given, moment) => {
          const slow = slowWindows(timeline, given).filter(({ to }) => to > moment)[0] ?? null;
          const isOpen = slow !== null && slow.from <= moment;
          expect(shown(nextWindow(given, moment))).toBe(shown(slow));
          expect(shown(windowAt(given, moment))).toBe(isOpen ? shown(slow) : null);
        }),
        { numRuns: 60 },
      );
    },
  );
});

const freezesFrom = (base: Instant): fc.Arbitrary<Freeze[]> =>
  fc.array(
    fc
      .tuple(fc.integer({ min: -60, max: 400 }), fc.integer({ min: -5, max: 90 }), fc.string())
      .map(([start, length, name]) => ({
        from: instant(base + start * MINUTE_MS),
        to: instant(base + (start + length) * MINUTE_MS),
        name,
      })),
    { maxLength: 8 },
  );
const isFrozen = (freezes: readonly Freeze[], moment: number): boolean =>
  freezes.some(({ from, to }) => from <= moment && moment < to);

describe('a freeze', () => {
  const base = at('2026-11-21T00:00Z');
  const freeze = (from: string, to: string, name: string): Freeze => ({
    from: at(from),
    to: at(to),
    name,
  });

  it('is one with those that overlap or touch it, under the name of the one that holds now', () => {
    const freezes = [
      freeze('2026-12-28T00:00Z', '2027-01-04T00:00Z', 'new year'),
      freeze('2026-12-20T00:00Z', '2026-12-27T00:00Z', 'christmas'),
      freeze('2026-12-26T00:00Z', '2026-12-28T00:00Z', 'stock-taking'),
      freeze('2027-01-05T00:00Z', '2027-01-06T00:00Z', 'later'),
    ];
    const until = at('2027-01-04T00:00Z');
    expect(frozenUntil(freezes, at('2026-12-24T00:00Z'))).toEqual({ until, name: 'christmas' });
    for (const list of [freezes, freezes.toReversed()]) {
      const held = frozenUntil(list, at('2026-12-26T12:00Z'));
      expect(held).toEqual({ until, name: 'stock-taking' });
    }
    expect(frozenUntil(freezes, until)).toBeNull();
  });

  it('holds until the first minute in which nothing is frozen', () => {
    fc.assert(
      fc.property(freezesFrom(base), (freezes) => {
        let free: number = base;
        while (isFrozen(freezes, free)) free += MINUTE_MS;
        expect(frozenUntil(freezes, base)?.until ?? base).toBe(free);
      }),
    );
  });
});

describe('the next opening', () => {
  const base = at('2026-03-28T22:00Z');

  it('is the first minute in a window and in no freeze', () => {
    const rules = fc.array(ruleIn('Europe/Berlin'), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(rules, freezesFrom(base), (given, freezes) => {
        const opening = nextOpening(given, freezes, base);
        const isOpenAt = (moment: number): boolean =>
          !isFrozen(freezes, moment) &&
          given.some((one) => windowAt(one, instant(moment)) !== null);
        if (opening !== null) expect(isOpenAt(opening)).toBe(true);
        const scanEnd = Math.min(opening ?? Infinity, base + 600 * MINUTE_MS);
        for (let moment: number = base; moment < scanEnd; moment += MINUTE_MS) {
          if (!isFrozen(freezes, moment)) expect(isOpenAt(moment)).toBe(false);
        }
        expect(opening === null).toBe(given.every(({ days }) => days.length === 0));
      }),
      { numRuns: 40 },
    );
  });

  it('is any moment without rules, and the end of the freeze in one', () => {
    const freezes = [{ from: base, to: instant(base + DAY_MS), name: 'move' }];
    expect(nextOpening([], [], base)).toBe(base);
    expect(nextOpening([], freezes, base)).toBe(base + DAY_MS);
  });

  it('is null when freezes hold for more than 400 days', () => {
    const freezes = (days: number): Freeze[] => [
      { from: base, to: instant(base + days * DAY_MS), name: 'for ever' },
    ];
    expect(nextOpening([], freezes(400), base)).toBe(base + 400 * DAY_MS);
    expect(nextOpening([], freezes(401), base)).toBeNull();
    expect(nextOpening([rule('UTC', '02:00', 60)], freezes(401), base)).toBeNull();
  });
});

describe('a rule', () => {
  it('without a fault has no problems', () => {
    expect(problemsOfWindow(rule('Asia/Kathmandu', '23:59', 7 * 1440))).toEqual([]);
  });

  it.each<[Partial<WindowRule>, string]>([
    [{ timeZone: 'Mars/Olympus' }, 'not a time zone'],
    [{ timeZone: '+02:00' }, 'not a time zone'],
    [{ days: [] }, 'no days'],
    [{ days: ['mon', 'tue', 'mon'] }, 'named twice'],
    [{ startMinute: 1440 }, '0 to 1439'],
    [{ startMinute: 0.5 }, '0 to 1439'],
    [{ durationMinutes: 0 }, '1 to 10080'],
    [{ durationMinutes: 10081 }, '1 to 10080'],
  ])('with %j is told what is wrong', (change, part) => {
    const problems = problemsOfWindow({ ...rule('UTC', '02:00', 60), ...change });
    expect(problems).toEqual([expect.stringContaining(part)]);
  });

  it('may be in a zone that the runtime knows, and in no other', () => {
    for (let i = 0; i < 100; i += 1) expect(isTimeZone(`No/Where_${i}`)).toBe(false);
    for (const name of Intl.supportedValuesOf('timeZone')) expect(isTimeZone(name)).toBe(true);
  });
});
