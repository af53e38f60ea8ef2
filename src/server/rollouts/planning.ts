import { FleetError, type Instant } from '../../core/kernel/index.js';
import {
  artifactFor,
  detourTo,
  imageFor,
  type Artifact,
  type Manifest,
} from '../../core/release/index.js';
import {
  nextOpening,
  planRollout,
  problemsOfCut,
  rulesOf,
  skipReason,
  type Circumstances,
  type CutRules,
  type Member,
  type Plan,
  type PresetSpec,
  type RolloutState,
  type RulePlan,
  type StartSpec,
} from '../../core/rollout/index.js';
import { workloadOf, type FleetNode } from '../fleet/index.js';
import { newId, type Caller } from '../platform/index.js';
import { invalidPlan, type Problem } from '../plans/index.js';
import type { StoredRelease } from '../releases/index.js';
import type { MadeBy, RolloutMeta, Scope } from './tables/rollouts.store.js';
import type { StoredTarget } from './tables/targets.store.js';

/** A rollout as somebody asks for it, with what was looked up for it. */
export interface RolloutRequest {
  readonly kind: 'node' | 'group';
  readonly scope: Scope;
  /** Every node of the scope, whether it can take part or not. */
  readonly nodes: readonly FleetNode[];
  readonly release: StoredRelease;
  readonly preset: PresetSpec;
  readonly start: StartSpec;
  readonly terms: Omit<Plan, 'waves' | 'createdAt' | 'strategy' | 'order'>;
  readonly cut: Pick<CutRules, 'domain' | 'strata'>;
  readonly startVersion: string | null;
  readonly reverts: string | null;
  /** The stored plan that it follows, and the schedule that asks for it; left out for terms of its own. */
  readonly madeBy?: MadeBy;
  /** What is wrong with it as far as can be seen without looking at nodes. */
  readonly problems?: readonly Problem[];
}

/** What a request comes to: all that is stored when it is made, and nothing that is not. */
export interface Planned {
  readonly meta: RolloutMeta;
  readonly rollout: RolloutState;
  readonly targets: readonly StoredTarget[];
}

/** A service of a node that could take a release, or why it cannot. */
export type Candidacy =
  | { readonly service: string; readonly version: string | null; readonly reason: null }
  | { readonly reason: string };

/** Whether a node takes part in a rollout of this release, with which service. */
export function candidacyOf(node: FleetNode, manifest: Manifest): Candidacy {
  const service = node.services.find((one) => one.product === manifest.product);
  const host = { os: node.host.os, arch: node.host.arch, variant: service?.variant ?? 'default' };
  const workload = workloadOf(node);
  const reason = skipReason(
    {
      nodeId: node.id,
      revoked: node.revokedAt !== null,
      canUpgrade: node.capabilities.includes('upgrade'),
      currentVersion: service?.version ?? null,
      hasService: service !== undefined,
      hasArtifact:
        workload === null
          ? artifactFor(manifest, host) !== undefined
          : imageFor(manifest, { ...workload, variant: host.variant }) !== undefined,
      isReachable: detourTo(manifest, service?.version ?? null) === null,
      byHand: service?.by_hand ?? null,
    },
    manifest.version,
  );
  if (reason !== null || service === undefined) return { reason: reason ?? 'no_such_service' };
  return { service: service.name, version: service.version, reason: null };
}

/** What the nodes that can take part would fetch, each artifact once. */
export function artifactsFor(nodes: readonly FleetNode[], manifest: Manifest): readonly Artifact[] {
  const needed = new Set<Artifact>();
  for (const node of nodes) {
    if (workloadOf(node) !== null || candidacyOf(node, manifest).reason !== null) continue;
    const service = node.services.find((one) => one.product === manifest.product);
    const { os, arch } = node.host;
    const artifact = artifactFor(manifest, { os, arch, variant: service?.variant ?? 'default' });
    if (artifact !== undefined) needed.add(artifact);
  }
  return [...needed];
}

export const memberOf = (node: FleetNode, fromVersion: string | null): Member => ({
  nodeId: node.id,
  groupId: node.groupId,
  labels: node.labels,
  os: node.host.os,
  arch: node.host.arch,
  fromVersion,
});

/**
 * The same nodes go first whenever the same release is asked for the same scope: so a preview shows what
 * will be, and another release draws other nodes.
 */
const seedOf = ({ release, scope }: RolloutRequest): string =>
  [release.manifest.product, release.manifest.version, JSON.stringify(scope)].join('\n');

