import { Controller } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input, Permission } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { LiveNodes, Nodes, type FleetNode } from '../fleet/index.js';
import { Endpoint, Given, pageFrom, readCursor, Who, type Caller } from '../platform/index.js';
import { LookRooms } from './look-rooms.js';
import { linkOf } from './node-link.js';
import { NodeStory, type NodeUpgrade } from './node-story.js';
import { whyNone } from './node-why.js';

/** One node over time: its upgrades, why it is not newer, how its link held. */
@Controller()
export class NodeStoryController {
  constructor(
    private readonly access: Access,
    private readonly nodes: Nodes,
    private readonly live: LiveNodes,
    private readonly story: NodeStory,
    private readonly rooms: LookRooms,
  ) {}

  @Endpoint('nodes.history')
  async history(
    @Given() { params, query }: Input<'nodes.history'>,
    @Who() caller: Caller,
  ): Promise<Answer<'nodes.history'>> {
    const node = await this.#find(params.id, caller, 'rollout.view');
    const rows = await this.story.upgrades(caller, node, {
      before: readCursor(query.cursor),
      limit: query.limit + 1,
    });
    const keyOf = ({ created_at: at, rollout_id: id }: NodeUpgrade) => ({ at: Date.parse(at), id });
    const page = pageFrom(rows, query.limit, keyOf, (row) => row);
    return { ...page, items: await this.story.withSteps(caller, node, page.items) };
  }

  @Endpoint('nodes.why')
  async why(
    @Given() { params }: Input<'nodes.why'>,
    @Who() caller: Caller,
  ): Promise<Answer<'nodes.why'>> {
    const stored = await this.#find(params.id, caller, 'rollout.view');
    const node = await this.live.view(stored);
    const mode = await this.rooms.modeOf(stored.groupId);
    const services: Answer<'nodes.why'>['services'] = [];
    for (const service of node.services) {
      const { name, product, version } = service;
      const newest = node.support.find((one) => one.service === name)?.newest ?? null;
      const led = await this.story.led(stored, name);
      services.push({
        service: name,
        product,
        version,
        newest,
        rollout_id: led?.rolloutId ?? null,
        state: led?.state ?? null,
        because: led?.because ?? whyNone(node, service, { newest, mode }),
      });
    }
    return { node_id: node.id, services };
  }

  @Endpoint('nodes.link')
  async link(
    @Given() { params }: Input<'nodes.link'>,
    @Who() caller: Caller,
  ): Promise<Answer<'nodes.link'>> {
    const node = await this.live.view(await this.#find(params.id, caller, 'node.view'));
    const groups = await this.access.visibleGroups(caller, 'node.view');
    return await linkOf(this.rooms, node, { groups, now: this.rooms.clock.now() });
  }

  async #find(
    id: string,
    caller: Caller,
    permission: Exclude<Permission, 'public' | 'node' | 'person'>,
  ): Promise<FleetNode> {
    const node = await this.nodes.find(id);
    if (node === null) throw new FleetError('not_found', 'no such node');
    await this.access.require(caller, permission, node.groupId);
    return node;
  }
}
