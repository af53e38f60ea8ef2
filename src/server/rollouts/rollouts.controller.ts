import { Controller } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input, Rollout } from '../../protocol/api/index.js';
import { Access, Groups } from '../access/index.js';
import {
  Database,
  Endpoint,
  Given,
  pageFrom,
  readCursor,
  Who,
  type Caller,
  type Cursor,
} from '../platform/index.js';
import { Orchestrator } from './rollouts.orchestrator.js';
import {
  findRollout,
  listRollouts,
  listTargets,
  type StoredRollout,
  type StoredTarget,
} from './rollouts.store.js';
import { rolloutView, targetView } from './rollout.view.js';

/** Following rollouts and steering them. */
@Controller()
export class RolloutsController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly groups: Groups,
    private readonly orchestrator: Orchestrator,
  ) {}

  @Endpoint('rollouts.list')
  async list(
    @Given() { query }: Input<'rollouts.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'rollouts.list'>> {
    const groups = await this.#groups(caller, query.group_id);
    const rows = await listRollouts(this.database.read, {
      groups,
      status: query.status,
      before: readCursor(query.cursor),
      limit: query.limit + 1,
    });
    const keyOf = ({ meta }: StoredRollout): Cursor => ({ at: meta.createdAt, id: meta.id });
    return pageFrom(rows, query.limit, keyOf, rolloutView);
  }

  @Endpoint('rollouts.show')
  async show(
    @Given() { params }: Input<'rollouts.show'>,
    @Who() caller: Caller,
  ): Promise<Answer<'rollouts.show'>> {
    return rolloutView(await this.#visible(params.id, caller));
  }

  @Endpoint('rollouts.targets')
  async targets(
    @Given() { params, query }: Input<'rollouts.targets'>,
    @Who() caller: Caller,
  ): Promise<Answer<'rollouts.targets'>> {
    await this.#visible(params.id, caller);
    // Ordered by wave, then node: the wave takes the place of the time in the cursor.
    const after = readCursor(query.cursor);
    const rows = await listTargets(
      this.database.read,
      params.id,
      after === null ? null : { wave: after.at, nodeId: after.id },
      query.limit + 1,
    );
    const keyOf = (target: StoredTarget): Cursor => ({ at: target.wave, id: target.nodeId });
    return pageFrom(rows, query.limit, keyOf, targetView);
  }

  @Endpoint('rollouts.pause')
  pause(@Given() given: Input<'rollouts.pause'>, @Who() caller: Caller): Promise<Rollout> {
    return this.#steer(given.params.id, 'pause', caller);
  }

  @Endpoint('rollouts.resume')
  resume(@Given() given: Input<'rollouts.resume'>, @Who() caller: Caller): Promise<Rollout> {
    return this.#steer(given.params.id, 'resume', caller);
  }

  @Endpoint('rollouts.cancel')
  cancel(@Given() given: Input<'rollouts.cancel'>, @Who() caller: Caller): Promise<Rollout> {
    return this.#steer(given.params.id, 'cancel', caller);
  }

  /**
   * Whoever may start a rollout may steer it: for one node an operator, for a group its admin.
   */
  async #steer(id: string, verb: 'pause' | 'resume' | 'cancel', caller: Caller): Promise<Rollout> {
    const { meta } = await this.#visible(id, caller);
    const needed = meta.scopeKind === 'node' ? 'rollout.control' : 'group.upgrade';
    await this.access.require(caller, needed, meta.groupId);
    await this.orchestrator.verb(id, verb, caller);
    return rolloutView(await this.#visible(id, caller));
  }

  /** A filter by group means the group and everything below it. */
  async #groups(caller: Caller, groupId: string | undefined): Promise<'all' | readonly string[]> {
    if (groupId === undefined) return await this.access.visibleGroups(caller, 'rollout.view');
    await this.access.require(caller, 'rollout.view', groupId);
    return await this.groups.subtree(groupId);
  }

  async #visible(id: string, caller: Caller): Promise<StoredRollout> {
    const rollout = await findRollout(this.database.read, id);
    if (rollout === null) throw new FleetError('not_found', `no rollout ${id}`);
    await this.access.require(caller, 'rollout.view', rollout.meta.groupId);
    return rollout;
  }
}
