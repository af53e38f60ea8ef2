import type { Instant } from '../kernel/index.js';

/** `immediate` never pauses by itself; `staged` pauses at the first bad sign (DESIGN 6). */
export type Strategy = 'staged' | 'immediate';

export type RolloutStatus =
  'pending' | 'in_progress' | 'paused' | 'complete' | 'rolled_back' | 'cancelled';

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
/** Before the swap nothing on the node has changed yet, so a target can still be called back. */
export const canWithdraw = (state: TargetState): boolean =>
  state === 'pending' || (isOpen(state) && rankOf(state) < rankOf('swapping'));
/** A target that a resume tries again. */
export const canRetry = (state: TargetState): boolean =>
  state === 'failed' || state === 'rolled_back' || state === 'silent';

export type Verdict = 'good' | 'bad' | 'unknown';
export type WaveStatus = 'pending' | 'open' | 'settling' | 'passed';
export type Counts = Readonly<Record<TargetState, number>>;

export interface WaveState {
  readonly index: number;
  readonly status: WaveStatus;
  readonly size: number;
  /** How many targets are in each state; always adds up to `size`. */
  readonly counts: Counts;
  /** Of the silent ones, those that fell silent after their permit: they count as bad. */
  readonly lost: number;
  readonly openedAt: Instant | null;
  readonly settlesAt: Instant | null;
}

/** What was decided at creation and never changes. */
export interface Plan {
  readonly strategy: Strategy;
  readonly settleMs: number;
  /** An open target that reports nothing for this long is `silent`. */
  readonly nodeDeadlineMs: number;
}

export interface RolloutState {
  readonly id: string;
  readonly plan: Plan;
  readonly status: RolloutStatus;
  /** Stable snake_case code: why the status is as it is. */
  readonly reason: string;
  readonly waves: readonly WaveState[];
  /** Index of the wave that is open or settling; the last one once all have passed. */
  readonly wave: number;
  readonly updatedAt: Instant;
}

export interface Target {
  readonly nodeId: string;
  readonly wave: number;
  readonly state: TargetState;
  readonly reason: string;
  readonly errorCode: string | null;
  /** The command offered last; reports about any other command are echoes. */
  readonly commandId: string | null;
  /** When the target becomes silent unless it reports; null when it is not open. */
  readonly deadlineAt: Instant | null;
}

/**
 * What happened, in the order it happened. Folding them with `evolve` gives the rollout, so they are its
 * journal. Events about many targets at once carry no list: they follow from the counters.
 */
export type RolloutEvent =
  | { readonly type: 'rollout_started'; readonly at: Instant }
  | { readonly type: 'wave_opened'; readonly at: Instant; readonly wave: number }
  | {
      readonly type: 'target_moved';
      readonly at: Instant;
      readonly nodeId: string;
      readonly wave: number;
      readonly from: TargetState;
      readonly to: TargetState;
      readonly reason: string;
      readonly errorCode: string | null;
      readonly lost: number;
    }
  | {
      readonly type: 'wave_settling';
      readonly at: Instant;
      readonly wave: number;
      readonly settlesAt: Instant;
    }
  | { readonly type: 'wave_passed'; readonly at: Instant; readonly wave: number }
  | {
      readonly type: 'rollout_paused';
      readonly at: Instant;
      readonly wave: number;
      readonly reason: string;
      readonly failures: number;
    }
  | { readonly type: 'rollout_resumed'; readonly at: Instant; readonly wave: number }
  | {
      readonly type: 'targets_retried';
      readonly at: Instant;
      readonly wave: number;
      readonly count: number;
    }
  | {
      readonly type: 'rollout_completed';
      readonly at: Instant;
      readonly reason: string;
      readonly completed: number;
      readonly failures: number;
    }
  | { readonly type: 'rollout_cancelled'; readonly at: Instant; readonly reason: string };

/** Work for the shell, done in the same transaction as the events that caused it. */
export type Effect =
  /** Give every pending target of the wave a command. */
  | { readonly kind: 'offer'; readonly wave: number }
  /** Give every retried target of the wave a new command. */
  | { readonly kind: 'retry'; readonly wave: number }
  /** Start the deadline of every open target anew. */
  | { readonly kind: 'extend_deadlines' }
  /** Withdraw every target that has not begun to swap. */
  | { readonly kind: 'withdraw' };

export interface Decision {
  readonly rollout: RolloutState;
  readonly events: readonly RolloutEvent[];
  readonly effects: readonly Effect[];
}

/** What a node said about its target, or (`deadline`) that it said nothing. */
export type Report =
  | {
      readonly kind: 'progress';
      readonly commandId: string;
      readonly state: TargetState;
      readonly reason: string;
      readonly errorCode: string | null;
    }
  | { readonly kind: 'deadline' };
