import { Injectable } from '@nestjs/common';
import type { NodeEvent, NodeEventType } from '../../protocol/node/index.js';
import type { NodeEventObserver, NodeNews } from '../events/index.js';
import type { Tx } from '../platform/database/index.js';
import { Nodes } from './nodes.store.js';

/** After these a service runs what `to_version` says. */
const CHANGES: ReadonlySet<NodeEventType> = new Set(['upgrade_completed', 'upgrade_rolled_back']);

/**
 * Keeps the version of each service as fresh as the events: a rollout that is asked for right after
 * another must not decide on what the last health report said, up to a heartbeat ago.
 */
@Injectable()
export class InstalledVersions implements NodeEventObserver {
  constructor(private readonly nodes: Nodes) {}

  async rolloutsOf(): Promise<ReadonlyMap<string, string>> {
    return new Map();
  }

  async observe(tx: Tx, news: readonly NodeNews[]): Promise<void> {
    for (const { node, events } of news) {
      const versions = new Map(events.flatMap(versionIn));
      if (versions.size > 0) await this.nodes.recordVersions(tx, node.nodeId, versions);
    }
  }
}

function versionIn({ type, service, details }: NodeEvent): [string, string][] {
  const version = details['to_version'];
  const isChange = CHANGES.has(type) && service !== null && typeof version === 'string';
  return isChange ? [[service, version]] : [];
}
