import { Inject, Injectable } from '@nestjs/common';
import { FleetError, instant, plus, SECOND_MS } from '../../core/kernel/index.js';
import type { CreateRollout, Input } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { LiveNodes, type FleetNode } from '../fleet/index.js';
import { type Caller, type Clock, CLOCK, CONFIG, type Config } from '../platform/index.js';
import { Releases, type StoredRelease } from '../releases/index.js';
import { oneNode } from './one-node.js';
import { artifactsFor, candidacyOf, type RolloutRequest } from './planning.js';
import { problemsOfTimes, termsOf } from './request.js';
import type { Scope } from './rollouts.store.js';
import { Scopes } from './scope.js';

const APPROVALS_WHEN_LARGE = 2;

/** From what somebody asks for over HTTP to a request that can be planned: who may, what is meant. */
@Injectable()
export class Asks {
  constructor(
    private readonly access: Access,
    private readonly scopes: Scopes,
    private readonly live: LiveNodes,
    private readonly releases: Releases,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `not_found`, `insufficient_role`, `release_yanked`, `binary_not_staged`. */
  async rollout(asked: CreateRollout, caller: Caller): Promise<RolloutRequest> {
    const scope: Scope = {
      groupId: asked.scope.group_id,
      subgroups: asked.scope.subgroups,
      labels: asked.scope.labels,
      nodeIds: asked.scope.node_ids,
      exclude: asked.scope.exclude_node_ids,
    };
    await this.access.require(caller, 'group.upgrade', scope.groupId);
    const release = await this.#release(asked.product, asked);
    const nodes = await this.scopes.nodesOf(scope);
    await this.releases.requireStaged(artifactsFor(nodes, release.manifest));
    const terms = await termsOf(asked, (id) => this.scopes.subtree(id), {
      now: instant(this.clock.now()),
      approvals: this.#approvals(nodes, release),
    });
    return { kind: 'group', scope, nodes, release, ...terms };
  }

  /** Throws also `upgrade_version_changed` and `node_offline`, when those were asked for. */
  async node(node: FleetNode, body: Input<'nodes.upgrade'>['body']): Promise<RolloutRequest> {
    const product = body.product ?? onlyProduct(node);
    const release = await this.#release(product, body);
    const current = node.services.find((one) => one.product === product)?.version ?? null;
    if (body.expected_version !== undefined && body.expected_version !== current) {
      throw new FleetError(
        'upgrade_version_changed',
        `the node runs ${current ?? 'nothing'}, not ${body.expected_version}`,
        { context: { current_version: current } },
      );
    }
    if (body.only_online && !(await this.live.isOnline(node.id))) {
      const what = node.revokedAt === null ? 'offline' : 'revoked';
      throw new FleetError('node_offline', `the node is ${what}`);
    }
    await this.releases.requireStaged(artifactsFor([node], release.manifest));
    const now = instant(this.clock.now());
    const expires = body.expires_after_seconds;
    const request = oneNode(node, release, {
      expiresAt: expires === null ? null : plus(now, expires * SECOND_MS),
    });
    const applyAfter = body.apply_after === null ? null : instant(Date.parse(body.apply_after));
    return {
      ...request,
      start: { ...request.start, applyAfter },
      problems: problemsOfTimes(body, now),
    };
  }

  #approvals(nodes: readonly FleetNode[], release: StoredRelease): number {
    const above = this.config.twoPersonAboveNodes;
    if (above === null) return 0;
    const taking = nodes.filter((node) => candidacyOf(node, release.manifest).reason === null);
    return taking.length > above ? APPROVALS_WHEN_LARGE : 0;
  }

  async #release(
    product: string,
    wanted: { readonly version: string; readonly channel: 'stable' | 'beta' | 'dev' },
  ): Promise<StoredRelease> {
    return this.releases.wanted(product, wanted.version, wanted.channel);
  }
}

function onlyProduct(node: FleetNode): string {
  const [first, second] = node.services;
  if (first !== undefined && second === undefined) return first.product;
  throw new FleetError(
    'invalid_request',
    first === undefined
      ? 'product: this node has not reported a service yet'
      : `product: say which of ${node.services.map((one) => one.product).join(', ')}`,
  );
}
