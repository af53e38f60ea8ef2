import { Injectable } from '@nestjs/common';
import { isErrorCode } from '../../protocol/index.js';
import type { NodeEvent, NodeEventType } from '../../protocol/node/index.js';
import type { NodeEventObserver, NodeNews } from '../events/index.js';
import type { Tx } from '../platform/database/index.js';
import { saveBadges } from './facts.store.js';
import type { Badge } from './node-facts.js';
import { Nodes } from './nodes.store.js';

/** After these a service runs what `to_version` says. */
const CHANGES: ReadonlySet<NodeEventType> = new Set(['upgrade_completed', 'upgrade_rolled_back']);

/** What stands on the badge of a node after these; of another, what stood there before. */
const BADGES: Readonly<Partial<Record<NodeEventType, Badge>>> = {
  upgrade_started: 'upgrading',
  upgrade_completed: 'updated',
  upgrade_rolled_back: 'failed',
  upgrade_refused: 'failed',
  upgrade_withdrawn: 'none',
  upgrade_download_failed: 'failed',
  upgrade_verify_failed: 'failed',
  upgrade_stage_failed: 'failed',
  upgrade_swap_failed: 'failed',
  upgrade_rollback_failed: 'failed',
};

/**
 * Keeps version and badge of each service as fresh as the events: a rollout that is asked for right after
 * another must not decide on what the last health report said, up to a heartbeat ago.
 */
@Injectable()
export class InstalledVersions implements NodeEventObserver {
  constructor(private readonly nodes: Nodes) {}

  async observe(tx: Tx, news: readonly NodeNews[]): Promise<void> {
    const changes = news
      .map(({ node, events }) => ({
        nodeId: node.nodeId,
        versions: new Map(events.flatMap(versionIn)),
        badge: events.flatMap(badgeIn).at(-1),
      }))
      .filter(({ versions, badge }) => versions.size > 0 || badge !== undefined);
    await this.nodes.hold(
      tx,
      changes.map(({ nodeId }) => nodeId),
    );
    // What a node told twice in one go counts in its order.
    const versionsOf = new Map<string, Map<string, string>>();
    for (const { nodeId, versions } of changes.filter((one) => one.versions.size > 0)) {
      versionsOf.set(nodeId, new Map([...(versionsOf.get(nodeId) ?? []), ...versions]));
    }
    await this.nodes.recordVersions(tx, versionsOf);
    // After the versions: the report that they are written into is older than the event.
    const nodesByBadge = new Map<string, string[]>();
    for (const { nodeId, badge } of changes) {
      if (badge === undefined) continue;
      nodesByBadge.set(badge, [...(nodesByBadge.get(badge) ?? []), nodeId]);
    }
    for (const [told, nodeIds] of nodesByBadge) {
      const [badge = 'none', code = ''] = told.split(' ');
      await saveBadges(tx, nodeIds, { badge: badge as Badge, code });
    }
  }
}

/** The badge, and behind a space the code of a failure. */
function badgeIn({ type, details }: NodeEvent): string[] {
  const badge = BADGES[type];
  if (badge === undefined) return [];
  const code = details['error_code'];
  return badge === 'failed' && typeof code === 'string' && isErrorCode(code)
    ? [`${badge} ${code}`]
    : [badge];
}

function versionIn({ type, service, details }: NodeEvent): [string, string][] {
  const version = details['to_version'];
  const isChange = CHANGES.has(type) && service !== null && typeof version === 'string';
  return isChange ? [[service, version]] : [];
}
