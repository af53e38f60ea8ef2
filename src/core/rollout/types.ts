import type { Instant } from '../kernel/index.js';
import type { Freeze, WindowRule } from './calendar.js';
import type { Limit, Selector } from './cut.js';

/** Presets only write waves and gates; the machine knows none of them (see presets.ts). */
export type Strategy = 'staged' | 'rolling' | 'canary' | 'immediate' | 'scheduled' | 'custom';

export const ROLLOUT_STATUSES = [
  'pending',
  'in_progress',
  'paused',
  'complete',
  'rolled_back',
  'cancelled',
] as const;
export type RolloutStatus = (typeof ROLLOUT_STATUSES)[number];

export const isOver = (status: RolloutStatus): boolean =>
  status === 'complete' || status === 'rolled_back' || status === 'cancelled';

export const TARGET_STATES = [
  'pending',
  'offered',
  'accepted',
  'downloading',
  'staged',
  'swapping',
  'probation',
  'succeeded',
  'failed',
  'rolled_back',
  'silent',
  'skipped',
  'cancelled',
] as const;
export type TargetState = (typeof TARGET_STATES)[number];
/** One letter a state: the text of 50 000 cells is 50 kB before it is compressed. */
export const CELL_LETTERS = {
  p: 'pending',
  o: 'offered',
  a: 'accepted',
  d: 'downloading',
  g: 'staged',
  w: 'swapping',
  b: 'probation',
  s: 'succeeded',
  f: 'failed',
  r: 'rolled_back',
  i: 'silent',
  k: 'skipped',
  c: 'cancelled',
} as const satisfies Readonly<Record<string, TargetState>>;

/** States between offer and end, in the order a node walks through them. */
const OPEN_STATES = [
  'offered',
  'accepted',
  'downloading',
  'staged',
  'swapping',
  'probation',
] as const satisfies readonly TargetState[];

/** Position on the way; a report that would lead backwards is an echo and changes nothing. */
export const rankOf = (state: TargetState): number => OPEN_STATES.indexOf(state as 'offered');
export const isOpen = (state: TargetState): boolean => rankOf(state) >= 0;
/** Between permit and verdict: the node is, or may be, down. */
export const isSwapping = (state: TargetState): boolean =>
  state === 'swapping' || state === 'probation';
/** Before the swap nothing on the node has changed yet, so a target can still be called back. */
export const canWithdraw = (state: TargetState): boolean =>
  state === 'pending' || (isOpen(state) && !isSwapping(state));
/** A target that a retry tries again. */
export const canRetry = (state: TargetState): boolean =>
  state === 'failed' || state === 'rolled_back' || state === 'silent';

/**
 * The way back failed too: the node is down, and at it until it is done. It has failed for good, and
 * counts as down, but takes no new command before it has said that it is back.
 */
export const isStuck = ({ state, reason }: Pick<Target, 'state' | 'reason'>): boolean =>
  state === 'failed' && reason === 'upgrade_rollback_failed';

export type Verdict = 'good' | 'bad' | 'unknown';
export type WaveStatus = 'pending' | 'open' | 'settling' | 'passed' | 'skipped';
export type Counts = Readonly<Record<TargetState, number>>;

/**
 * One condition, as data. `opens` gates guard the first offer of a wave, `passes` gates the way
 * from its last report to the next wave. Each kind is one small function in gates.ts.
 */
export type Gate =
  /** That long after the wave was done, during which nothing may fall over. */
  | { readonly kind: 'settle'; readonly ms: number }
  /** At most so many failed; so many that were upgraded and then went away; so many silent. */
  | {
      readonly kind: 'verdict';
      readonly failures: Limit | null;
      readonly offline: Limit | null;
      readonly silent: Limit | null;
    }
  /** That many people approved, each once. There is no time-out. */
  | { readonly kind: 'approval'; readonly needed: number }
  /** Inside a maintenance window; `notTheFirst`: not in one that was open at creation. */
  | {
      readonly kind: 'window';
      readonly rules: readonly WindowRule[];
      readonly notTheFirst: boolean;
    }
  /** That long after the wave before was opened. */
  | { readonly kind: 'wait'; readonly ms: number }
  /** Not before a moment. */
  | { readonly kind: 'not_before'; readonly at: Instant };

