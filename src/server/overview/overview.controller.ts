import { Controller } from '@nestjs/common';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/index.js';
import { Visible } from '../rollouts/index.js';
import { CellsOfRollout } from './cells.js';
import { GroupNumbers } from './group-numbers.js';
import { Needs } from './needs.js';

/** What waits for a person, and rollouts as pictures. */
@Controller()
export class OverviewController {
  constructor(
    private readonly needs: Needs,
    private readonly cellsOf: CellsOfRollout,
    private readonly visible: Visible,
    private readonly numbers: GroupNumbers,
  ) {}

  @Endpoint('needs.list')
  async list(
    @Given() { query }: Input<'needs.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'needs.list'>> {
    return await this.needs.list(caller, query.group_id);
  }

  @Endpoint('fleet.groups')
  async groups(@Who() caller: Caller): Promise<Answer<'fleet.groups'>> {
    return { items: [...(await this.numbers.list(caller))] };
  }

  @Endpoint('rollouts.cells')
  async cells(
    @Given() { params, query }: Input<'rollouts.cells'>,
    @Who() caller: Caller,
  ): Promise<Answer<'rollouts.cells'>> {
    await this.visible.rollout(params.id, caller);
    return await this.cellsOf.read(params.id, query.since);
  }
}
