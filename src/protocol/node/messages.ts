import { z } from 'zod';
import { CHECKPOINT_BYTES_MAX } from '../../core/audit/index.js';
import { Arch, Channel, Os, ProductName, Variant, Version } from '../../core/release/index.js';
import { ERROR_CODES } from '../errors.js';
import { EVENT_DETAILS_BYTES_MAX, EVENTS_PER_BATCH_MAX, SERVICES_PER_NODE_MAX } from './limits.js';

/** Ids are opaque: a short prefix for people, then letters and digits. */
export const Id = z.string().regex(/^[a-z]{2,8}_[0-9a-z]{6,40}$/);
const Text = z.string().max(2_000);
const Count = z.int().min(0);
/** A node that says more than this is broken, and is not believed. */
export const GENERATION_MAX = 2 ** 52;
const ErrorCodeSchema = z.enum(ERROR_CODES);
export const Labels = z
  .record(z.string().regex(/^[a-z][a-z0-9_.-]{0,62}$/), z.string().max(128))
  .refine((labels) => Object.keys(labels).length <= 32, '32 labels at most');

/** Where the update machine of one service stands (DESIGN 7). */
export const UpdatePhase = z.enum([
  'idle',
  'fetching',
  'verifying',
  'staged',
  'swapping',
  'probation',
  'rolling_back',
]);
export type UpdatePhase = z.infer<typeof UpdatePhase>;

/** How the last command on a service ended; told again in every hello, so that no loss matters. */
export const UpdateOutcome = z.object({
  command_id: Id,
  result: z.enum(['succeeded', 'failed', 'rolled_back', 'withdrawn']),
  version: Version,
  error_code: ErrorCodeSchema.nullable(),
  at: z.iso.datetime(),
});
export type UpdateOutcome = z.infer<typeof UpdateOutcome>;

export const ServiceReport = z.object({
  name: ProductName,
  product: ProductName,
  variant: Variant,
  /** The version under `current`; null before the first install. */
  version: Version.nullable(),
  previous_version: Version.nullable(),
  phase: UpdatePhase,
  /** The command the machine works on, if any. */
  command_id: Id.nullable(),
  /** Local health check: null when there is none or no answer yet. */
  healthy: z.boolean().nullable(),
  restarts: Count,
  outcome: UpdateOutcome.nullable(),
  /** What a person on the node decided apart from the policy; left out where nobody did. */
  by_hand: z.object({ enabled: z.boolean(), pin: Version.nullable() }).optional(),
  /** What somebody has to do so that a version that waits comes; left out where nothing waits for that. */
  waits_for_hand: z
    .object({ error_code: ErrorCodeSchema, version: Version, command: Text })
    .optional(),
});
export type ServiceReport = z.infer<typeof ServiceReport>;

export const Host = z.object({
  os: Os,
  arch: Arch,
  hostname: z.string().min(1).max(255),
  kernel: z.string().max(255),
  memory_bytes: Count,
  labels: Labels,
});
export type Host = z.infer<typeof Host>;

export const Hello = z.object({
  type: z.literal('hello'),
  protocol: z.int().min(1).max(1000),
  agent_version: Version,
  boot_id: z.string().min(1).max(64),
  /** The session before this one, if any; only for the record. */
  last_session: Id.nullable(),
  /** The event spool: its id, the oldest sequence it still holds and the next it will give. */
  spool: z
    .object({ id: Id, first_seq: z.int().min(1), next_seq: z.int().min(1) })
    .refine(({ first_seq, next_seq }) => first_seq <= next_seq, {
      path: ['first_seq'],
      message: 'must not be above next_seq',
    }),
  host: Host,
  services: z.array(ServiceReport).max(SERVICES_PER_NODE_MAX),
  capabilities: z.array(z.string().max(64)).max(64),
  /** SHA-256 of the local policy file, so that drift is seen; never its content. */
  policy_digest: z.string().max(64),
  /**
   * The highest command generation that this node has seen: a manager that was restored from a backup counts
   * on from there. Half of what JSON carries safely, so that there is always a next one.
   */
  generation: z.int().min(0).max(GENERATION_MAX).optional(),
});
export type Hello = z.infer<typeof Hello>;

export const Health = z.object({
  type: z.literal('health'),
  services: z.array(ServiceReport).max(SERVICES_PER_NODE_MAX),
  disk_free_bytes: Count,
  spool_backlog: Count,
});
export type Health = z.infer<typeof Health>;

export const Ack = z.object({
  type: z.literal('ack'),
  command_id: Id,
  result: z.enum(['accepted', 'duplicate']),
});
export type Ack = z.infer<typeof Ack>;

export const Reject = z.object({
  type: z.literal('reject'),
  command_id: Id,
  error_code: ErrorCodeSchema,
  message: Text,
});
export type Reject = z.infer<typeof Reject>;

