import { Controller, Inject } from '@nestjs/common';
import { FleetError, instant } from '../../core/kernel/index.js';
import type { Answer, CreateRollout, Input, Rollout } from '../../protocol/api/index.js';
import {
  type Caller,
  type Clock,
  CLOCK,
  Database,
  Endpoint,
  Given,
  Who,
} from '../platform/index.js';
import { Asks } from './asks.js';
import { lastTookMs } from './tables/commands.store.js';
import { NodeAsks } from './node-asks.js';
import type { RolloutRequest } from './planning.js';
import { previewView } from './preview.view.js';
import { Orchestrator } from './rollouts.orchestrator.js';
import { findRollout } from './tables/rollouts.store.js';
import { rolloutView } from './rollout.view.js';

/** What a preview goes by: so many upgrades of the product, the last ones. */
const TOOK_LOOKED_AT = 50;

/** Asking for upgrades: of one node, of a group, of any part of a fleet. All are rollouts. */
@Controller()
export class UpgradesController {
  constructor(
    private readonly database: Database,
    private readonly asks: Asks,
    private readonly nodeAsks: NodeAsks,
    private readonly orchestrator: Orchestrator,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Endpoint('nodes.upgrade')
  async node(
    @Given() { params, body }: Input<'nodes.upgrade'>,
    @Who() caller: Caller,
  ): Promise<Rollout> {
    return this.#create(await this.nodeAsks.node(params.id, body, caller), caller);
  }

  @Endpoint('groups.upgrade')
  async group(
    @Given() { params, body }: Input<'groups.upgrade'>,
    @Who() caller: Caller,
  ): Promise<Rollout> {
    const scope: CreateRollout['scope'] = {
      group_id: params.id,
      subgroups: true,
      labels: {},
      node_ids: null,
      exclude_node_ids: [],
    };
    return this.#create(await this.asks.rollout({ ...body, scope }, caller), caller);
  }

  @Endpoint('rollouts.create')
  async create(
    @Given() { body }: Input<'rollouts.create'>,
    @Who() caller: Caller,
  ): Promise<Rollout> {
    return this.#create(await this.asks.rollout(body, caller), caller);
  }

  @Endpoint('rollouts.preview')
  async preview(
    @Given() { body }: Input<'rollouts.preview'>,
    @Who() caller: Caller,
  ): Promise<Answer<'rollouts.preview'>> {
    const request = await this.asks.rollout(body, caller);
    const planned = await this.orchestrator.preview(request, caller);
    const { nodes, release } = request;
    const { product } = release.manifest;
    const tookMs = await lastTookMs(this.database.read, product, TOOK_LOOKED_AT);
    return previewView(planned, { nodes, release, tookMs, now: instant(this.clock.now()) });
  }

  async #create(request: RolloutRequest, caller: Caller): Promise<Rollout> {
    const id = await this.orchestrator.create(request, caller);
    const rollout = await findRollout(this.database.read, id);
    if (rollout === null) throw new FleetError('internal_error', `rollout ${id} is gone`);
    return rolloutView(rollout);
  }
}
