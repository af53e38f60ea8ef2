import {
  DAY_MS,
  HOUR_MS,
  instant,
  MINUTE_MS,
  plus,
  SECOND_MS,
  type Instant,
} from '../kernel/index.js';

const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

const DAY_MINUTES = DAY_MS / MINUTE_MS;
const DURATION_MINUTES_MAX = 7 * DAY_MINUTES;

/** When a maintenance window opens each week, as people write it down: by the clock on the wall. */
export interface WindowRule {
  readonly days: readonly Weekday[];
  /** Minute of the local day, 0 to 1439. */
  readonly startMinute: number;
  /** Elapsed time, whatever the clocks do meanwhile: 1 to 10080. */
  readonly durationMinutes: number;
  /** IANA name, e.g. `Europe/Berlin`. */
  readonly timeZone: string;
}

/** Half open: `from` belongs to it, `to` does not. */
export interface Span {
  readonly from: Instant;
  readonly to: Instant;
}

/** A span in which nothing may begin, and what people call it. */
export interface Freeze extends Span {
  readonly name: string;
}

// A formatter costs a hundred times what it costs to use one, and tens of kilobytes to keep.
const FORMATTERS_MAX = 64;
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const [oldest] = formatters.keys();
  if (formatters.size >= FORMATTERS_MAX && oldest !== undefined) formatters.delete(oldest);
  formatters.set(timeZone, made);
  return made;
}

/** Whether this runtime knows `name` as an IANA zone. A bare offset such as `+02:00` is none. */
export const isTimeZone = (name: string): boolean => {
  if (/^[+-]/.test(name)) return false;
  try {
    formatterOf(name);
    return true;
  } catch {
    return false;
  }
};

/** How far the clocks of the zone are ahead of UTC, to the second: old zones kept solar time. */
function offsetMs(timeZone: string, atMs: number): number {
  const field: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of formatterOf(timeZone).formatToParts(atMs)) {
    field[type] = Number(value);
  }
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = field;
  const wallMs = Date.UTC(year, month - 1, day, hour, minute, second);
  return wallMs - Math.floor(atMs / SECOND_MS) * SECOND_MS;
}

interface Sample {
  readonly atMs: number;
  readonly offsetMs: number;
}

const sample = (timeZone: string, atMs: number): Sample => ({
  atMs,
  offsetMs: offsetMs(timeZone, atMs),
});

/** A stretch of time in which the clocks of a zone keep one offset. */
interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
  readonly offsetMs: number;
}

/** The stretches between two moments at whole seconds, in order, found by halving. */
function stretches(timeZone: string, from: Sample, to: Sample): Stretch[] {
  if (from.offsetMs === to.offsetMs || to.atMs - from.atMs <= SECOND_MS) {
    return [{ fromMs: from.atMs, toMs: to.atMs, offsetMs: from.offsetMs }];
  }
  const middleMs = from.atMs + Math.floor((to.atMs - from.atMs) / 2 / SECOND_MS) * SECOND_MS;
  const middle = sample(timeZone, middleMs);
  return [...stretches(timeZone, from, middle), ...stretches(timeZone, middle, to)];
}

// No zone was ever further from UTC: Manila kept -15:56 until 1844, Alaska +15:02 until 1867.
const OFFSET_MAX_MS = 16 * HOUR_MS;

const dayOf = (wallMs: number): number => Math.floor(wallMs / DAY_MS);
const localDay = (timeZone: string, atMs: number): number => dayOf(atMs + offsetMs(timeZone, atMs));

/**
 * When the window of one local day (counted from 1970-01-01) begins: the first moment at which the
 * clocks show its start or later. That takes the first of two when clocks go back, and the end of the gap
 * when they go forward. Null for a day that the zone left out whole, as Samoa did with 2011-12-30.
 */
function startOn(rule: WindowRule, day: number): number | null {
  const wallMs = day * DAY_MS + rule.startMinute * MINUTE_MS;
  const around = stretches(
    rule.timeZone,
    sample(rule.timeZone, wallMs - OFFSET_MAX_MS),
    sample(rule.timeZone, wallMs + OFFSET_MAX_MS),
  );
  for (const [index, stretch] of around.entries()) {
    const startMs = Math.max(stretch.fromMs, wallMs - stretch.offsetMs);
    if (startMs >= stretch.toMs) continue;
    if (dayOf(startMs + stretch.offsetMs) === day) return startMs;
    // The start fell into a gap across midnight: does the day exist on the near side of it?
    const before = around[index - 1];
    const hadBegun = before !== undefined && dayOf(startMs - 1 + before.offsetMs) === day;
    return hadBegun ? startMs : null;
  }
  return null;
}