/** Types that a node reports; the category says to whom it matters. */
export const NodeEventType = z.enum([
  'upgrade_started',
  'upgrade_downloaded',
  'upgrade_verified',
  'upgrade_staged',
  'upgrade_staged_manual',
  'upgrade_swapping',
  'upgrade_probation',
  'upgrade_completed',
  'upgrade_rolled_back',
  'upgrade_refused',
  'upgrade_withdrawn',
  'upgrade_download_failed',
  'upgrade_verify_failed',
  'upgrade_stage_failed',
  'upgrade_swap_failed',
  'upgrade_rollback_failed',
  'upgrade_hook_failed',
  'service_healthy',
  'service_unhealthy',
  'service_exited',
  'service_revoked',
  'channel_index_expired',
  'channel_index_refused',
  'state_recovered',
  'spool_recovered',
  'events_dropped',
  'policy_changed',
  'audit_checkpoint_refused',
  'admission_refused',
]);
export type NodeEventType = z.infer<typeof NodeEventType>;

export const EventCategory = z.enum(['upgrade', 'service', 'agent', 'connection']);
/** A newer agent may have words that this manager does not know: its events must not be held up. */
const EventWord = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/);
export const SeveritySchema = z.enum(['info', 'warning', 'critical']);

const bytesOfJson = (value: unknown): number =>
  new TextEncoder().encode(JSON.stringify(value)).byteLength;

/** No character of a text takes more in JSON: `\\u0000`, or four bytes for two units of a pair. */
const BYTES_PER_UNIT_MAX = 6;
/** Quotes, colon and comma around a pair, and the longest number or word. */
const BYTES_AROUND_MAX = 32;

/** Mostly a look at the lengths is enough; only what could be too long is written out. */
function fitsDetails(details: Readonly<Record<string, unknown>>): boolean {
  let most = 2;
  for (const key in details) {
    const value = details[key];
    const units = key.length + (typeof value === 'string' ? value.length : 0);
    most += units * BYTES_PER_UNIT_MAX + BYTES_AROUND_MAX;
  }
  return most <= EVENT_DETAILS_BYTES_MAX || bytesOfJson(details) <= EVENT_DETAILS_BYTES_MAX;
}

type Detail = string | number | boolean | null;
const DETAIL_KEY_MAX = 64;
const DETAIL_TEXT_MAX = 4_000;

function wrongDetail(key: string, value: unknown): string | null {
  if (key.length > DETAIL_KEY_MAX) return `a name has at most ${DETAIL_KEY_MAX} characters`;
  if (typeof value === 'string') {
    return value.length > DETAIL_TEXT_MAX ? `at most ${DETAIL_TEXT_MAX} characters` : null;
  }
  if (value === null || typeof value === 'boolean' || Number.isFinite(value)) return null;
  return 'a text, a number, true, false or null';
}

/** By hand: `z.record` of a union took more time than everything else of an event together. */
const Details = z.unknown().check(({ value, issues }) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    issues.push({ code: 'custom', input: value, message: 'details are an object' });
    return;
  }
  const details = value as Readonly<Record<string, unknown>>;
  for (const key in details) {
    const message = wrongDetail(key, details[key]);
    if (message !== null) issues.push({ code: 'custom', input: value, path: [key], message });
  }
  if (issues.length > 0 || fitsDetails(details)) return;
  const message = `details hold at most ${EVENT_DETAILS_BYTES_MAX} bytes`;
  issues.push({ code: 'custom', input: value, message });
}) as unknown as z.ZodType<Record<string, Detail>, Record<string, Detail>>;

export const NodeEvent = z.object({
  seq: z.int().min(1),
  /** By the clock of the node, for people; order comes from `seq`. */
  at: z.iso.datetime(),
  type: NodeEventType,
  category: EventCategory,
  severity: SeveritySchema,
  service: ProductName.nullable(),
  command_id: Id.nullable(),
  message: Text,
  /** `details.error_code` is set on every failure. */
  details: Details,
});
export type NodeEvent = z.infer<typeof NodeEvent>;

/** The same as it comes over the link. */
export const GivenEvent = NodeEvent.extend({ type: EventWord, category: EventWord });
export type GivenEvent = z.infer<typeof GivenEvent>;

export const Events = z.object({
  type: z.literal('events'),
  spool_id: Id,
  /** Sequence numbers rise by one inside a batch. */
  events: z.array(GivenEvent).min(1).max(EVENTS_PER_BATCH_MAX),
});
export type Events = z.infer<typeof Events>;

/** Which question of this process is asked, or answered: an answer to an older one is dropped. */
const Ask = z.int().min(1);

export const PermitRequest = z.object({
  type: z.literal('permit_request'),
  command_id: Id,
  ask: Ask,
  service: ProductName,
  version: Version,
});
export type PermitRequest = z.infer<typeof PermitRequest>;

export const Goodbye = z.object({
  type: z.literal('goodbye'),
  reason: z.enum(['restart', 'shutdown', 'decommission']),
});
export type Goodbye = z.infer<typeof Goodbye>;

export const NodeMessage = z.discriminatedUnion('type', [
  Hello,
  Health,
  Ack,
  Reject,
  Events,
  PermitRequest,
  Goodbye,
]);
export type NodeMessage = z.infer<typeof NodeMessage>;
export type NodeMessageType = NodeMessage['type'];
export const NODE_MESSAGE_TYPES = NodeMessage.options.map((option) => option.shape.type.value);

