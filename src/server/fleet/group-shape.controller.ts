import { Controller } from '@nestjs/common';
import type { Answer, Input } from '../../protocol/api/index.js';
import { groupView } from '../access/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/http/index.js';
import { GroupShape } from './group-shape.js';
import { Transfers } from './transfers.js';

/** The shape of the tree, and who hangs where in it. */
@Controller()
export class GroupShapeController {
  constructor(
    private readonly shape: GroupShape,
    private readonly transfers: Transfers,
  ) {}

  @Endpoint('groups.change')
  async change(
    @Given() { params, body }: Input<'groups.change'>,
    @Who() caller: Caller,
  ): Promise<Answer<'groups.change'>> {
    return groupView(await this.shape.change(caller, params.id, body));
  }

  @Endpoint('groups.remove')
  async remove(@Given() { params }: Input<'groups.remove'>, @Who() caller: Caller): Promise<void> {
    await this.shape.remove(caller, params.id);
  }

  @Endpoint('groups.set_quota')
  async limit(
    @Given() { params, body }: Input<'groups.set_quota'>,
    @Who() caller: Caller,
  ): Promise<Answer<'groups.set_quota'>> {
    return groupView(await this.shape.limit(caller, params.id, body.nodes_max));
  }

  @Endpoint('nodes.transfer')
  async transfer(
    @Given() { body }: Input<'nodes.transfer'>,
    @Who() caller: Caller,
  ): Promise<Answer<'nodes.transfer'>> {
    const moved = await this.transfers.transfer(body.node_ids, body.group_id, caller);
    return { items: moved.map(({ id, groupId }) => ({ id, group_id: groupId })) };
  }
}
