import { z } from 'zod';
import { Channel, IndexMemory, ProductName, Sha256, Variant, Version } from '../release/index.js';

/** What the machine works on. */
export const UPDATE_PHASES = [
  'fetching',
  'verifying',
  'staged',
  'swapping',
  'probation',
  'rolling_back',
] as const;

const CommandId = z.string().min(1).max(64);
const ErrorCode = z.string().max(64);

export const InstalledVersion = z.object({
  version: Version,
  channel: Channel,
  sequence: z.int().min(0),
  /** The format of state that it writes; null when its release says nothing of it. */
  state_schema: z.int().min(0).nullable(),
  /** Digest of its artifact, which the kill list goes by; left out when it is not known. */
  sha256: Sha256.optional(),
});
export type InstalledVersion = z.infer<typeof InstalledVersion>;

const EventDetails = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

/** An event that is durable here and not yet in the spool; the spool drops doubles by `id`. */
export const OutboxEvent = z.object({
  id: z.string().max(96),
  at: z.string(),
  type: z.string(),
  severity: z.enum(['info', 'warning', 'critical']),
  command_id: CommandId.nullable(),
  message: z.string(),
  details: EventDetails,
});
export type OutboxEvent = z.infer<typeof OutboxEvent>;

export const Job = z.object({
  command_id: CommandId,
  generation: z.int().min(1),
  version: Version,
  channel: Channel,
  sources: z.array(z.string()),
  apply_after_ms: z.number().nullable(),
  expires_at_ms: z.number(),
  needs_permit: z.boolean(),
  phase: z.enum(UPDATE_PHASES),
  /** Known once the manifest was judged. */
  artifact: z
    .object({
      sha256: Sha256,
      size: z.int(),
      sequence: z.int(),
      state_schema: z.int().min(0).nullable(),
      /** What the archive holds when it is decompressed, where the manifest says so. */
      content: z.object({ sha256: Sha256, size: z.int() }).optional(),
      /** Marks of those who signed it, for a policy that changes while it waits. */
      signers: z.array(Sha256).max(32).optional(),
      /** A signed permit let it be older than what is installed. */
      by_permit: z.boolean().optional(),
    })
    .nullable(),
  /** What lies in `downloads`: by a delta only the content comes, else the artifact. */
  arrived: z.enum(['artifact', 'content', 'image']).optional(),
  /** What `current` was when the job began, and what a rollback brings back. */
  from: InstalledVersion.nullable(),
  /** What `previous` was then. */
  from_previous: InstalledVersion.nullable(),
  /** How often the service was started since the swap and ended by itself. */
  boot_attempts: z.int().min(0),
  /** Why it is being rolled back. */
  failure: z
    .object({ code: ErrorCode, message: z.string(), details: EventDetails.optional() })
    .nullable(),
  /** A rollback that failed is told once, however often it is tried. */
  rollback_failed: z.boolean(),
  /** The hook after the swap has ended well. */
  post_swap_done: z.boolean().optional(),
  staged_for_hand: z.boolean(),
  applied_by_hand: z.boolean(),
  /** A person on the node asked for it now: the local maintenance window is not waited for. */
  window_waived: z.boolean().optional(),
});
export type Job = z.infer<typeof Job>;

export const UpdateOutcome = z.object({
  command_id: CommandId,
  result: z.enum(['succeeded', 'failed', 'rolled_back', 'withdrawn']),
  version: Version,
  error_code: ErrorCode.nullable(),
  at: z.string(),
});
export type UpdateOutcome = z.infer<typeof UpdateOutcome>;

/** What `state.json` holds. Everything that must survive a power cut is here, nothing else. */
export const UpdateState = z.object({
  schema: z.literal('bellwether.state.v1'),
  service: ProductName,
  product: ProductName,
  variant: Variant,
  current: InstalledVersion.nullable(),
  previous: InstalledVersion.nullable(),
  /** Highest sequence that proved itself, by channel. Rises at promotion only. */
  floors: z.partialRecord(Channel, z.int().min(0)),
  /** The newest signed index of each channel that was seen. Their sequences only rise. */
  indexes: z.partialRecord(Channel, IndexMemory).optional(),
  /** Highest sequence of a downgrade permit that was used, by channel. */
  downgrades: z.partialRecord(Channel, z.int().min(1)).optional(),
  /** The revoked version that runs, or was stopped, for want of another: it is told once. */
  revoked_told: Version.optional(),
  /** Highest command generation seen. */
  generation: z.int().min(0),
  /** The last commands and how they were answered: the same id gets the same answer. */
  answers: z.array(
    z.object({
      command_id: CommandId,
      error_code: ErrorCode.nullable(),
      message: z.string(),
    }),
  ),
  job: Job.nullable(),
  outcome: UpdateOutcome.nullable(),
  outbox: z.array(OutboxEvent),
  events_made: z.int().min(0),
});
export type UpdateState = z.infer<typeof UpdateState>;

export const freshState = (
  names: Pick<UpdateState, 'service' | 'product' | 'variant'>,
): UpdateState => ({
  schema: 'bellwether.state.v1',
  ...names,
  current: null,
  previous: null,
  floors: {},
  generation: 0,
  answers: [],
  job: null,
  outcome: null,
  outbox: [],
  events_made: 0,
});
