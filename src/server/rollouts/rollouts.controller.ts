import { Controller } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import { whyNot } from '../../core/rollout/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access, Groups } from '../access/index.js';
import {
  type Caller,
  Database,
  Endpoint,
  Given,
  pageFrom,
  readCursor,
  Who,
  type Cursor,
} from '../platform/index.js';
import { NodeLook } from './node-look.js';
import { reportView } from './report.view.js';
import { listRollouts, type StoredRollout } from './tables/rollouts.store.js';
import { momentView, rolloutView, targetView } from './rollout.view.js';
import { listTargets, type StoredTarget } from './tables/targets.store.js';
import { Visible } from './visible.js';

/** Following rollouts: what they are, where they stand, why a node is not there yet. */
@Controller()
export class RolloutsController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly groups: Groups,
    private readonly visible: Visible,
    private readonly look: NodeLook,
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
      after: readCursor(query.cursor),
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
    return rolloutView(await this.visible.rollout(params.id, caller));
  }

  @Endpoint('rollouts.targets')
  async targets(
    @Given() { params, query }: Input<'rollouts.targets'>,
    @Who() caller: Caller,
  ): Promise<Answer<'rollouts.targets'>> {
    await this.visible.rollout(params.id, caller);
    // Ordered by wave, then node: the wave takes the place of the time in the cursor.
    const after = readCursor(query.cursor);
    const rows = await listTargets(
      this.database.read,
      params.id,
      after === null ? null : { wave: after.at, nodeId: after.id },
      query.limit + 1,
      { state: query.state, nodeId: query.node_id },
    );
    const keyOf = (target: StoredTarget): Cursor => ({ at: target.wave, id: target.nodeId });
    return pageFrom(rows, query.limit, keyOf, targetView);
  }

  @Endpoint('rollouts.report')
  async report(
    @Given() { params }: Input<'rollouts.report'>,
    @Who() caller: Caller,
  ): Promise<Answer<'rollouts.report'>> {
    const stored = await this.visible.rollout(params.id, caller);
    return reportView(stored, await this.look.mode(stored), await this.look.versions(stored));
  }

  @Endpoint('rollouts.why')
  async why(
    @Given() { params }: Input<'rollouts.why'>,
    @Who() caller: Caller,
  ): Promise<Answer<'rollouts.why'>> {
    const stored = await this.visible.rollout(params.id, caller);
    const look = await this.look.at(stored, params.node);
    if (look === null) throw new FleetError('not_found', `no target ${params.node}`);
    return {
      node_id: params.node,
      rollout_id: params.id,
      state: look.target.state,
      because: whyNot(stored.state, look.target, look.facts).map(({ code, message, until }) => ({
        code,
        message,
        until: momentView(until),
      })),
    };
  }

  /** A filter by group means the group and everything below it. */
  async #groups(caller: Caller, groupId: string | undefined): Promise<'all' | readonly string[]> {
    if (groupId === undefined) return await this.access.visibleGroups(caller, 'rollout.view');
    await this.access.require(caller, 'rollout.view', groupId);
    return await this.groups.subtree(groupId);
  }
}
