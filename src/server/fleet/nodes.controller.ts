import { Controller } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access, Groups } from '../access/index.js';
import { Endpoint, Given, pageFrom, readCursor, Who, type Caller } from '../platform/http/index.js';
import { LiveNodes } from './live-nodes.js';
import { Nodes, type FleetNode } from './nodes.store.js';
import { Revocation } from './revocation.js';

/** Nodes over HTTP. What a caller may not view is not there for him. */
@Controller()
export class NodesController {
  constructor(
    private readonly access: Access,
    private readonly groups: Groups,
    private readonly nodes: Nodes,
    private readonly live: LiveNodes,
    private readonly revocation: Revocation,
  ) {}

  @Endpoint('nodes.list')
  async list(
    @Given() { query }: Input<'nodes.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'nodes.list'>> {
    const groups = await this.#groups(caller, query.group_id);
    const rows = await this.nodes.list({
      groups,
      status: query.status,
      after: readCursor(query.cursor),
      limit: query.limit + 1,
    });
    const same = (node: FleetNode): FleetNode => node;
    const page = pageFrom(rows, query.limit, ({ enrolledAt: at, id }) => ({ at, id }), same);
    return { ...page, items: await Promise.all(page.items.map((node) => this.live.view(node))) };
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

  /** A filter by group means the group and everything below it. */
  async #groups(caller: Caller, groupId: string | undefined): Promise<'all' | readonly string[]> {
    if (groupId === undefined) return await this.access.visibleGroups(caller, 'node.view');
    await this.access.require(caller, 'node.view', groupId);
    return await this.groups.subtree(groupId);
  }

  async #find(id: string): Promise<FleetNode> {
    const node = await this.nodes.find(id);
    if (node === null) throw new FleetError('not_found', 'no such node');
    return node;
  }
}
