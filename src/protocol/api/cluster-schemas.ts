import { z } from 'zod';
import { ClusterName, Id } from '../node/index.js';

const Moment = z.iso.datetime();
/** Two years: whoever needs it for longer makes a new one. */
const EXPIRES_DAYS_MAX = 730;

export const CreateClusterToken = z.object({
  group_id: Id.default('grp_default'),
  /** Only enrollments for this cluster are taken. */
  cluster: ClusterName,
  expires_days: z.int().min(1).max(EXPIRES_DAYS_MAX).default(365),
  /** How many nodes the cluster may hold at once; no limit of its own when left out. */
  max_nodes: z.int().min(1).max(100_000).nullable().default(null),
});

export const ClusterToken = z.object({
  id: Id,
  group_id: Id,
  cluster: z.string(),
  max_nodes: z.int().nullable(),
  /** Nodes of the cluster that are not revoked, whichever token enrolled them. */
  nodes: z.int(),
  created_at: Moment,
  expires_at: Moment,
  last_used_at: Moment.nullable(),
  revoked_at: Moment.nullable(),
});

export const ClusterTokenCreated = ClusterToken.extend({
  /** Shown once, stored only as a hash. */
  secret: z.string(),
  /** A line that puts it into the cluster. */
  command: z.string(),
});

export const ClusterTokenQuery = z.object({ group_id: Id.default('grp_default') });
export const ClusterTokenList = z.object({ items: z.array(ClusterToken) });
