import { invariant, shuffled, type Instant } from '../kernel/index.js';
import {
  TARGET_STATES,
  type Counts,
  type Plan,
  type RolloutState,
  type Target,
  type TargetState,
  type WaveState,
} from './types.js';

/** A node as the planner sees it. */
export interface Candidate {
  readonly nodeId: string;
  readonly revoked: boolean;
  readonly canUpgrade: boolean;
  readonly currentVersion: string | null;
  readonly hasService: boolean;
  /** Whether the release has an artifact for its os, arch and variant. */
  readonly hasArtifact: boolean;
}

export type SkipReason =
  | 'revoked'
  | 'no_upgrade_capability'
  | 'no_such_service'
  | 'already_current'
  | 'no_artifact_for_host';

/** Why a candidate takes no part, or null when it does. The first reason in this order counts. */
export function skipReason(candidate: Candidate, version: string): SkipReason | null {
  if (candidate.revoked) return 'revoked';
  if (!candidate.hasService) return 'no_such_service';
  if (!candidate.canUpgrade) return 'no_upgrade_capability';
  if (candidate.currentVersion === version) return 'already_current';
  if (!candidate.hasArtifact) return 'no_artifact_for_host';
  return null;
}

/**
 * Sizes of waves from cumulative percents: each border is rounded up, each wave has at least one
 * node while there are nodes, the last takes the rest whatever its percent says, and waves that would be
 * empty are left out. The sizes always add up to `total`.
 */
export function waveSizes(total: number, percents: readonly number[]): number[] {
  const sizes: number[] = [];
  let covered = 0;
  percents.forEach((percent, index) => {
    const isLast = index === percents.length - 1;
    // Rounded to a billionth first, so that 10 % of 30 is 3 and not 3.0000000000000004.
    const border = Math.ceil(Number(((total * percent) / 100).toFixed(9)));
    const end = isLast ? total : Math.min(total, Math.max(border, covered + 1));
    if (end > covered) {
      sizes.push(end - covered);
      covered = end;
    }
  });
  return sizes;
}

export const noCounts = (): Record<TargetState, number> =>
  Object.fromEntries(TARGET_STATES.map((state) => [state, 0])) as Record<TargetState, number>;

const pendingWave = (index: number, size: number): WaveState => ({
  index,
  status: 'pending',
  size,
  counts: { ...noCounts(), pending: size } satisfies Counts,
  lost: 0,
  openedAt: null,
  settlesAt: null,
});

/**
 * A new rollout, not yet started: nodes in an order that depends on the rollout id alone (so that
 * two looks at one plan agree), cut into waves. `nodeIds` must not be empty or hold doubles.
 */
export function planRollout(input: {
  readonly id: string;
  readonly plan: Plan;
  readonly wavePercents: readonly number[];
  readonly nodeIds: readonly string[];
  readonly now: Instant;
}): { readonly rollout: RolloutState; readonly targets: readonly Target[] } {
  invariant(input.nodeIds.length > 0, 'a rollout needs a node');
  invariant(new Set(input.nodeIds).size === input.nodeIds.length, 'a node is planned twice');
  const percents = input.plan.strategy === 'immediate' ? [100] : input.wavePercents;
  const sizes = waveSizes(input.nodeIds.length, percents);
  // Sorted first: the order must not depend on the order in which a database answered.
  const ordered = shuffled([...input.nodeIds].sort(), input.id);
  const targets: Target[] = [];
  sizes.forEach((size, wave) => {
    for (const nodeId of ordered.slice(targets.length, targets.length + size)) {
      targets.push({
        nodeId,
        wave,
        state: 'pending',
        reason: 'waiting_for_wave',
        errorCode: null,
        commandId: null,
        deadlineAt: null,
      });
    }
  });
  const rollout: RolloutState = {
    id: input.id,
    plan: input.plan,
    status: 'pending',
    reason: 'created',
    waves: sizes.map((size, index) => pendingWave(index, size)),
    wave: 0,
    updatedAt: input.now,
  };
  return { rollout, targets };
}
