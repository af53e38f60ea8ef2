import {
  invariant,
  ok,
  plus,
  refuse,
  type Instant,
  type Refusal,
  type Result,
} from '../kernel/index.js';
import { evolve } from './evolve.js';
import { failuresIn, openIn, stopReason } from './gate.js';
import {
  canRetry,
  canWithdraw,
  isOpen,
  rankOf,
  TARGET_STATES,
  type Decision,
  type Effect,
  type Report,
  type RolloutEvent,
  type RolloutState,
  type RolloutStatus,
  type Target,
  type WaveState,
} from './types.js';

export type Verb = 'start' | 'pause' | 'resume' | 'cancel';

const FITS: Readonly<Record<Verb, readonly RolloutStatus[]>> = {
  start: ['pending'],
  pause: ['in_progress'],
  resume: ['paused'],
  cancel: ['pending', 'in_progress', 'paused'],
};

/** The verbs that a rollout in this status takes, for the answer to one that does not fit. */
export const allowedVerbs = (status: RolloutStatus): readonly Verb[] =>
  (Object.keys(FITS) as Verb[]).filter((verb) => verb !== 'start' && FITS[verb].includes(status));

/** Collects events and applies each at once, so that later rules see what earlier ones did. */
class Draft {
  readonly events: RolloutEvent[] = [];
  readonly effects: Effect[] = [];
  constructor(public rollout: RolloutState) {}
  add(event: RolloutEvent): void {
    this.events.push(event);
    this.rollout = evolve(this.rollout, event);
  }
  get wave(): WaveState {
    const wave = this.rollout.waves[this.rollout.wave];
    invariant(wave !== undefined, `rollout ${this.rollout.id} has no wave ${this.rollout.wave}`);
    return wave;
  }
  done(): Decision {
    return { rollout: this.rollout, events: this.events, effects: this.effects };
  }
}

/** Of a whole rollout, by counters. */
const sumOver = (rollout: RolloutState, of: (wave: WaveState) => number): number =>
  rollout.waves.reduce((sum, wave) => sum + of(wave), 0);

function openWave(draft: Draft, wave: number, now: Instant): void {
  draft.add({ type: 'wave_opened', at: now, wave });
  draft.effects.push({ kind: 'offer', wave });
}

function passWave(draft: Draft, now: Instant): void {
  const { index } = draft.wave;
  draft.add({ type: 'wave_passed', at: now, wave: index });
  if (index + 1 < draft.rollout.waves.length) {
    openWave(draft, index + 1, now);
    return;
  }
  const failures = sumOver(draft.rollout, failuresIn);
  const missing = sumOver(draft.rollout, (wave) => wave.counts.silent - wave.lost);
  draft.add({
    type: 'rollout_completed',
    at: now,
    reason:
      failures > 0 ? 'complete_with_failures' : missing > 0 ? 'complete_with_silent' : 'complete',
    completed: sumOver(draft.rollout, (wave) => wave.counts.succeeded),
    failures,
  });
}

/**
 * Goes as far as evidence and time allow: stops on a bad wave, starts the settle time of a
 * finished one, opens the next. Idempotent: called again with the same rollout and time it adds
 * nothing. Only a rollout in progress moves.
 */
function goOn(draft: Draft, now: Instant): void {
  while (draft.rollout.status === 'in_progress') {
    const wave = draft.wave;
    const stop = stopReason(draft.rollout.plan.strategy, wave);
    if (stop !== null) {
      draft.add({
        type: 'rollout_paused',
        at: now,
        wave: wave.index,
        reason: stop,
        failures: failuresIn(wave),
      });
      return;
    }
    if (openIn(wave) > 0) return;
    if (wave.status === 'open') {
      const settlesAt = plus(now, draft.rollout.plan.settleMs);
      draft.add({ type: 'wave_settling', at: now, wave: wave.index, settlesAt });
    } else if (wave.status === 'settling' && wave.settlesAt !== null && wave.settlesAt <= now) {
      passWave(draft, now);
    } else {
      return;
    }
  }
}

/**
 * Carries out an operator's verb, or refuses it when it does not fit the status. A resume tries
 * failed, rolled back and silent targets of the open wave again: resuming says "I mended it".
 */
export function decide(
  rollout: RolloutState,
  verb: Verb,
  now: Instant,
): Result<Decision, Refusal<'rollout_wrong_state'>> {
  if (!FITS[verb].includes(rollout.status)) {
    return refuse('rollout_wrong_state', `a rollout that is ${rollout.status} cannot ${verb}`);
  }
  const draft = new Draft(rollout);
  switch (verb) {
    case 'start':
      draft.add({ type: 'rollout_started', at: now });
      openWave(draft, 0, now);
      break;
    case 'pause':
      draft.add({
        type: 'rollout_paused',
        at: now,
        wave: rollout.wave,
        reason: 'paused_by_operator',
        failures: failuresIn(draft.wave),
      });
      break;
    case 'resume':
      draft.add({ type: 'rollout_resumed', at: now, wave: rollout.wave });
      draft.effects.push({ kind: 'extend_deadlines' });
      retryWave(draft, now);
      goOn(draft, now);
      break;
    case 'cancel':
      draft.add({ type: 'rollout_cancelled', at: now, reason: 'cancelled_by_operator' });
      draft.effects.push({ kind: 'withdraw' });
      break;
  }
  return ok(draft.done());
}

function retryWave(draft: Draft, now: Instant): void {
  const { counts, index } = draft.wave;
  const count = TARGET_STATES.reduce((sum, s) => (canRetry(s) ? sum + counts[s] : sum), 0);
  if (count === 0) return;
  draft.add({ type: 'targets_retried', at: now, wave: index, count });
  draft.effects.push({ kind: 'retry', wave: index });
}

