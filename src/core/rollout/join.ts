import type { Instant } from '../kernel/index.js';
import { fits, isExplicit } from './cut-select.js';
import type { Member, Selector } from './cut.js';
import { Draft } from './draft.js';
import { pendingTarget } from './plan.js';
import { isOver, type Decision, type RolloutState, type Target } from './types.js';

/**
 * The wave that a node which came later belongs to: the last one of the first rule that selects it,
 * so that no canary is taken from it. Null when no rule does: percents and counts were of the nodes
 * that were there.
 */
export function waveFor(rollout: RolloutState, member: Member): number | null {
  const { waves } = rollout.plan;
  const rule = waves.find(({ selector }) => takesLater(selector) && fits(selector)(member));
  if (rule === undefined) return null;
  return waves.findLastIndex(({ ring }) => ring === rule.ring);
}

const takesLater = (selector: Selector): boolean => isExplicit(selector) || selector.by === 'rest';

/** Takes a node that came later into a wave. It is offered the release when the wave is open. */
export function join(
  rollout: RolloutState,
  newcomer: { readonly nodeId: string; readonly wave: number },
  now: Instant,
): { readonly decision: Decision; readonly target: Target } | null {
  if (isOver(rollout.status) || rollout.waves[newcomer.wave]?.status === 'skipped') return null;
  const draft = new Draft(rollout);
  const { nodeId, wave } = newcomer;
  draft.add({ type: 'target_joined', at: now, wave, nodeId });
  return { decision: draft.done(), target: pendingTarget(nodeId, wave) };
}
