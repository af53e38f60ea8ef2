import { Inject, Injectable } from '@nestjs/common';
import type { Node } from '../../protocol/api/index.js';
import { HEARTBEATS_MISSED_MAX } from '../../protocol/node/index.js';
import { Links } from '../gateway/index.js';
import { CLOCK, CONFIG, type Clock, type Config } from '../platform/index.js';
import { HealthBook, REWRITE_AFTER_MS } from './health-book.js';
import { nodeView } from './node.view.js';
import { Nodes, type FleetNode } from './nodes.store.js';

/** How far the services of a node are behind what is published. */
export type SupportOf = (node: Pick<FleetNode, 'services'>) => Promise<Node['support']>;

/** Nodes with what this process knows of them right now. */
@Injectable()
export class LiveNodes {
  #supportOf: SupportOf = async () => [];

  constructor(
    private readonly links: Links,
    private readonly book: HealthBook,
    private readonly nodes: Nodes,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Who knows what is published is not known here. */
  useSupport(supportOf: SupportOf): void {
    this.#supportOf = supportOf;
  }

  async view(node: FleetNode): Promise<Node> {
    return nodeView(node, {
      transport: this.#transportOf(node),
      seenAt: this.book.seenAt(node.id),
      support: await this.#supportOf(node),
    });
  }

  /**
   * A link here counts once its arrival is written: until then nothing else that is stored is of this link, and whoever sees the
   * node online would see it without what it has just told. Of links that another manager has, what that one has written.
   */
  #transportOf({ id, status, heldBy, upgrader }: FleetNode): Node['transport'] {
    if (status !== 'online') return null;
    const here = this.links.transportOf(id);
    const isElsewhere = heldBy !== null && heldBy !== this.links.elsewhere.managerId;
    if (here !== null || !isElsewhere) return here;
    return upgrader === 'poll' ? 'poll' : 'socket';
  }

  /**
   * Whether a node is here. Its link decides when this process has it, or had it a moment ago. Otherwise
   * another one may: then what that stored counts, for as long as a node that lives can leave it as it is.
   */
  async isOnline(nodeId: string): Promise<boolean> {
    if (this.links.online(nodeId)) return true;
    if (this.links.isLeaving(nodeId)) return false;
    const node = await this.nodes.find(nodeId);
    if (node?.status !== 'online') return false;
    const quietMs = this.clock.now() - (node.lastSeenAt ?? 0);
    return quietMs <= this.config.heartbeatMs * HEARTBEATS_MISSED_MAX + REWRITE_AFTER_MS;
  }
}
