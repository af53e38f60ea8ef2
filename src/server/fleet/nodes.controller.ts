import { Controller } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/http/index.js';
import { LiveNodes } from './live-nodes.js';
import { NodeLists } from './node-lists.js';
import { Nodes, type FleetNode } from './nodes.store.js';
import { Revocation } from './revocation.js';
import { VisibleNodes } from './visible-nodes.js';

/** Nodes over HTTP. What a caller may not view is not there for him. */
@Controller()
export class NodesController {
  constructor(
    private readonly access: Access,
    private readonly nodes: Nodes,
    private readonly lists: NodeLists,
    private readonly live: LiveNodes,
    private readonly revocation: Revocation,
    private readonly visible: VisibleNodes,
  ) {}

  @Endpoint('nodes.list')
  async list(
    @Given() { query }: Input<'nodes.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'nodes.list'>> {
    const groups = await this.visible.groups(caller, query.group_id, query.subgroups ?? true);
    const { nodes, ...page } = await this.lists.page(groups, query);
    return { ...page, items: await Promise.all(nodes.map((node) => this.live.view(node))) };
  }

  @Endpoint('nodes.show')
  async show(
    @Given() { params }: Input<'nodes.show'>,
    @Who() caller: Caller,
  ): Promise<Answer<'nodes.show'>> {
    const node = await this.#find(params.id);
    await this.access.require(caller, 'node.view', node.groupId);
    return this.live.view(node);
  }

  @Endpoint('nodes.revoke')
  async revoke(
    @Given() { params }: Input<'nodes.revoke'>,
    @Who() caller: Caller,
  ): Promise<Answer<'nodes.revoke'>> {
    const node = await this.#find(params.id);
    await this.access.require(caller, 'node.enroll', node.groupId);
    return this.live.view(await this.revocation.revoke(node, caller));
  }

  async #find(id: string): Promise<FleetNode> {
    const node = await this.nodes.find(id);
    if (node === null) throw new FleetError('not_found', 'no such node');
    return node;
  }
}