/**
 * Plans a rollout and writes nothing. Throws `rollout_empty` with the reason for each node when nobody
 * is left to upgrade, `release_not_for_scope` when that is because of the release, and
 * `rollout_plan_invalid` with every problem of the plan.
 */
export function plan(
  request: RolloutRequest,
  caller: Caller,
  { now, circumstances }: { readonly now: Instant; readonly circumstances: Circumstances },
): Planned {
  const { manifest } = request.release;
  const judged = request.nodes.map((node) => ({ node, ...candidacyOf(node, manifest) }));
  const chosen = judged.flatMap((one) => (one.reason === null ? [one] : []));
  const skipped = judged.flatMap(({ node, reason }) =>
    reason === null ? [] : [{ node_id: node.id, reason }],
  );
  const id = newId('rol');
  const seed = seedOf(request);
  const members = chosen.map(({ node, version }) => memberOf(node, version));
  const rules = rulesOf(request.preset, request.start);
  const problems = [...(request.problems ?? [])];
  // Without a node every wave would be empty; that is not the fault of the plan.
  if (chosen.length > 0) {
    problems.push(...problemsOfCut({ ...request.cut, waves: rules, seed }, members));
  }
  // A window that is none has no next opening.
  if (problems.length === 0) problems.push(...neverOpening(rules, circumstances, now));
  if (problems.length > 0) throw invalidPlan(request.preset.strategy, problems);
  if (chosen.length === 0) throw nobodyLeft(request, skipped);
  const { rollout, targets, left } = planRollout({
    id,
    seed,
    terms: {
      ...request.terms,
      strategy: request.preset.strategy,
      order: request.start.order,
    },
    rules,
    cut: request.cut,
    members,
    now,
  });
  const byId = new Map(chosen.map((one) => [one.node.id, one]));
  const unplaced = left.map((nodeId) => ({ node_id: nodeId, reason: 'in_no_wave' }));
  return {
    meta: metaOf(request, id, { caller, now, skipped: [...skipped, ...unplaced] }),
    rollout,
    targets: targets.map((target): StoredTarget => {
      const one = byId.get(target.nodeId);
      return {
        ...target,
        nodeName: one?.node.name ?? '',
        service: one?.service ?? '',
        fromVersion: one?.version ?? null,
        updatedAt: now,
      };
    }),
  };
}

/** A window that freezes close for longer than anybody plans would wait in silence. */
const neverOpening = (
  rules: readonly RulePlan[],
  { freezes }: Circumstances,
  now: Instant,
): { path: string; message: string }[] =>
  rules.flatMap(({ opens }, index) =>
    opens.some((gate) => gate.kind === 'window' && nextOpening(gate.rules, freezes, now) === null)
      ? [{ path: `waves.${index}.opens`, message: 'the window never opens: a freeze covers it' }]
      : [],
  );

/** What another release could mend. */
const OF_THE_RELEASE = ['no_artifact_for_host', 'hop_not_allowed'];

function nobodyLeft(request: RolloutRequest, skipped: RolloutMeta['skipped']): FleetError {
  const isForRelease = skipped.some(({ reason }) => OF_THE_RELEASE.includes(reason));
  const { product, version } = request.release.manifest;
  const count = request.nodes.length;
  return new FleetError(
    isForRelease ? 'release_not_for_scope' : 'rollout_empty',
    `none of ${count} nodes in scope can take ${product} ${version}${countsOf(skipped)}`,
    { context: { skipped: skipped.slice(0, 100) } },
  );
}

/** Such as `: 2 already_current, 1 revoked`. */
function countsOf(skipped: RolloutMeta['skipped']): string {
  const counts = new Map<string, number>();
  for (const { reason } of skipped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const parts = [...counts].map(([reason, count]) => `${count} ${reason}`);
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`;
}

function metaOf(
  request: RolloutRequest,
  id: string,
  made: {
    readonly caller: Caller;
    readonly now: Instant;
    readonly skipped: RolloutMeta['skipped'];
  },
): RolloutMeta {
  const { manifest } = request.release;
  const [only] = request.scope.nodeIds ?? [];
  return {
    id,
    groupId: request.scope.groupId,
    scopeKind: request.kind,
    scopeId: request.kind === 'node' && only !== undefined ? only : request.scope.groupId,
    scope: request.scope,
    product: manifest.product,
    version: manifest.version,
    channel: manifest.channel,
    strategy: request.preset.strategy,
    startVersion: request.startVersion,
    reverts: request.reverts,
    madeBy: request.madeBy ?? null,
    skipped: made.skipped,
    createdBy: made.caller.name,
    createdById: made.caller.id,
    createdAt: made.now,
  };
}
