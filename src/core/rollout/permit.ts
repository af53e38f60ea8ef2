import { ok, plus, seededRandom, type Instant, type Result } from '../kernel/index.js';
import { limitOf } from './cut.js';
import { heldBack } from './flow.js';
import { isInWindow } from './gates/index.js';
import { heldFor, isGlassBroken } from './glass.js';
import {
  isOpen,
  type Circumstances,
  type RolloutState,
  type Target,
  type WavePlan,
  type WaveState,
} from './types.js';

/** What must be looked up, at the moment of the decision, for a permit. */
export interface PermitFacts {
  readonly now: Instant;
  readonly circumstances: Circumstances;
  /** Nodes of the scope, other than the asking one, that are down for any cause in any rollout. */
  readonly otherNodesDown: number;
}

export type PermitDenial =
  | 'rollout_not_running'
  | 'command_not_current'
  | 'wave_not_open'
  | 'target_not_waiting'
  | 'upgrades_suspended'
  | 'upgrades_disabled'
  | 'frozen'
  | 'release_yanked'
  | 'outside_window'
  | 'spread'
  | 'too_many_nodes_down';

export interface Denial {
  readonly code: PermitDenial;
  readonly message: string;
  /** When asking again makes sense, by time alone; null when only news can change it. */
  readonly until: Instant | null;
}

const deny = (
  code: PermitDenial,
  message: string,
  until: Instant | null = null,
): { readonly ok: false; readonly error: Denial } => ({
  ok: false,
  error: { code, message, until },
});

/** Whether the limit on nodes that are down needs to be looked at for this rollout. */
export const hasBudget = (rollout: RolloutState): boolean => rollout.plan.maxUnavailable !== null;

/** How many nodes of the scope may be down at once; infinite without a limit. */
export function downMax({ plan, waves }: RolloutState): number {
  if (plan.maxUnavailable === null) return Number.POSITIVE_INFINITY;
  const scope = waves.reduce((sum, wave) => sum + wave.size, 0);
  return limitOf(plan.maxUnavailable, scope);
}

/**
 * Whether a node may swap now. Granting is the caller's state change (a `swapping` report, in the
 * transaction that looked up the facts), so that two permits never see the same room. Asking again
 * for a permit that was granted is granted again: the answer may have been lost.
 */
export function permit(
  rollout: RolloutState,
  target: Target,
  commandId: string,
  facts: PermitFacts,
): Result<'granted', Denial> {
  const wrong = wrongState(rollout, target, commandId);
  if (wrong !== null) return wrong;
  const wave = rollout.waves[target.wave];
  const plan = rollout.plan.waves[target.wave];
  if (wave === undefined || plan === undefined || wave.openedAt === null) {
    return deny('wave_not_open', `wave ${target.wave + 1} is not open`);
  }
  if (!isWaiting(target)) return deny('target_not_waiting', `the target is ${target.state}`);
  const held = heldBack(asHeld(rollout, facts)) ?? outside(rollout, wave, plan, facts.now);
  if (held !== null) {
    return deny(held.reason as PermitDenial, 'no swap starts now', held.until);
  }
  const slot = slotOf(rollout, wave, target.nodeId);
  // Before the wave was opened the clock cannot be, unless it was set back: then slots say nothing.
  if (wave.openedAt <= facts.now && facts.now < slot)
    return deny('spread', 'swaps of a wave are spread over time', slot);
  return hasRoom(rollout, facts);
}

/** The facts as they hold for this rollout. */
export const asHeld = <F extends PermitFacts>(rollout: RolloutState, facts: F): F => ({
  ...facts,
  circumstances: heldFor(rollout, facts.circumstances, facts.now),
});

/** A silent one may have been at work all the time. */
const isWaiting = ({ state }: Target): boolean =>
  state === 'silent' || (isOpen(state) && state !== 'probation');

function wrongState(
  rollout: RolloutState,
  target: Target,
  commandId: string,
): { readonly ok: false; readonly error: Denial } | null {
  if (rollout.status !== 'in_progress' && rollout.status !== 'complete') {
    return deny('rollout_not_running', `the rollout is ${rollout.status}: ${rollout.reason}`);
  }
  if (target.commandId !== commandId) {
    return deny('command_not_current', 'another command took the place of this one');
  }
  return null;
}

function outside(
  rollout: RolloutState,
  wave: WaveState,
  plan: WavePlan,
  now: Instant,
): { readonly reason: string; readonly until: Instant | null } | null {
  if (wave.byHand || wave.forced || isGlassBroken(rollout, now)) return null;
  const isOutside = plan.opens.some(
    (gate) => gate.kind === 'window' && !isInWindow(gate, rollout, now),
  );
  return isOutside ? { reason: 'outside_window', until: null } : null;
}

/** The same node always gets the same place in the spread of a rollout. */
function slotOf(rollout: RolloutState, wave: WaveState, nodeId: string): Instant {
  const share = seededRandom(`${rollout.id}/${nodeId}`).next();
  return plus(wave.openedAt ?? rollout.plan.createdAt, Math.floor(share * rollout.plan.spreadMs));
}

function hasRoom(rollout: RolloutState, facts: PermitFacts): Result<'granted', Denial> {
  const most = downMax(rollout);
  if (facts.otherNodesDown < most) return ok('granted');
  const are = `${facts.otherNodesDown} of at most ${most} nodes are down`;
  return deny('too_many_nodes_down', are);
}
