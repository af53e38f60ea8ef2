import { Injectable } from '@nestjs/common';
import { FleetError, HOUR_MS, plus, type Instant } from '../../core/kernel/index.js';
import { Channel } from '../../core/release/index.js';
import { Nodes, type FleetNode } from '../fleet/index.js';
import { type Caller, Database } from '../platform/index.js';
import { Releases, type StoredRelease } from '../releases/index.js';
import { artifactsFor, candidacyOf, type RolloutRequest } from './planning.js';
import { ORCHESTRATOR } from './rollout-units.js';
import { LATER, Orchestrator } from './rollouts.orchestrator.js';
import { findRollout, type StoredRollout } from './tables/rollouts.store.js';
import type { Task } from './chores.js';
import { Scopes } from './scope.js';
import {
  findTarget,
  lateForRevert,
  targetsInStates,
  type StoredTarget,
} from './tables/targets.store.js';

/** A node that comes out of its swap later than this after a revert is left to people. */
const LATE_MS = 24 * HOUR_MS;
/** Nodes followed in one sweep. */
const LATE_BATCH = 100;

interface Skipped {
  readonly node_id: string;
  readonly reason: string;
}

/**
 * The way back: rollouts that bring every node that a rollout has upgraded to the version that it
 * came from, at once but within the same limit on nodes that are down. One rollout a version. A node
 * that is in the middle of its swap at that moment follows when it is through.
 */
@Injectable()
export class Reverts {
  constructor(
    private readonly database: Database,
    private readonly orchestrator: Orchestrator,
    private readonly nodes: Nodes,
    private readonly releases: Releases,
    private readonly scopes: Scopes,
  ) {}

  /**
   * Cancels the rollout when it still runs, then starts the way back. Throws `rollout_empty` when no node
   * was upgraded, and what `create` throws.
   */
  async revert(
    { meta, state }: StoredRollout,
    caller: Caller,
  ): Promise<{ readonly ids: readonly string[]; readonly skipped: readonly Skipped[] }> {
    const upgraded = await targetsInStates(this.database.read, meta.id, ['succeeded'], {});
    if (upgraded.length === 0) {
      throw new FleetError('rollout_empty', 'this rollout has upgraded no node yet');
    }
    const { requests, skipped } = await this.#waysBack({ meta, state }, upgraded);
    const ids = await this.orchestrator.revert(meta.id, requests, caller);
    return { ids, skipped };
  }

  /** One for each node that came out of its swap after the revert. */
  async tasks(now: Instant): Promise<readonly Task[]> {
    const late = await lateForRevert(this.database.read, plus(now, -LATE_MS), LATE_BATCH);
    return late.map(({ rolloutId, nodeId }) => ({
      what: `taking node ${nodeId} back, of rollout ${rolloutId}`,
      run: () => this.#follow(rolloutId, nodeId),
    }));
  }

  async #follow(rolloutId: string, nodeId: string): Promise<void> {
    const stored = await findRollout(this.database.read, rolloutId);
    const target = await findTarget(this.database.read, rolloutId, nodeId);
    if (stored === null || target === null) return;
    const { requests } = await this.#waysBack(stored, [target]);
    for (const request of requests) {
      await this.orchestrator.create(request, ORCHESTRATOR).catch((error: unknown) => {
        if (!(error instanceof FleetError) || !LATER.includes(error.code)) throw error;
      });
    }
  }

  /** One request a version that nodes came from, in the order of versions. */
  async #waysBack(
    { meta, state }: Pick<StoredRollout, 'meta' | 'state'>,
    upgraded: readonly StoredTarget[],
  ): Promise<{ readonly requests: RolloutRequest[]; readonly skipped: Skipped[] }> {
    const skipped: Skipped[] = [];
    const byVersion = new Map<string, StoredTarget[]>();
    for (const target of upgraded) {
      if (target.fromVersion === null) {
        skipped.push({ node_id: target.nodeId, reason: 'no_previous_version' });
      } else {
        const of = byVersion.get(target.fromVersion) ?? [];
        byVersion.set(target.fromVersion, [...of, target]);
      }
    }
    // Who has got a node since decides about it, not who once upgraded it.
    const inside = new Set(await this.scopes.subtree(meta.groupId));
    const requests: RolloutRequest[] = [];
    for (const [version, targets] of [...byVersion].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const release = await this.releases.published(
        meta.product,
        version,
        Channel.parse(meta.channel),
      );
      if (release === null) {
        skipped.push(...targets.map((one) => ({ node_id: one.nodeId, reason: 'no_release' })));
        continue;
      }
      const nodes: FleetNode[] = [];
      for (const { nodeId } of targets) {
        const node = await this.nodes.find(nodeId);
        if (node === null) continue;
        if (!inside.has(node.groupId)) {
          skipped.push({ node_id: nodeId, reason: 'in_another_group' });
          continue;
        }
        const { reason } = candidacyOf(node, release.manifest);
        if (reason === null) nodes.push(node);
        else skipped.push({ node_id: nodeId, reason });
      }
      if (!(await this.releases.areStaged(artifactsFor(nodes, release.manifest)))) {
        skipped.push(...nodes.map(({ id }) => ({ node_id: id, reason: 'binary_not_staged' })));
        continue;
      }
      if (nodes.length > 0) requests.push(wayBack({ meta, state }, release, nodes));
    }
    return { requests, skipped };
  }
}

const wayBack = (
  { meta, state }: Pick<StoredRollout, 'meta' | 'state'>,
  release: StoredRelease,
  nodes: readonly FleetNode[],
): RolloutRequest => {
  const { nodeDeadlineMs, maxUnavailable } = state.plan;
  return {
    kind: 'group',
    scope: {
      groupId: meta.groupId,
      subgroups: true,
      labels: {},
      nodeIds: nodes.map((node) => node.id),
      exclude: [],
    },
    nodes,
    release,
    preset: { strategy: 'immediate' },
    start: { applyAfter: null, approvals: 0, order: 'sequential' },
    terms: { nodeDeadlineMs, maxUnavailable, expiresAt: null, spreadMs: 0 },
    cut: { domain: null, strata: [] },
    startVersion: null,
    reverts: meta.id,
  };
};