/** Where a report leads a target, or null when it is an echo. */
function nextState(target: Target, report: Report): { to: Target['state']; lost: number } | null {
  const { state } = target;
  const swapped = rankOf(state) >= rankOf('swapping');
  if (report.kind === 'deadline') {
    return isOpen(state) ? { to: 'silent', lost: swapped ? 1 : 0 } : null;
  }
  if (report.commandId !== target.commandId || !leadsOn(state, report.state)) return null;
  // A silent node that speaks again goes on where it is; if it was counted as lost, no longer.
  const wasLost = state === 'silent' && target.reason === 'lost_after_permit';
  return { to: report.state, lost: wasLost ? -1 : 0 };
}

function leadsOn(from: Target['state'], to: Target['state']): boolean {
  if (from === to) return false;
  if (isOpen(from)) return !isOpen(to) || rankOf(to) > rankOf(from);
  switch (from) {
    case 'silent':
      return true;
    // A node that had succeeded and fell back later is drift, and bad evidence.
    case 'succeeded':
      return to === 'rolled_back';
    // Withdrawn too late: the node had swapped already, and what it then reports is the truth.
    case 'cancelled':
      return !canWithdraw(to);
    default:
      return false;
  }
}

/** A target of a wave that had passed turns out bad: its evidence no longer holds, so stop. */
function stopOnLateFailure(draft: Draft, wave: number, to: Target['state'], now: Instant): void {
  const { rollout } = draft;
  const isBad = to === 'failed' || to === 'rolled_back';
  if (!isBad || rollout.status !== 'in_progress' || rollout.plan.strategy === 'immediate') return;
  if (wave === rollout.wave) return;
  const failures = rollout.waves[wave] === undefined ? 0 : failuresIn(rollout.waves[wave]);
  draft.add({ type: 'rollout_paused', at: now, wave, reason: 'earlier_wave_failed', failures });
}

/**
 * Takes one report about one target. Costs the same for ten nodes and for a hundred thousand:
 * it reads counters, never other targets. Taking the same report twice equals taking it once.
 */
export function observe(
  rollout: RolloutState,
  target: Target,
  report: Report,
  now: Instant,
): { readonly decision: Decision; readonly target: Target } {
  const draft = new Draft(rollout);
  const next = nextState(target, report);
  const heard = report.kind === 'progress' && report.commandId === target.commandId;
  const deadline = plus(now, rollout.plan.nodeDeadlineMs);
  if (next === null) {
    // An echo still is a sign of life.
    const moved = heard && isOpen(target.state) ? { ...target, deadlineAt: deadline } : target;
    return { decision: draft.done(), target: moved };
  }
  const silentReason = next.lost > 0 ? 'lost_after_permit' : 'no_report_before_deadline';
  const reason = report.kind === 'progress' ? report.reason : silentReason;
  const errorCode = report.kind === 'progress' ? report.errorCode : null;
  draft.add({
    type: 'target_moved',
    at: now,
    nodeId: target.nodeId,
    wave: target.wave,
    from: target.state,
    to: next.to,
    reason,
    errorCode,
    lost: next.lost,
  });
  stopOnLateFailure(draft, target.wave, next.to, now);
  goOn(draft, now);
  return {
    decision: draft.done(),
    target: {
      ...target,
      state: next.to,
      reason,
      errorCode,
      deadlineAt: isOpen(next.to) ? deadline : null,
    },
  };
}

/** Lets time pass: to be called at `nextWake` or later, as often as one likes. */
export function advance(rollout: RolloutState, now: Instant): Decision {
  const draft = new Draft(rollout);
  goOn(draft, now);
  return draft.done();
}

/**
 * When `advance` has something to do at the earliest. `firstDeadlineAt` is the earliest deadline of
 * any open target. Null: nothing to wait for but reports or people. While paused no deadline runs:
 * nodes that wait for a permit are not to blame; a resume starts their deadlines anew.
 */
export function nextWake(rollout: RolloutState, firstDeadlineAt: Instant | null): Instant | null {
  if (rollout.status !== 'in_progress') return null;
  const wave = rollout.waves[rollout.wave];
  const settlesAt = wave?.status === 'settling' ? wave.settlesAt : null;
  if (settlesAt === null) return firstDeadlineAt;
  if (firstDeadlineAt === null) return settlesAt;
  return settlesAt < firstDeadlineAt ? settlesAt : firstDeadlineAt;
}

export type PermitDenial =
  'rollout_not_running' | 'wave_not_open' | 'command_not_current' | 'target_not_waiting';

/**
 * Whether a node may swap now. Granting moves the target to `swapping`, in the same pass in which
 * it is answered; asking again while swapping gets a fresh lease (the first may have been lost).
 * Nodes that come late may still swap after their wave has passed, and after completion.
 */
export function permit(
  rollout: RolloutState,
  target: Target,
  commandId: string,
): Result<'granted', Refusal<PermitDenial>> {
  if (rollout.status !== 'in_progress' && rollout.status !== 'complete') {
    return refuse('rollout_not_running', `the rollout is ${rollout.status}: ${rollout.reason}`);
  }
  if (target.commandId !== commandId) {
    return refuse('command_not_current', 'another command took the place of this one');
  }
  const wave = rollout.waves[target.wave];
  if (wave === undefined || wave.status === 'pending') {
    return refuse('wave_not_open', `wave ${target.wave + 1} is not open`);
  }
  const waits = target.state === 'silent' || (isOpen(target.state) && target.state !== 'probation');
  if (!waits) return refuse('target_not_waiting', `the target is ${target.state}`);
  return ok('granted');
}
