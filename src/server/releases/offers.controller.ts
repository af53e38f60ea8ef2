import { Controller } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access, Groups } from '../access/index.js';
import { Nodes } from '../fleet/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/index.js';
import { Catalog } from './catalog.js';

/** What nodes could be brought to. What a caller may not view is not there for him. */
@Controller()
export class OffersController {
  constructor(
    private readonly access: Access,
    private readonly groups: Groups,
    private readonly nodes: Nodes,
    private readonly catalog: Catalog,
  ) {}

  @Endpoint('nodes.upgrades')
  async node(
    @Given() { params, query }: Input<'nodes.upgrades'>,
    @Who() caller: Caller,
  ): Promise<Answer<'nodes.upgrades'>> {
    const node = await this.nodes.find(params.id);
    if (node === null) throw new FleetError('not_found', 'no such node');
    await this.access.require(caller, 'node.view', node.groupId);
    return { items: await this.catalog.ofNode(node, query) };
  }

  @Endpoint('groups.upgrades')
  async group(
    @Given() { params, query }: Input<'groups.upgrades'>,
    @Who() caller: Caller,
  ): Promise<Answer<'groups.upgrades'>> {
    await this.access.require(caller, 'node.view', params.id);
    const nodes = await this.nodes.listInGroups(await this.groups.subtree(params.id));
    return { items: await this.catalog.ofNodes(nodes, query) };
  }
}
