import { RECONNECT_MAX_MS } from '../../protocol/node/index.js';

/**
 * What decides in a storm, as pure functions: how many arrivals are worked on at once, who of those that wait
 * comes next, when the others are to come back, and what a manager under load leaves for later. Times are
 * milliseconds of one monotonic clock that the caller brings.
 */

/** Arrivals that may be under way, and what they took lately. */
export interface Pace {
  /** Not whole: it grows by fractions. */
  readonly limit: number;
  /** From the knock being let in to its welcome, the node's own share included; smoothed. */
  readonly heldMs: number;
  /** When it was lowered last. */
  readonly loweredAtMs: number;
}

/**
 * As many as share a batch on PostgreSQL (`Database.batched`), however slow it is: its statements cost hardly less for fewer, so
 * below nothing would become faster. With 64, eight thousand nodes that came back in the middle of a wave had to wait for each other
 * for over a minute, while each waited a second for the rollout. On SQLite it is a quarter of a second of work.
 */
const LIMIT_MIN = 256;
/** Each holds a socket and a hello of at most 64 KiB: 64 MiB. */
const LIMIT_MAX = 1_024;
/**
 * Work on one arrival may take this long. A permit waits in the same line of the database: half a second is a
 * twentieth of its lease (10 s), so arrivals never make one come too late.
 */
export const ARRIVAL_MS_WANTED = 500;
/** One slow commit makes all arrivals of its group slow; they count once. */
const LOWER_EVERY_MS = ARRIVAL_MS_WANTED;
/** The usual step of a limiter that is fair to others (AIMD, as in TCP), gentler: the next try is only a slot away. */
const LOWER_BY = 0.8;
/** Weight of the newest arrival in the smoothed time. */
const NEWEST = 0.1;
/** Before the first arrival was measured. */
const HELD_MS_START = 100;

export const PACE_START: Pace = { limit: LIMIT_MIN, heldMs: HELD_MS_START, loweredAtMs: 0 };

export const lowered = (pace: Pace, nowMs: number): Pace =>
  nowMs - pace.loweredAtMs < LOWER_EVERY_MS
    ? pace
    : { ...pace, limit: Math.max(LIMIT_MIN, pace.limit * LOWER_BY), loweredAtMs: nowMs };

/** After an arrival: how long the manager worked on it, and how long it was under way in all. */
export function paceAfter(
  pace: Pace,
  arrival: { readonly workedMs: number; readonly heldMs: number; readonly wasFull: boolean },
  nowMs: number,
): Pace {
  const { workedMs, wasFull } = arrival;
  const heldMs = pace.heldMs + NEWEST * (arrival.heldMs - pace.heldMs);
  if (workedMs > ARRIVAL_MS_WANTED) return lowered({ ...pace, heldMs }, nowMs);
  // A limit that nobody reached was not tried.
  if (!wasFull) return { ...pace, heldMs };
  // Far below what is wanted it doubles in a round, near to it it feels its way: one more a round.
  const step = workedMs < ARRIVAL_MS_WANTED / 2 ? 1 : 1 / pace.limit;
  return { ...pace, heldMs, limit: Math.min(LIMIT_MAX, pace.limit + step) };
}

/** How many arrivals end in a second at this pace (Little's law). */
export const perSecond = ({ limit, heldMs }: Pace): number =>
  (Math.floor(limit) * 1_000) / Math.max(1, heldMs);

/** Whoever would wait longer gets a slot in place of it: well below the 10 s that an agent gives a handshake. */
export const WAIT_MS_MAX = 2_000;
const LINE_MIN = 16;
/** Waiting sockets cost memory, and no more than this many come in within the wait. */
const LINE_MAX = 2_048;

/** How many may wait in the line: those that come in within `WAIT_MS_MAX` at this pace. */
export const lineMax = (pace: Pace): number =>
  Math.min(LINE_MAX, Math.max(LINE_MIN, Math.ceil((perSecond(pace) * WAIT_MS_MAX) / 1_000)));

/** Why a node should not wait: it is in the middle of a swap, or a command waits for it. */
export type Urgency = 'probation' | 'commanded' | null;

/**
 * How much earlier than it did an urgent node counts as having come. Bounded, so that nobody starves: an ordinary
 * node that has waited for that long goes before one that is urgent and comes now. A probation ends after 120 s
 * (`boot_health_window_secs`), a command is answered within 10 s and looked after by a sweep.
 */
export const AHEAD_MS: Readonly<Record<NonNullable<Urgency>, number>> = {
  probation: 60_000,
  commanded: 20_000,
};

/** The place in the line: lower comes first. */
export const rankOf = (firstSeenMs: number, urgency: Urgency): number =>
  firstSeenMs - (urgency === null ? 0 : AHEAD_MS[urgency]);

