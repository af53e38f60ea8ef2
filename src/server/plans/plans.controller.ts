import { Controller } from '@nestjs/common';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import {
  Database,
  Endpoint,
  Given,
  pageFrom,
  readCursor,
  Who,
  type Caller,
} from '../platform/index.js';
import { Plans, planView } from './plans.js';
import { listPlans } from './plans.store.js';

/** Stored plans over HTTP. Whoever may start rollouts of a group says how they go there. */
@Controller()
export class PlansController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly plans: Plans,
  ) {}

  @Endpoint('plans.list')
  async list(
    @Given() { query }: Input<'plans.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'plans.list'>> {
    const only = query.for_group_id;
    const rows = await listPlans(this.database.read, {
      groups:
        only === undefined
          ? await this.plans.visibleGroups(caller)
          : await this.plans.reachOf(only, caller),
      after: readCursor(query.cursor),
      limit: query.limit + 1,
    });
    return pageFrom(rows, query.limit, ({ createdAt: at, id }) => ({ at, id }), planView);
  }

  @Endpoint('plans.create')
  async create(
    @Given() { body }: Input<'plans.create'>,
    @Who() caller: Caller,
  ): Promise<Answer<'plans.create'>> {
    await this.access.require(caller, 'group.upgrade', body.group_id);
    return planView(await this.plans.create(body, caller));
  }

  @Endpoint('plans.show')
  async show(
    @Given() { params }: Input<'plans.show'>,
    @Who() caller: Caller,
  ): Promise<Answer<'plans.show'>> {
    return planView(await this.plans.visible(params.id, caller));
  }

  @Endpoint('plans.change')
  async change(
    @Given() { params, body }: Input<'plans.change'>,
    @Who() caller: Caller,
  ): Promise<Answer<'plans.change'>> {
    await this.#own(caller, params.id);
    return planView(await this.plans.change(params.id, body, caller));
  }

  @Endpoint('plans.remove')
  async remove(@Given() { params }: Input<'plans.remove'>, @Who() caller: Caller): Promise<void> {
    await this.#own(caller, params.id);
    await this.plans.remove(params.id, caller);
  }

  /** Throws `not_found`; `insufficient_role` for whoever may only see, or only take it. */
  async #own(caller: Caller, id: string): Promise<void> {
    const plan = await this.plans.visible(id, caller);
    await this.access.require(caller, 'group.upgrade', plan.groupId);
  }
}
