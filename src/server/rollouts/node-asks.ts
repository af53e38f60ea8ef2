import { Inject, Injectable } from '@nestjs/common';
import { FleetError, instant, plus, SECOND_MS } from '../../core/kernel/index.js';
import type { Input } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { LiveNodes, Nodes, type FleetNode } from '../fleet/index.js';
import { problemsOfTimes } from '../plans/index.js';
import { type Caller, type Clock, CLOCK } from '../platform/index.js';
import { Releases } from '../releases/index.js';
import { oneNode } from './one-node.js';
import { artifactsFor, type RolloutRequest } from './planning.js';

/** From what somebody asks of one node to a request that can be planned. */
@Injectable()
export class NodeAsks {
  constructor(
    private readonly nodes: Nodes,
    private readonly access: Access,
    private readonly live: LiveNodes,
    private readonly releases: Releases,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Throws `not_found`, `insufficient_role`, `release_yanked`, `binary_not_staged`, and `upgrade_version_changed` and
   * `node_offline` when those were asked for.
   */
  async node(
    id: string,
    body: Input<'nodes.upgrade'>['body'],
    caller: Caller,
  ): Promise<RolloutRequest> {
    const node = await this.nodes.find(id);
    if (node === null) throw new FleetError('not_found', `no node ${id}`);
    await this.access.require(caller, 'node.upgrade', node.groupId);
    const product = body.product ?? onlyProduct(node);
    const release = await this.releases.wanted(product, body.version, body.channel);
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
