import { MINUTE_MS, type Instant } from '../kernel/index.js';
import { frozenUntil, nextOpening, windowAt, type Span, type WindowRule } from './calendar.js';
import type { Circumstances } from './types.js';

/** The newest release on the channel that this schedule is not done with. */
export interface ReleaseNews {
  readonly sequence: number;
  readonly version: string;
  /** When it came to the channel. */
  readonly since: Instant;
  /** False for a fix of an older line: there is a higher version on the channel. */
  readonly isHighest: boolean;
}

/** A rollout of the same product that is not over, in the group, above it or below it. */
export interface OpenRollout {
  readonly id: string;
  /** Of this very group, whole, and no way back: the only one that may be superseded. */
  readonly isReplaceable: boolean;
}

/** All that a decision stands on. */
export interface ScheduleLook {
  readonly now: Instant;
  readonly isPaused: boolean;
  readonly window: WindowRule | null;
  readonly whenBusy: 'wait' | 'supersede';
  readonly release: ReleaseNews | null;
  /** Whether the group, whole, has had a rollout of this release, whoever asked for it and however it ended. */
  readonly wasRolledOut: boolean;
  /** What keeps its maker, or its plan, from starting anything; null when nothing does. */
  readonly refusal: 'maker_gone' | 'maker_lost_right' | 'plan_out_of_reach' | null;
  readonly circumstances: Pick<Circumstances, 'mode' | 'freezes'>;
  readonly open: readonly OpenRollout[];
}

export type ScheduleStep =
  | { readonly kind: 'paused' }
  | { readonly kind: 'idle' }
  /** The release is done with, without a rollout. */
  | { readonly kind: 'pass_over'; readonly reason: 'rolled_out_already' | 'not_the_highest' }
  | { readonly kind: 'refuse'; readonly reason: NonNullable<ScheduleLook['refusal']> }
  | {
      readonly kind: 'wait';
      readonly reason:
        | 'upgrades_disabled'
        | 'upgrades_suspended'
        | 'frozen'
        | 'outside_window'
        | 'window_never_opens'
        | 'rollout_open';
      /** When time alone may change it. */
      readonly until: Instant | null;
    }
  | { readonly kind: 'start'; readonly supersedes: readonly string[] };

/**
 * What a schedule does now. It starts only inside its window, outside freezes, by the rights that its maker has
 * now, and beside no other rollout; a release that the group has had is never started again.
 */
export function judgeSchedule(look: ScheduleLook): ScheduleStep {
  const { release, refusal, open } = look;
  if (look.isPaused) return { kind: 'paused' };
  if (release === null) return { kind: 'idle' };
  if (look.wasRolledOut) return { kind: 'pass_over', reason: 'rolled_out_already' };
  if (!release.isHighest) return { kind: 'pass_over', reason: 'not_the_highest' };
  // Told at once, while somebody can mend it before the window.
  if (refusal !== null) return { kind: 'refuse', reason: refusal };
  const held = heldBack(look);
  if (held !== null) return held;
  const isFree = look.whenBusy === 'supersede' && open.every(({ isReplaceable }) => isReplaceable);
  if (open.length > 0 && !isFree) return { kind: 'wait', reason: 'rollout_open', until: null };
  return { kind: 'start', supersedes: open.map(({ id }) => id) };
}

function heldBack({ now, window, circumstances }: ScheduleLook): ScheduleStep | null {
  const { mode, freezes } = circumstances;
  if (mode !== 'enabled') return { kind: 'wait', reason: `upgrades_${mode}`, until: null };
  const until = nextOpening(rulesIn(window), freezes, now);
  if (until === now) return null;
  const isOpen = window === null || windowAt(window, now) !== null;
  if (isOpen && frozenUntil(freezes, now) !== null)
    return { kind: 'wait', reason: 'frozen', until };
  return until === null
    ? { kind: 'wait', reason: 'window_never_opens', until }
    : { kind: 'wait', reason: 'outside_window', until };
}

const rulesIn = (window: WindowRule | null): readonly WindowRule[] =>
  window === null ? [] : [window];

/**
 * The window that came and went without a look: no manager was up, or the clock jumped over it. `dueAt` is
 * the opening that was waited for; null when none was. What is late and still inside is not missed.
 */
export function missedWindow(
  window: WindowRule | null,
  dueAt: Instant | null,
  now: Instant,
): Span | null {
  if (window === null || dueAt === null || dueAt > now) return null;
  const due = windowAt(window, dueAt);
  return due !== null && due.to <= now ? due : null;
}

/** Managers on one database do not agree to the second. */
const CLOCKS_DIFFER_MS = MINUTE_MS;

/** Whether the clock went back since somebody looked last, by more than clocks of managers differ. */
export const wentBack = (lookedAt: Instant, now: Instant): boolean =>
  now < lookedAt - CLOCKS_DIFFER_MS;