/** A wave as it was planned; never changes. */
export interface WavePlan {
  readonly name: string;
  /** Waves cut from one rule (its canaries, the rest, what a domain limit put off) share a ring. */
  readonly ring: string;
  readonly part: 'canary' | 'main' | 'overflow';
  readonly selector: Selector;
  readonly opens: readonly Gate[];
  readonly passes: readonly Gate[];
  /**
   * Done when so many percent have succeeded, though others are still on their way. Null: done when
   * every target has ended.
   */
  readonly doneAtPercent: number | null;
}

/** What was decided at creation and never changes. */
export interface Plan {
  readonly strategy: Strategy;
  /** `independent`: each wave waits for its own gates only, not for the waves before it. */
  readonly order: 'sequential' | 'independent';
  /** An open target that reports nothing for this long is `silent`. */
  readonly nodeDeadlineMs: number;
  /** How many nodes of the scope may be down at once, whatever the cause. */
  readonly maxUnavailable: Limit | null;
  /** Until then nodes that were away can catch up; then the rest is skipped. */
  readonly expiresAt: Instant | null;
  /** Swaps of one wave are spread over this time. */
  readonly spreadMs: number;
  readonly createdAt: Instant;
  readonly waves: readonly WavePlan[];
}

export interface WaveState {
  readonly index: number;
  readonly status: WaveStatus;
  /** Why it is as it is, and when that could change by time alone. */
  readonly reason: string;
  readonly until: Instant | null;
  readonly size: number;
  /** How many targets are in each state; always adds up to `size`. */
  readonly counts: Counts;
  /** Of the silent ones, those that fell silent after their permit: they count as bad. */
  readonly lost: number;
  /** Of the failed ones, those that `isStuck`: a retry leaves them alone. */
  readonly stuck: number;
  /** Of the succeeded ones, those that are away now. */
  readonly offline: number;
  readonly openedAt: Instant | null;
  /** When every target had ended (or enough had succeeded): the settle time starts. */
  readonly doneAt: Instant | null;
  readonly endedAt: Instant | null;
  /** Opened by an operator: windows and waits do not hold its permits back. */
  readonly byHand: boolean;
  /** Marked as done by an operator: its failures are known and stop nothing any more. */
  readonly forced: boolean;
  /** Ids of the people who approved it; of somebody who used a token, his own. */
  readonly approvedBy: readonly string[];
}

export interface RolloutState {
  readonly id: string;
  readonly plan: Plan;
  readonly status: RolloutStatus;
  /** Stable snake_case code: why the status is as it is. */
  readonly reason: string;
  readonly waves: readonly WaveState[];
  readonly startedAt: Instant | null;
  readonly updatedAt: Instant;
  /** The last time that somebody broke the glass; left out when nobody did. */
  readonly glass?: BrokenGlass;
}

/** Somebody takes it on himself that freezes, windows and missing approvals do not hold for a time. */
export interface BrokenGlass {
  /** Id and name of who it was. */
  readonly by: string;
  readonly byName: string;
  readonly reason: string;
  readonly at: Instant;
  readonly until: Instant;
}

export interface Target {
  readonly nodeId: string;
  readonly wave: number;
  readonly state: TargetState;
  readonly reason: string;
  readonly errorCode: string | null;
  /** Upgraded, and away now. */
  readonly offline: boolean;
  /** The command offered last; reports about any other command are echoes. */
  readonly commandId: string | null;
  /** When the target becomes silent unless it reports; null when it is not open. */
  readonly deadlineAt: Instant | null;
}

/** What holds for a rollout but is decided elsewhere: looked up whenever the machine runs. */
export interface Circumstances {
  /** The most restrictive switch of the fleet and of the groups above the rollout. */
  readonly mode: 'enabled' | 'suspended' | 'disabled';
  readonly freezes: readonly Freeze[];
  /** The release was taken back: for good, so nothing of it starts any more. */
  readonly yanked?: boolean;
}

