import { Controller } from '@nestjs/common';
import { FleetError, SECOND_MS } from '../../core/kernel/index.js';
import type { Input, Rollout } from '../../protocol/api/index.js';
import { Access, Groups } from '../access/index.js';
import { Nodes, type FleetNode } from '../fleet/index.js';
import { type Caller, Database, Endpoint, Given, Who } from '../platform/index.js';
import { Releases, type StoredRelease } from '../releases/index.js';
import { Orchestrator, type RolloutRequest } from './rollouts.orchestrator.js';
import { findRollout } from './rollouts.store.js';
import { rolloutView } from './rollout.view.js';

/** For one node there is nobody to protect by waiting: half an hour until it counts as silent. */
const ONE_NODE_DEADLINE_MS = 1_800 * SECOND_MS;

/** Asking for upgrades: of one node, of a group. Both are rollouts. */
@Controller()
export class UpgradesController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly groups: Groups,
    private readonly fleet: Nodes,
    private readonly releases: Releases,
    private readonly orchestrator: Orchestrator,
  ) {}

  @Endpoint('nodes.upgrade')
  async node(
    @Given() { params, body }: Input<'nodes.upgrade'>,
    @Who() caller: Caller,
  ): Promise<Rollout> {
    const node = await this.fleet.find(params.id);
    if (node === null) throw new FleetError('not_found', `no node ${params.id}`);
    await this.access.require(caller, 'node.upgrade', node.groupId);
    const release = await this.#release(body.product ?? onlyProduct(node), body);
    return this.#create(
      {
        scope: { kind: 'node', id: node.id },
        groupId: node.groupId,
        nodes: [node],
        release,
        plan: { strategy: 'immediate', settleMs: 0, nodeDeadlineMs: ONE_NODE_DEADLINE_MS },
        wavePercents: [100],
      },
      caller,
    );
  }

  @Endpoint('groups.upgrade')
  async group(
    @Given() { params, body }: Input<'groups.upgrade'>,
    @Who() caller: Caller,
  ): Promise<Rollout> {
    await this.access.require(caller, 'group.upgrade', params.id);
    checkPercents(body.wave_percents);
    const release = await this.#release(body.product, body);
    return this.#create(
      {
        scope: { kind: 'group', id: params.id },
        groupId: params.id,
        nodes: await this.fleet.listInGroups(await this.groups.subtree(params.id)),
        release,
        plan: {
          strategy: body.strategy,
          settleMs: body.settle_seconds * SECOND_MS,
          nodeDeadlineMs: body.node_deadline_seconds * SECOND_MS,
        },
        wavePercents: body.wave_percents,
      },
      caller,
    );
  }

  async #release(
    product: string,
    wanted: { readonly version: string; readonly channel: 'stable' | 'beta' | 'dev' },
  ): Promise<StoredRelease> {
    const release = await this.releases.find(product, wanted.version, wanted.channel);
    if (release === null) {
      throw new FleetError(
        'not_found',
        `no release ${product} ${wanted.version} on channel ${wanted.channel}`,
        // Whoever may upgrade may see releases: this hides nothing.
        { context: { missing: 'release' } },
      );
    }
    return release;
  }

  async #create(request: RolloutRequest, caller: Caller): Promise<Rollout> {
    const id = await this.orchestrator.create(request, caller);
    const rollout = await findRollout(this.database.read, id);
    if (rollout === null) throw new FleetError('internal_error', `rollout ${id} is gone`);
    return rolloutView(rollout);
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

/** A schema cannot say it well: each border above the one before, the last one 100. */
function checkPercents(percents: readonly number[]): void {
  const rises = percents.every((value, index) => index === 0 || value > (percents[index - 1] ?? 0));
  if (!rises || percents.at(-1) !== 100) {
    throw new FleetError('invalid_request', 'wave_percents: must rise and end with 100');
  }
}
