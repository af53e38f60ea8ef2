import { Inject, Injectable } from '@nestjs/common';
import { instant } from '../../core/kernel/index.js';
import type { CreateRollout } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import type { FleetNode } from '../fleet/index.js';
import { type Caller, type Clock, CLOCK, CONFIG, type Config } from '../platform/index.js';
import { Plans, termsOf } from '../plans/index.js';
import { Releases, type StoredRelease } from '../releases/index.js';
import { artifactsFor, candidacyOf, type RolloutRequest } from './planning.js';
import type { Scope } from './tables/rollouts.store.js';
import { Scopes } from './scope.js';

const APPROVALS_WHEN_LARGE = 2;

/** From what somebody asks of a group over HTTP to a request that can be planned: who may, what is meant. */
@Injectable()
export class Asks {
  constructor(
    private readonly access: Access,
    private readonly scopes: Scopes,
    private readonly releases: Releases,
    private readonly plans: Plans,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Throws `not_found` (also for a plan that this group cannot take), `insufficient_role`, `release_yanked`,
   * `binary_not_staged`.
   */
  async rollout(asked: CreateRollout, caller: Caller): Promise<RolloutRequest> {
    const scope: Scope = {
      groupId: asked.scope.group_id,
      subgroups: asked.scope.subgroups,
      labels: asked.scope.labels,
      nodeIds: asked.scope.node_ids,
      exclude: asked.scope.exclude_node_ids,
    };
    await this.access.require(caller, 'group.upgrade', scope.groupId);
    const plan = await this.plans.named(asked, scope.groupId);
    const release = await this.releases.wanted(asked.product, asked.version, asked.channel);
    const nodes = await this.scopes.nodesOf(scope);
    await this.releases.requireStaged(artifactsFor(nodes, release.manifest));
    const terms = await termsOf({ ...asked, ...plan?.terms }, (id) => this.scopes.subtree(id), {
      now: instant(this.clock.now()),
      approvals: this.#approvals(nodes, release),
    });
    if (plan === null) return { kind: 'group', scope, nodes, release, ...terms };
    const { id, name, revision } = plan;
    const madeBy = { plan: { id, name, revision }, schedule: null };
    return { kind: 'group', scope, nodes, release, madeBy, ...terms };
  }

  #approvals(nodes: readonly FleetNode[], release: StoredRelease): number {
    const above = this.config.twoPersonAboveNodes;
    if (above === null) return 0;
    const taking = nodes.filter((node) => candidacyOf(node, release.manifest).reason === null);
    return taking.length > above ? APPROVALS_WHEN_LARGE : 0;
  }
}
