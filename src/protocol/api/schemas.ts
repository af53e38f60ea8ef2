import { z } from 'zod';
import { PERMISSIONS, WHOLE_PERMISSIONS } from '../../core/access/index.js';
import { ERROR_CODES } from '../errors.js';
import { Host, Id, Labels, ServiceReport } from '../node/index.js';
import { NodeStatus, UpgradeBadge, Upgrader } from './fleet-schemas.js';
import { PageQuery, pageOf } from './pages.js';
import { Support } from './release-schemas.js';
import { RolloutStatus, TargetState } from './rollout-schemas.js';

const Name = z.string().trim().min(1).max(128);
const Moment = z.iso.datetime();
const Count = z.int().min(0);

export { PageQuery, pageOf } from './pages.js';

/** RFC 9457, with our `code`; `problems` lists every field that is wrong. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.enum(ERROR_CODES),
  fix: z.string(),
  request_id: z.string(),
  problems: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  context: z.record(z.string(), z.unknown()).optional(),
});
export type Problem = z.infer<typeof Problem>;

// -- access -----------------------------------------------------------------------------------

export const GroupRole = z.enum(['viewer', 'operator', 'admin']);
export type GroupRole = z.infer<typeof GroupRole>;

export const SetupRequest = z.object({ setup_token: z.string().min(16).max(200), name: Name });
export const TokenRole = z.enum(['super_admin', 'release', 'viewer', 'operator', 'admin']);
const TokenPermission = z.enum(PERMISSIONS);
const TokenDays = z.int().min(1).max(365);

/**
 * A role, or permissions by name. `viewer operator admin` are held on `group_id` and below; the other
 * two are platform roles. Permissions are held on `group_id` and below, or everywhere when there is none.
 */
export const CreateToken = z
  .strictObject({
    name: Name,
    role: TokenRole.optional(),
    permissions: z.array(TokenPermission).min(1).max(PERMISSIONS.length).optional(),
    group_id: Id.nullable().default(null),
    /** A year at most. */
    expires_in_days: TokenDays.default(90),
  })
  .refine((t) => (t.role === undefined) !== (t.permissions === undefined), {
    path: ['permissions'],
    message: 'give either role or permissions',
  })
  .refine(
    (t) =>
      t.role === undefined ||
      (t.role === 'super_admin' || t.role === 'release') === (t.group_id === null),
    { path: ['group_id'], message: 'group roles need a group_id, platform roles none' },
  )
  .refine(
    (t) =>
      t.group_id === null ||
      t.permissions?.some((each) => WHOLE_PERMISSIONS.includes(each)) !== true,
    {
      path: ['group_id'],
      message: `${WHOLE_PERMISSIONS.join(' and ')} are held on no group: leave group_id out`,
    },
  );
/** The new token lives `expires_in_days`; the old one `grace_minutes` more, for its users to change over. */
export const RotateToken = z.object({
  expires_in_days: TokenDays.default(90),
  grace_minutes: z.int().min(0).max(60).default(0),
});
export const Token = z.object({
  id: Id,
  name: z.string(),
  /** Null when it holds `permissions`, which is null otherwise. */
  role: TokenRole.nullable(),
  permissions: z.array(TokenPermission).nullable(),
  group_id: Id.nullable(),
  created_at: Moment,
  expires_at: Moment,
  /** To the minute. */
  last_used_at: Moment.nullable(),
  /** The address it came from then. */
  last_used_from: z.string().nullable(),
  /** Who stands behind it: a user, or the token of the set-up; null when nobody is known. */
  made_by: Id.nullable(),
});
/** `secret` is shown once, here, and stored only as a hash. */
export const TokenCreated = Token.extend({ secret: z.string() });

// -- fleet ------------------------------------------------------------------------------------

export const Group = z.object({
  id: Id,
  name: z.string(),
  parent_id: Id.nullable(),
  /** How many nodes it may hold, with those of the groups below; null: as many as come. */
  nodes_max: Count.nullable(),
  created_at: Moment,
});
export const ChangeGroup = z
  .object({ name: Name.optional(), parent_id: Id.optional() })
  .refine(({ name, parent_id }) => name !== undefined || parent_id !== undefined, {
    path: ['name'],
    message: 'give a name or a parent_id',
  });