interface At {
  readonly at: Instant;
}
interface OfWave extends At {
  readonly wave: number;
}

/**
 * What happened, in the order it happened. Folding them with `evolve` gives the rollout, so they are its
 * journal. Events about many targets at once carry no list: they follow from the counters.
 */
export type RolloutEvent =
  | (At & { readonly type: 'rollout_started' })
  | (At & { readonly type: 'rollout_waits'; readonly reason: string })
  | (At & {
      readonly type: 'rollout_paused';
      readonly wave: number | null;
      readonly reason: string;
      readonly failures: number;
    })
  | (At & { readonly type: 'rollout_resumed' })
  | (BrokenGlass & { readonly type: 'rollout_glass_broken' })
  | (At & {
      readonly type: 'rollout_completed';
      readonly reason: string;
      readonly completed: number;
      readonly failures: number;
    })
  | (At & { readonly type: 'rollout_cancelled'; readonly reason: string })
  | (At & { readonly type: 'rollout_rolled_back'; readonly reason: string })
  | (OfWave & {
      readonly type: 'wave_waits';
      readonly reason: string;
      readonly until: Instant | null;
    })
  | (OfWave & { readonly type: 'wave_approved'; readonly by: string })
  | (OfWave & { readonly type: 'wave_opened'; readonly reason: string; readonly byHand: boolean })
  | (OfWave & { readonly type: 'wave_settling'; readonly until: Instant })
  | (OfWave & { readonly type: 'wave_passed'; readonly reason: string; readonly forced: boolean })
  | (OfWave & { readonly type: 'wave_reopened'; readonly reason: string })
  | (OfWave & { readonly type: 'wave_skipped'; readonly count: number })
  | (OfWave & { readonly type: 'targets_offered'; readonly count: number })
  | (OfWave & { readonly type: 'targets_retried'; readonly count: number })
  | (OfWave & { readonly type: 'targets_expired'; readonly count: number })
  | (OfWave & { readonly type: 'target_joined'; readonly nodeId: string })
  | (OfWave & {
      readonly type: 'target_moved';
      readonly nodeId: string;
      readonly from: TargetState;
      readonly to: TargetState;
      readonly reason: string;
      readonly errorCode: string | null;
      readonly lost: -1 | 0 | 1;
      readonly stuck: -1 | 0 | 1;
      readonly offline: -1 | 0;
    })
  | (OfWave & {
      readonly type: 'target_presence';
      readonly nodeId: string;
      readonly offline: -1 | 1;
    });

/** Work for the shell, done in the same transaction as the events that caused it. */
export type Effect =
  /** Give so many pending targets of the wave a command, in order of node id. */
  | { readonly kind: 'offer'; readonly wave: number; readonly count: number }
  /** Every target of the wave that `canRetry` and is not stuck is pending again; its command counts no more. */
  | { readonly kind: 'retry'; readonly wave: number }
  /** Start the deadline of every open target anew. */
  | { readonly kind: 'extend_deadlines' }
  /** Call back every target that `canWithdraw`: it becomes `cancelled`. */
  | { readonly kind: 'withdraw' }
  /** Every pending target of the wave becomes `skipped`. */
  | { readonly kind: 'skip'; readonly wave: number }
  /** Call back every target that `canWithdraw`, and every silent one that is not lost: `skipped`. */
  | { readonly kind: 'expire' };

export interface Decision {
  readonly rollout: RolloutState;
  readonly events: readonly RolloutEvent[];
  readonly effects: readonly Effect[];
}

/** What is heard about a target: from the node, from the clock, from its link. */
export type Report =
  | {
      readonly kind: 'progress';
      readonly commandId: string;
      readonly state: TargetState;
      readonly reason: string;
      readonly errorCode: string | null;
    }
  /** It said nothing before its deadline. */
  | { readonly kind: 'deadline' }
  /** It is away for longer than a reconnect takes, or is back. */
  | { readonly kind: 'presence'; readonly online: boolean }
  /** What it runs, by its own word; `atTarget` when that is the version of this rollout. */
  | { readonly kind: 'version'; readonly atTarget: boolean };
