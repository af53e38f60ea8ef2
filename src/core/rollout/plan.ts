import { invariant, type Instant } from '../kernel/index.js';
import { cutWaves, type Cut, type CutRules, type Member } from './cut.js';
import type { RulePlan } from './presets.js';
import {
  TARGET_STATES,
  type Plan,
  type RolloutState,
  type Target,
  type TargetState,
  type WavePlan,
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
  /** Whether it can come from what it runs to the release in one step. */
  readonly isReachable: boolean;
  /** What a person on the node decided, by its last word; null where nobody did. */
  readonly byHand: { readonly enabled: boolean; readonly pin: string | null } | null;
}

export type SkipReason =
  | 'revoked'
  | 'no_upgrade_capability'
  | 'no_such_service'
  | 'already_current'
  | 'disabled_by_hand'
  | 'pinned_by_hand'
  | 'no_artifact_for_host'
  | 'hop_not_allowed';

/** Why a candidate takes no part, or null when it does. The first reason in this order counts. */
export function skipReason(candidate: Candidate, version: string): SkipReason | null {
  if (candidate.revoked) return 'revoked';
  if (!candidate.hasService) return 'no_such_service';
  if (!candidate.canUpgrade) return 'no_upgrade_capability';
  if (candidate.currentVersion === version) return 'already_current';
  if (!candidate.hasArtifact) return 'no_artifact_for_host';
  if (!candidate.isReachable) return 'hop_not_allowed';
  return heldByHand(candidate, version);
}

function heldByHand({ byHand }: Candidate, version: string): SkipReason | null {
  if (byHand === null) return null;
  if (!byHand.enabled) return 'disabled_by_hand';
  return byHand.pin === null || byHand.pin === version ? null : 'pinned_by_hand';
}

export const noCounts = (): Record<TargetState, number> =>
  Object.fromEntries(TARGET_STATES.map((state) => [state, 0])) as Record<TargetState, number>;

/** A wave as it begins. */
export const pendingWave = (index: number, size: number): WaveState => ({
  index,
  status: 'pending',
  reason: index === 0 ? 'created' : 'previous_waves_not_done',
  until: null,
  size,
  counts: { ...noCounts(), pending: size },
  lost: 0,
  stuck: 0,
  offline: 0,
  openedAt: null,
  doneAt: null,
  endedAt: null,
  byHand: false,
  forced: false,
  approvedBy: [],
});

/** A target as it is before its wave opens. */
export const pendingTarget = (nodeId: string, wave: number): Target => ({
  nodeId,
  wave,
  state: 'pending',
  reason: 'waiting_for_wave',
  errorCode: null,
  offline: false,
  commandId: null,
  deadlineAt: null,
});

/** Of one rule: its canaries prove it, then come the rest and what a domain limit put off. */
function wavePlanOf(cut: Cut, rule: RulePlan, isFirstOfRule: boolean): WavePlan {
  const isCanary = cut.part === 'canary';
  return {
    name: cut.name,
    ring: rule.name,
    part: cut.part,
    selector: rule.selector,
    opens: isFirstOfRule ? rule.opens : rule.opens.filter((gate) => gate.kind === 'window'),
    passes: isCanary ? rule.canaryPasses : rule.passes,
    // Every single canary must live.
    doneAtPercent: isCanary ? null : rule.doneAtPercent,
  };
}

export interface PlanInput {
  readonly id: string;
  /** Whoever gives the same seed gets the same waves. */
  readonly seed: string;
  readonly terms: Omit<Plan, 'waves' | 'createdAt'>;
  readonly rules: readonly RulePlan[];
  readonly cut: Pick<CutRules, 'domain' | 'strata'>;
  readonly members: readonly Member[];
  readonly now: Instant;
}

/**
 * A new rollout, not yet started, cut in an order that depends on the seed alone: two looks at one
 * plan agree, whatever order a database answered in. `left` are members that no wave selects.
 * There must be a member, and a wave that selects one.
 */
export function planRollout(input: PlanInput): {
  readonly rollout: RolloutState;
  readonly targets: readonly Target[];
  readonly left: readonly string[];
} {
  const { id, seed, rules, members, now } = input;
  const { cuts, left } = cutWaves(members, { ...input.cut, waves: rules, seed });
  invariant(cuts.length > 0, 'a rollout needs a node');
  const waves = cuts.map((cut, index): WavePlan => {
    const rule = rules[cut.of];
    invariant(rule !== undefined, `there is no rule ${cut.of}`);
    return wavePlanOf(cut, rule, cuts[index - 1]?.of !== cut.of);
  });
  const rollout: RolloutState = {
    id,
    plan: { ...input.terms, waves, createdAt: now },
    status: 'pending',
    reason: 'created',
    waves: cuts.map((cut, index) => pendingWave(index, cut.nodeIds.length)),
    startedAt: null,
    updatedAt: now,
  };
  const targets = cuts.flatMap((cut, index) =>
    cut.nodeIds.map((nodeId) => pendingTarget(nodeId, index)),
  );
  return { rollout, targets, left };
}
