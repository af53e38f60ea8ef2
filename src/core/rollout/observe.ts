import { plus, type Instant } from '../kernel/index.js';
import { Draft } from './draft.js';
import { settleIfDone, stopIfBad, tell } from './flow.js';
import {
  canWithdraw,
  isOpen,
  isOver,
  isStuck,
  isSwapping,
  rankOf,
  type Decision,
  type Report,
  type RolloutState,
  type Target,
  type TargetState,
} from './types.js';

interface Move {
  readonly to: TargetState;
  readonly reason: string;
  readonly errorCode: string | null;
}

type Progress = Extract<Report, { kind: 'progress' }>;

/** What a node says that was told on the spot to take nothing, or not this: by its policy or by hand. */
const NOT_HERE: ReadonlySet<string | null> = new Set(['upgrade_disabled', 'upgrade_pinned']);

/** With this a node says that it waits for a person. */
export const WAITS_FOR_HAND = 'helm_upgrade_required';
/** What waits for a person has no deadline: nothing is wrong with the node, and nobody hurries people. */
const waitsForHand = (state: TargetState, errorCode: string | null): boolean =>
  state === 'staged' && errorCode === WAITS_FOR_HAND;

/** Fell silent after its permit: it may have died of the release. */
const isLost = ({ reason }: Pick<Target, 'reason'>): boolean => reason === 'lost_after_permit';

/**
 * Where a node's own word leads, or null when it is an echo. A node that may not be upgraded says
 * nothing about the release: it is left out, and no evidence against it.
 */
function afterProgress(target: Target, report: Progress): Move | null {
  const isLeftOut = report.state === 'failed' && NOT_HERE.has(report.errorCode);
  const to = isLeftOut ? 'skipped' : report.state;
  if (report.commandId !== target.commandId || !leadsOn(target, to)) return null;
  // It speaks of what was before its permit, which it still has: it may be down at this moment.
  if (isLost(target) && isOpen(to) && rankOf(to) < rankOf('swapping')) {
    return { to: 'swapping', reason: report.reason, errorCode: report.errorCode };
  }
  return { to, reason: isLeftOut ? 'held_on_node' : report.reason, errorCode: report.errorCode };
}

function leadsOn(target: Target, to: TargetState): boolean {
  const { state: from } = target;
  if (from === to) return false;
  if (isOpen(from)) return !isOpen(to) || rankOf(to) > rankOf(from);
  switch (from) {
    // A silent node that speaks again goes on where it is.
    case 'silent':
      return true;
    // A node that had succeeded and fell back later is drift, and bad evidence.
    case 'succeeded':
      return to === 'rolled_back';
    // The way back had failed, and was done in the end.
    case 'failed':
      return isStuck(target) && to === 'rolled_back';
    // Called back too late: the node had swapped already, and what it then reports is the truth.
    case 'cancelled':
    case 'skipped':
      return !canWithdraw(to) && to !== 'cancelled';
    default:
      return false;
  }
}

function afterDeadline(target: Target): Move | null {
  if (!isOpen(target.state)) return null;
  const reason = isSwapping(target.state) ? 'lost_after_permit' : 'no_report_before_deadline';
  return { to: 'silent', reason, errorCode: null };
}

/** A node may come to the version without us, and may leave it without us. */
function afterVersion(target: Target, atTarget: boolean): Move | null {
  const { state } = target;
  if (!atTarget) {
    // Whoever was stuck and is idle now got back, by whatever hand.
    if (isStuck(target))
      return { to: 'rolled_back', reason: 'back_by_hand', errorCode: target.errorCode };
    return state === 'succeeded' ? { to: 'rolled_back', reason: 'drifted', errorCode: null } : null;
  }
  // During the swap the new version already answers; it has proved nothing yet.
  if (state === 'succeeded' || isSwapping(state)) return null;
  return { to: 'succeeded', reason: 'arrived_by_hand', errorCode: null };
}

function moveFor(target: Target, report: Report): Move | null {
  switch (report.kind) {
    case 'progress':
      return afterProgress(target, report);
    case 'deadline':
      return afterDeadline(target);
    case 'version':
      return afterVersion(target, report.atTarget);
    case 'presence':
      return null;
  }
}

/**
 * Takes one report about one target. Costs the same for ten nodes and for a hundred thousand:
 * it reads counters, never other targets. Taking the same report twice equals taking it once. It
 * may stop a rollout and start a settle time; what needs more (the next wave) is left to `advance`,
 * which `nextWake` then asks for at once.
 */
export function observe(
  rollout: RolloutState,
  target: Target,
  report: Report,
  now: Instant,
): { readonly decision: Decision; readonly target: Target } {
  const draft = new Draft(rollout);
  const moved =
    report.kind === 'presence'
      ? withPresence(draft, target, report.online, now)
      : withMove(draft, target, report, now);
  if (draft.events.length > 0) {
    stopIfBad(draft, target.wave, now);
    settleIfDone(draft, target.wave, now);
    tell(draft, now);
  }
  return { decision: draft.done(), target: moved };
}

function withPresence(draft: Draft, target: Target, online: boolean, now: Instant): Target {
  const isNews = target.state === 'succeeded' && target.offline === online;
  if (!isNews || isOver(draft.rollout.status)) return target;
  const { nodeId, wave } = target;
  draft.add({ type: 'target_presence', at: now, wave, nodeId, offline: online ? -1 : 1 });
  return { ...target, offline: !online };
}

const change = (before: boolean, after: boolean): -1 | 0 | 1 => {
  if (before === after) return 0;
  return after ? 1 : -1;
};

function withMove(
  draft: Draft,
  target: Target,
  report: Exclude<Report, { kind: 'presence' }>,
  now: Instant,
): Target {
  const deadline = plus(now, draft.rollout.plan.nodeDeadlineMs);
  const move = moveFor(target, report);
  if (move === null) {
    // An echo still is a sign of life.
    const isHeard = report.kind === 'progress' && report.commandId === target.commandId;
    if (!isHeard || !isOpen(target.state)) return target;
    const { state, errorCode } = target;
    return { ...target, deadlineAt: waitsForHand(state, errorCode) ? null : deadline };
  }
  const { nodeId, wave, state: from } = target;
  const after = { state: move.to, reason: move.reason };
  draft.add({
    type: 'target_moved',
    at: now,
    wave,
    nodeId,
    from,
    ...move,
    lost: change(isLost(target), isLost(after)),
    stuck: change(isStuck(target), isStuck(after)),
    offline: target.offline ? -1 : 0,
  });
  return {
    ...target,
    state: move.to,
    reason: move.reason,
    errorCode: move.errorCode,
    offline: false,
    deadlineAt: isOpen(move.to) && !waitsForHand(move.to, move.errorCode) ? deadline : null,
  };
}
