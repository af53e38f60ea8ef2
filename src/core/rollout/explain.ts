import { durationInWords, toIso, type Instant } from '../kernel/index.js';
import { heldBack } from './flow.js';
import { asHeld, permit, type PermitFacts } from './permit.js';
import { canWithdraw, isOpen, isOver, type RolloutState, type Target } from './types.js';

/** One link of the chain: what holds the node back, and when time alone could change that. */
export interface Because {
  readonly code: string;
  readonly message: string;
  readonly until: Instant | null;
}

export interface NodeFacts extends PermitFacts {
  readonly isOnline: boolean;
  readonly lastSeenAt: Instant | null;
}

/**
 * Why a node does not run the release (yet): from the rollout down to the node, outermost first. Empty
 * when nothing holds it back: then it is at work. It decides nothing; it asks the same rules that do.
 */
export function whyNot(rollout: RolloutState, target: Target, facts: NodeFacts): Because[] {
  if (target.state === 'succeeded') return [];
  const stopped = ofRollout(rollout);
  if (!canWithdraw(target.state) && !isOpen(target.state)) return [...stopped, ofEnd(target)];
  if (isOver(rollout.status)) return stopped;
  const held = heldBack(asHeld(rollout, facts));
  return [
    ...stopped,
    ...(held === null ? [] : [{ code: held.reason, message: NOTHING_NEW, until: held.until }]),
    ...ofWave(rollout, target).filter((one) => one.code !== held?.reason),
    ...ofLink(facts),
    ...(stopped.length > 0 || held !== null ? [] : ofPermit(rollout, target, facts)),
  ];
}

const NOTHING_NEW = 'nothing new starts now';

function ofRollout({ status, reason }: RolloutState): Because[] {
  if (status !== 'paused' && !isOver(status)) return [];
  return [{ code: reason, message: `the rollout is ${status.replaceAll('_', ' ')}`, until: null }];
}

function ofEnd({ state, reason, errorCode }: Target): Because {
  const code = errorCode === null ? '' : ` (${errorCode})`;
  const message = `the target is ${state.replaceAll('_', ' ')}${code}`;
  return { code: reason, message, until: null };
}

function ofLink({ isOnline, lastSeenAt, now }: NodeFacts): Because[] {
  if (isOnline) return [];
  const message =
    lastSeenAt === null ? 'never seen' : `away for ${durationInWords(now - lastSeenAt)}`;
  return [{ code: 'node_offline', message, until: null }];
}

function ofPermit(rollout: RolloutState, target: Target, facts: NodeFacts): Because[] {
  if (target.state !== 'staged') return [];
  const answer = permit(rollout, target, target.commandId ?? '', facts);
  return answer.ok ? [] : [answer.error];
}

function ofWave(rollout: RolloutState, target: Target): Because[] {
  const wave = rollout.waves[target.wave];
  const name = rollout.plan.waves[target.wave]?.name ?? '';
  if (wave?.status !== 'pending') return [];
  const own: Because = {
    code: wave.reason,
    message: `wave ${target.wave + 1} (${name}) is not open`,
    until: wave.until,
  };
  if (rollout.plan.order === 'independent') return [own];
  // What the wave waits for is a wave before it: say what that one waits for.
  const before = rollout.waves.find((one) => one.status !== 'passed' && one.status !== 'skipped');
  if (before === undefined || before.index === wave.index) return [own];
  const left = before.size - before.counts.succeeded;
  const until = before.until === null ? '' : `, until ${toIso(before.until)} at least`;
  return [
    {
      code: before.reason,
      message: `wave ${before.index + 1} comes first: ${left} of ${before.size} nodes to go${until}`,
      until: before.until,
    },
    own,
  ];
}
