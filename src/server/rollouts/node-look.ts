import { Inject, Injectable } from '@nestjs/common';
import { instant } from '../../core/kernel/index.js';
import {
  downMax,
  hasBudget,
  type Circumstances,
  type NodeFacts,
} from '../../core/rollout/index.js';
import type { ServiceReport } from '../../protocol/node/index.js';
import { LiveNodes, Nodes } from '../fleet/index.js';
import { type Clock, CLOCK, Database } from '../platform/index.js';
import { CircumstancesBook } from './circumstances.js';
import type { VersionCount } from './report.view.js';
import type { StoredRollout } from './tables/rollouts.store.js';
import { countDown } from './tables/down.store.js';
import { findTarget, servicesOfTargets, type StoredTarget } from './tables/targets.store.js';

/** What is known of the nodes of a rollout at this moment, for those who look on. */
@Injectable()
export class NodeLook {
  constructor(
    private readonly database: Database,
    private readonly nodes: Nodes,
    private readonly live: LiveNodes,
    private readonly book: CircumstancesBook,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async mode({ meta }: StoredRollout): Promise<Circumstances['mode']> {
    const now = instant(this.clock.now());
    return (await this.book.of(this.database.read, meta.groupId, now)).mode;
  }

  /** How many nodes of each wave run which version, by their last word. */
  async versions({ meta }: StoredRollout): Promise<VersionCount[]> {
    const counts = new Map<string, VersionCount>();
    for (const row of await servicesOfTargets(this.database.read, meta.id)) {
      const services = JSON.parse(row.services) as ServiceReport[];
      const version = services.find((one) => one.name === row.service)?.version ?? null;
      const key = `${row.wave}/${version ?? ''}`;
      const before = counts.get(key) ?? { wave: row.wave, version, online: 0, count: 0 };
      const online = before.online + (row.isOnline ? 1 : 0);
      counts.set(key, { ...before, online, count: before.count + 1 });
    }
    return [...counts.values()];
  }

  /** One target with the facts that a decision about it would see; null when there is none. */
  async at(
    { meta, state }: StoredRollout,
    nodeId: string,
  ): Promise<{ readonly target: StoredTarget; readonly facts: NodeFacts } | null> {
    const now = instant(this.clock.now());
    const target = await findTarget(this.database.read, meta.id, nodeId);
    const node = await this.nodes.find(nodeId);
    if (target === null || node === null) return null;
    return {
      target,
      facts: {
        now,
        circumstances: await this.book.of(this.database.read, node.groupId, now, meta),
        otherNodesDown: hasBudget(state)
          ? await countDown(this.database.read, meta.id, { but: nodeId, most: downMax(state), now })
          : 0,
        isOnline: await this.live.isOnline(nodeId),
        lastSeenAt: node.lastSeenAt === null ? null : instant(node.lastSeenAt),
      },
    };
  }
}