// -- manager to node --------------------------------------------------------------------------

const commandBase = {
  command_id: Id,
  /** Rises with every command to a node; a node refuses one below the highest it has seen. */
  generation: z.int().min(1),
};

export const UpgradeBinary = z.object({
  ...commandBase,
  action: z.literal('upgrade_binary'),
  service: ProductName,
  product: ProductName,
  version: Version,
  channel: Channel,
  /** Base addresses to fetch from, in order; empty means the manager itself. */
  sources: z.array(z.url().max(2_048)).max(8),
  apply_after: z.iso.datetime().nullable(),
  expires_at: z.iso.datetime(),
  permit: z.enum(['required', 'not_required']),
});
export type UpgradeBinary = z.infer<typeof UpgradeBinary>;

/** Gives up `withdraws` if it has not swapped yet; afterwards it changes nothing. */
export const Withdraw = z.object({
  ...commandBase,
  action: z.literal('withdraw'),
  withdraws: Id,
});
export type Withdraw = z.infer<typeof Withdraw>;

export const Command = z.discriminatedUnion('action', [UpgradeBinary, Withdraw]);
export type Command = z.infer<typeof Command>;

/** Read first, so that a command of an action unknown to this agent can still be refused by id. */
export const CommandEnvelope = z.looseObject({ ...commandBase, action: z.string().max(64) });

export const Welcome = z.object({
  type: z.literal('welcome'),
  session_id: Id,
  server_time: z.iso.datetime(),
  heartbeat_interval_ms: z.int().min(100).max(600_000),
  /** Highest sequence of the node's spool that is durable; 0 when none is. */
  events_through: Count,
  /** Every open command of this node, oldest generation first. */
  commands: z.array(CommandEnvelope).max(256),
  /** The newest signed checkpoint of the manager's audit log (C2SP), for the node to keep. */
  audit_checkpoint: z.string().max(CHECKPOINT_BYTES_MAX).optional(),
});
export type Welcome = z.infer<typeof Welcome>;

export const CommandMessage = z.object({ type: z.literal('command'), command: CommandEnvelope });

export const Permit = z.object({
  type: z.literal('permit'),
  command_id: Id,
  ask: Ask,
  /** Counted from the question, by the monotonic clock of the node: no shared clock is needed. */
  lease_ms: z.int().min(100).max(60_000),
});
export type Permit = z.infer<typeof Permit>;

export const PermitDenied = z.object({
  type: z.literal('permit_denied'),
  command_id: Id,
  ask: Ask,
  reason: z.string().max(64),
  /** Ask again after this time. */
  retry_after_ms: z.int().min(100).max(3_600_000),
});
export type PermitDenied = z.infer<typeof PermitDenied>;

/** Sent only after the events up to `through` are committed. */
export const EventsAck = z.object({
  type: z.literal('events_ack'),
  spool_id: Id,
  through: Count,
});
export type EventsAck = z.infer<typeof EventsAck>;

export const Reconnect = z.object({
  type: z.literal('reconnect'),
  after_ms: z.int().min(0).max(3_600_000),
  reason: z.string().max(64),
});
export type Reconnect = z.infer<typeof Reconnect>;

/** A channel of a product has a newer signed index: look now and not at the next hour. */
export const IndexNews = z.object({
  type: z.literal('index_news'),
  product: ProductName,
  channel: Channel,
});
export type IndexNews = z.infer<typeof IndexNews>;

/** Answers what could not be used, without closing. */
export const ErrorMessage = z.object({
  type: z.literal('error'),
  error_code: ErrorCodeSchema,
  message: Text,
});
export type ErrorMessage = z.infer<typeof ErrorMessage>;

export const ManagerMessage = z.discriminatedUnion('type', [
  Welcome,
  CommandMessage,
  Permit,
  PermitDenied,
  EventsAck,
  Reconnect,
  IndexNews,
  ErrorMessage,
]);
export type ManagerMessage = z.infer<typeof ManagerMessage>;

// -- enrollment (HTTP, before there is an identity) -------------------------------------------

/** Of a Kubernetes cluster; what a cluster token is bound to. */
export const ClusterName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/, 'lower-case letters, digits, dots and dashes');

export const EnrollRequest = z.object({
  token: z.string().min(16).max(200),
  name: z.string().min(1).max(128),
  /** Raw Ed25519 public key, base64url without padding (43 characters). */
  public_key: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  /** Ed25519 signature over `enrollmentProofText`, base64url without padding. */
  proof: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
  host: Host,
  /** Where a workload runs; a cluster token is good for its own cluster only. */
  cluster: ClusterName.optional(),
});
export type EnrollRequest = z.infer<typeof EnrollRequest>;

export const EnrollResponse = z.object({
  node_id: Id,
  group_id: Id,
  name: z.string(),
});
export type EnrollResponse = z.infer<typeof EnrollResponse>;
