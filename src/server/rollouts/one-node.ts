import { SECOND_MS } from '../../core/kernel/index.js';
import type { FleetNode } from '../fleet/index.js';
import type { StoredRelease } from '../releases/index.js';
import { type RolloutRequest } from './planning.js';

/** For one node there is nobody to protect by waiting: half an hour until it counts as silent. */
const ONE_NODE_DEADLINE_MS = 1_800 * SECOND_MS;

/** An upgrade of one node, at once: a rollout like any other. */
export const oneNode = (
  node: FleetNode,
  release: StoredRelease,
  terms: Partial<RolloutRequest['terms']> = {},
): RolloutRequest => ({
  kind: 'node',
  scope: {
    groupId: node.groupId,
    subgroups: false,
    labels: {},
    nodeIds: [node.id],
    exclude: [],
  },
  nodes: [node],
  release,
  preset: { strategy: 'immediate' },
  start: { applyAfter: null, approvals: 0, order: 'sequential' },
  terms: {
    nodeDeadlineMs: ONE_NODE_DEADLINE_MS,
    maxUnavailable: null,
    expiresAt: null,
    spreadMs: 0,
    ...terms,
  },
  cut: { domain: null, strata: [] },
  startVersion: null,
  reverts: null,
});