export const SetQuota = z.object({ nodes_max: Count.max(1_000_000).nullable() });
export const TransferNodes = z.object({
  node_ids: z.array(Id).min(1).max(100),
  group_id: Id,
});
export const Transferred = z.object({ items: z.array(z.object({ id: Id, group_id: Id })) });
export const CreateGroup = z.object({ name: Name, parent_id: Id.default('grp_default') });

export const Node = z.object({
  id: Id,
  name: z.string(),
  group_id: Id,
  status: NodeStatus,
  /** How it is connected now: by a WebSocket, or by requests (a poll); null while it is not. */
  transport: z.enum(['socket', 'poll']).nullable(),
  host: Host,
  labels: Labels,
  agent_version: z.string().nullable(),
  /**
   * SHA-256 in hex over the policies of its services when it connected last; `invalid`: one of them cannot be read, so
   * everything is refused. Null: nothing was told. Tells drift, not content.
   */
  policy_digest: z.string().nullable(),
  capabilities: z.array(z.string()),
  services: z.array(ServiceReport),
  /** Of each service that runs something, how far it is behind what its channel has. */
  support: z.array(Support),
  /** Who upgrades it: its agent by a socket or by polls, an operator of Kubernetes, or nobody. */
  upgrader: Upgrader,
  /** What it does now, or how its last upgrade ended; `code` is that of a failure. */
  upgrade: z.object({ state: UpgradeBadge, code: z.string().nullable() }),
  enrolled_at: Moment,
  last_seen_at: Moment.nullable(),
});
export type Node = z.infer<typeof Node>;
/** `total` is null unless it was asked for. */
export const NodePage = pageOf(Node).extend({ total: Count.nullable() });
export * from './fleet-schemas.js';

export const CreateEnrollmentToken = z.object({ group_id: Id.default('grp_default') });
export const EnrollmentTokenCreated = z.object({
  id: Id,
  group_id: Id,
  expires_at: Moment,
  /** Shown once, stored only as a hash. */
  secret: z.string(),
  /** A line to copy to the node. */
  command: z.string(),
});

export * from './cluster-schemas.js';

// -- releases ---------------------------------------------------------------------------------

export * from './release-schemas.js';

// -- rollouts ---------------------------------------------------------------------------------

export * from './rollout-schemas.js';
export * from './plan-schemas.js';

export const RolloutQuery = PageQuery.extend({
  group_id: Id.optional(),
  status: RolloutStatus.optional(),
});
export const TargetQuery = PageQuery.extend({
  state: TargetState.optional(),
  /** One node only. */
  node_id: Id.optional(),
});

// -- records ----------------------------------------------------------------------------------

export * from './event-schemas.js';

export const AuditEntry = z.object({
  id: z.int().min(1),
  at: Moment,
  actor_kind: z.enum(['token', 'user', 'system', 'node', 'anonymous']),
  actor_id: z.string(),
  actor_name: z.string(),
  action: z.string(),
  target_kind: z.string(),
  target_id: z.string(),
  group_id: Id.nullable(),
  outcome: z.enum(['allowed', 'refused', 'failed']),
  details: z.record(z.string(), z.unknown()),
  request_id: z.string(),
  ip: z.string(),
  user_agent: z.string(),
});
export type AuditEntry = z.infer<typeof AuditEntry>;
export * from './audit-schemas.js';
export * from './people-schemas.js';
export * from './sink-schemas.js';

export const Health = z.object({
  status: z.enum(['ok', 'stopping']),
  version: z.string(),
  database: z.enum(['sqlite', 'postgres']),
  links: Count,
  /** How busy this process is; left out by managers of before. */
  load: z
    .object({
      /** What it leaves for later: at `busy` exports, and health in lists; at `strained` heartbeats too. */
      step: z.enum(['calm', 'busy', 'strained']),
      /** The longest time in the last quarter of a second that its event loop was busy. */
      event_loop_delay_ms: Count,
      /** How long the transaction has waited that waits longest. */
      database_delay_ms: Count,
      /** Nodes that are being let in, that wait for it, and how many may come in at once now. */
      arrivals: z.object({ under_way: Count, waiting: Count, limit: Count }),
    })
    .optional(),
});