/**
 * The first window that ends after `at`: the one that holds it, or else the next. Null when the rule
 * never opens, having no days. Throws a RangeError for a zone that `isTimeZone` refuses.
 */
export function nextWindow(rule: WindowRule, at: Instant): Span | null {
  const durationMs = rule.durationMinutes * MINUTE_MS;
  // Before a window begins, the clock has never shown its day's start: no earlier day can matter.
  const first = localDay(rule.timeZone, at - durationMs);
  // A weekday comes round within a week, or within two when the zone leaves it out; two days to spare.
  const last = localDay(rule.timeZone, at) + 16;
  for (let day = first; day <= last; day += 1) {
    const weekday = WEEKDAYS[(((day + 3) % 7) + 7) % 7] as Weekday;
    if (!rule.days.includes(weekday)) continue;
    const startMs = startOn(rule, day);
    if (startMs !== null && startMs + durationMs > at) {
      return { from: instant(startMs), to: instant(startMs + durationMs) };
    }
  }
  return null;
}

/** The window that holds `at`, or null. Of several (longer than a day) the earliest. */
export function windowAt(rule: WindowRule, at: Instant): Span | null {
  const window = nextWindow(rule, at);
  return window !== null && window.from <= at ? window : null;
}

const isWithin = (value: number, min: number, max: number): boolean =>
  Number.isInteger(value) && value >= min && value <= max;

/** What is wrong with a rule, a sentence each; empty when it may be used. */
export function problemsOfWindow(rule: WindowRule): string[] {
  const problems: string[] = [];
  if (!isTimeZone(rule.timeZone)) {
    problems.push(`"${rule.timeZone}" is not a time zone: give an IANA name like Europe/Berlin`);
  }
  if (rule.days.length === 0) problems.push('the window has no days, so it would never open');
  if (new Set(rule.days).size < rule.days.length) problems.push('a day is named twice');
  if (!isWithin(rule.startMinute, 0, DAY_MINUTES - 1)) {
    problems.push(`the start is a whole minute of the day, 0 to ${DAY_MINUTES - 1}`);
  }
  if (!isWithin(rule.durationMinutes, 1, DURATION_MINUTES_MAX)) {
    problems.push(`the duration is 1 to ${DURATION_MINUTES_MAX} whole minutes`);
  }
  return problems;
}

const byStart = (a: Span, b: Span): number => a.from - b.from;

/** Freezes in order, those that overlap or touch made one. Empty ones change nothing. */
function chained(freezes: readonly Freeze[]): Span[] {
  const chains: { from: Instant; to: Instant }[] = [];
  for (const { from, to } of [...freezes].sort(byStart)) {
    const last = chains.at(-1);
    if (last === undefined || from > last.to) chains.push({ from, to });
    else if (to > last.to) last.to = to;
  }
  return chains;
}

/**
 * Until when it stays frozen without a break, or null when nothing is frozen at `at`. The name is
 * that of the freeze that holds `at`; of several, the one that holds longest, then the first given.
 */
export function frozenUntil(
  freezes: readonly Freeze[],
  at: Instant,
): { readonly until: Instant; readonly name: string } | null {
  let holder: Freeze | null = null;
  for (const freeze of freezes) {
    if (freeze.from <= at && at < freeze.to && freeze.to > (holder?.to ?? at)) holder = freeze;
  }
  if (holder === null) return null;
  const chain = chained(freezes).find(({ from, to }) => from <= at && at < to);
  return { until: chain?.to ?? holder.to, name: holder.name };
}

/** How far `nextOpening` looks: more than a year, so that a freeze may cover every window of one. */
const HORIZON_MS = 400 * DAY_MS;

/**
 * The first moment from `at` on that lies in one of the windows (in any at all when there are no
 * rules) and in no freeze. Null when there is none within 400 days.
 */
export function nextOpening(
  rules: readonly WindowRule[],
  freezes: readonly Freeze[],
  at: Instant,
): Instant | null {
  const horizon = plus(at, HORIZON_MS);
  let from = at;
  for (const freeze of [...chained(freezes), null]) {
    if (freeze !== null && freeze.to <= from) continue;
    const opening = openingFrom(rules, from);
    if (opening === null || opening > horizon) return null;
    if (freeze === null || opening < freeze.from) return opening;
    from = instant(Math.max(opening, freeze.to));
  }
  return null;
}

function openingFrom(rules: readonly WindowRule[], at: Instant): Instant | null {
  if (rules.length === 0) return at;
  let best: Instant | null = null;
  for (const rule of rules) {
    const window = nextWindow(rule, at);
    if (window === null) continue;
    const from = instant(Math.max(window.from, at));
    if (best === null || from < best) best = from;
  }
  return best;
}
