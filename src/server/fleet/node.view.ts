import { toIso } from '../../core/kernel/index.js';
import type { Node } from '../../protocol/api/index.js';
import type { FleetNode } from './nodes.store.js';

/** What this process knows better than the table does. */
export interface Live {
  /** Null: it has no link here. */
  readonly transport: Node['transport'];
  readonly seenAt: number | null;
  readonly support: Node['support'];
}

/** Presence is what the links say; the table only remembers it for filters. */
export function nodeView(node: FleetNode, live: Live): Node {
  const seenAt = Math.max(node.lastSeenAt ?? 0, live.seenAt ?? 0);
  const present = live.transport === null ? 'offline' : 'online';
  return {
    id: node.id,
    name: node.name,
    group_id: node.groupId,
    status: node.revokedAt === null ? present : 'revoked',
    transport: node.revokedAt === null ? live.transport : null,
    host: node.host,
    labels: { ...node.labels },
    agent_version: node.agentVersion,
    policy_digest: node.policyDigest === '' ? null : node.policyDigest,
    capabilities: [...node.capabilities],
    services: [...node.services],
    upgrader: node.upgrader,
    upgrade: { state: node.badge, code: node.badgeCode === '' ? null : node.badgeCode },
    support: live.support,
    enrolled_at: toIso(node.enrolledAt),
    last_seen_at: seenAt === 0 ? null : toIso(seenAt),
  };
}