/** A slot is told in whole seconds (`Retry-After`); sooner than one there is nothing to gain. */
export const SLOT_MS_MIN = 1_000;
/** As far as nodes spread by themselves; whoever finds no room there comes once more, and has not lost its turn. */
export const SLOT_MS_MAX = RECONNECT_MAX_MS;

/**
 * The next slot and where the one after it begins. Slots follow each other at the pace; behind the last one they begin
 * anew in the second half, so that they stay spread however many there are.
 */
export function nextSlot(
  nextAtMs: number,
  nowMs: number,
  pace: Pace,
): { readonly atMs: number; readonly nextAtMs: number } {
  const due = Math.max(nowMs + SLOT_MS_MIN, nextAtMs);
  const atMs = due > nowMs + SLOT_MS_MAX ? nowMs + SLOT_MS_MAX / 2 : due;
  return { atMs, nextAtMs: atMs + 1_000 / perSecond(pace) };
}

/** How a manager is: what it leaves for later depends on it. */
export type LoadStep = 'calm' | 'busy' | 'strained';
export const LOAD_STEPS: readonly LoadStep[] = ['calm', 'busy', 'strained'];

export interface LoadSigns {
  /** The longest time that the event loop did not come round since the last look. */
  readonly loopDelayMs: number;
  /** How long the transaction has waited that waits longest. */
  readonly databaseDelayMs: number;
}

export interface Load {
  readonly step: LoadStep;
  /** Looks in a row that spoke for a higher step. */
  readonly risingLooks: number;
  /** Since when nothing speaks for the step that it has; null while something does. */
  readonly calmSinceMs: number | null;
}

export const NO_LOAD: Load = { step: 'calm', risingLooks: 0, calmSinceMs: null };

/** How often it is looked. */
export const LOOK_MS = 250;
/** One long turn of the loop (a garbage collection, a plan of fifty thousand targets) is no load; four in a row are. */
const RISING_LOOKS = 4;
/** Down a step only after this long, so that what was left for later does not bring the load back at once. */
export const CALM_MS = 10_000;

/** Of the event loop: 100 ms is what a person notices; at half a second permits, beats and pings come late. */
const LOOP_MS: Readonly<Record<'busy' | 'strained', number>> = { busy: 100, strained: 500 };
/** Of the database: what arrivals may take of it at most; a fifth of a permit's lease. */
const DATABASE_MS: Readonly<Record<'busy' | 'strained', number>> = {
  busy: ARRIVAL_MS_WANTED,
  strained: 2_000,
};

function stepOf({ loopDelayMs, databaseDelayMs }: LoadSigns): LoadStep {
  for (const step of ['strained', 'busy'] as const) {
    if (loopDelayMs >= LOOP_MS[step] || databaseDelayMs >= DATABASE_MS[step]) return step;
  }
  return 'calm';
}

const rank = (step: LoadStep): number => LOAD_STEPS.indexOf(step);

/** One look later. Up a step when four looks in a row say so, down one when none did for ten seconds. */
export function loadAfter(load: Load, signs: LoadSigns, nowMs: number): Load {
  const told = rank(stepOf(signs));
  const now = rank(load.step);
  if (told > now) {
    const risingLooks = load.risingLooks + 1;
    if (risingLooks < RISING_LOOKS) return { ...load, risingLooks, calmSinceMs: null };
    return { step: LOAD_STEPS[now + 1] ?? load.step, risingLooks: 0, calmSinceMs: null };
  }
  if (told === now) return now === 0 ? NO_LOAD : { ...load, risingLooks: 0, calmSinceMs: null };
  const calmSinceMs = load.calmSinceMs ?? nowMs;
  if (nowMs - calmSinceMs < CALM_MS) return { ...load, risingLooks: 0, calmSinceMs };
  return { step: LOAD_STEPS[now - 1] ?? 'calm', risingLooks: 0, calmSinceMs: nowMs };
}

/** What is left for later. Nothing of it is part of a rollout: commands, permits, events and verdicts go on. */
export interface Degraded {
  /** Exports are refused, and come again. */
  readonly refusesExports: boolean;
  /** Health reports that wait are written together, this often. */
  readonly reportsEveryMs: number;
  /** Nodes that are welcomed now beat this many times more slowly, until they come again. */
  readonly heartbeatTimes: number;
}

/** What a list shows of health first; exports and heartbeats only where permits come late: a SIEM waits, and whoever is gone is noticed later. */
export const DEGRADED: Readonly<Record<LoadStep, Degraded>> = {
  calm: { refusesExports: false, reportsEveryMs: 1_000, heartbeatTimes: 1 },
  busy: { refusesExports: false, reportsEveryMs: 5_000, heartbeatTimes: 1 },
  strained: { refusesExports: true, reportsEveryMs: 15_000, heartbeatTimes: 2 },
};
