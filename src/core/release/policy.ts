import { z } from 'zod';
import { Channel, Version } from './names.js';
import { Signer, whoIs } from './policy-signers.js';

/** A host as URLs name it, in lower case, with its port when that is not the usual one. */
const HostName = z
  .string()
  .max(261)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[1-9]\d{0,4})?$/);

/** As rollouts write them: local time in its zone, over midnight and over changes of the clock. */
const LocalWindow = z.strictObject({
  days: z
    .array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']))
    .min(1)
    .max(7),
  start: z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'take a time such as 22:30'),
  duration_minutes: z
    .int()
    .min(1)
    .max(7 * 1_440),
  /** An IANA name such as `Europe/Berlin`; whoever reads the policy checks that it is known. */
  time_zone: z.string().min(1).max(64).default('UTC'),
});

const areDistinct = (signers: readonly Signer[]): boolean =>
  new Set(signers.map(whoIs)).size === signers.length;

/**
 * What a node lets happen to itself (DESIGN 7): a local file that no message can
 * change. An unknown key is an error, so that a misspelt limit cannot be a missing one. The defaults
 * refuse everything, and so does an empty list of signers.
 */
export const NodePolicy = z
  .strictObject({
    enabled: z.boolean().default(false),
    allowed_channels: z.array(Channel).min(1).max(3).default(['stable']),
    /** Nothing below this is installed, whatever else allows it. */
    min_version: Version.optional(),
    /** By how many minor versions a release may be older than the installed one. */
    rollback_grace: z.int().min(0).max(100).default(1),
    /** Stage, then wait for a person on the node. */
    manual_only: z.boolean().default(false),
    /** Stage, say what would happen, and end there. */
    dry_run: z.boolean().default(false),
    /** When a swap may begin, each week; any time when there is none. Fetching and staging go on. */
    window: z.array(LocalWindow).max(16).default([]),
    signers: z.array(Signer).max(32).default([]),
    /** How many different signers must have signed; one key, or one workflow, counts once. */
    threshold: z.int().min(1).max(32).default(1),
    /** Base addresses besides the manager that may be fetched from, the best first. */
    sources: z.array(z.url().max(2_048)).max(8).default([]),
    /** Whom to ask first where the command does not say. */
    source_order: z.enum(['manager_first', 'sources_first']).default('manager_first'),
    /** Hosts besides those of `sources` that a redirect or a manifest may lead to, over https. */
    allowed_hosts: z.array(HostName).max(32).default([]),
    /** Whether anything is installed without a channel index that has not expired. */
    channel_index: z.enum(['optional', 'required']).default('optional'),
    /** What becomes of a revoked version that runs when there is nothing good to go back to. */
    on_revoked: z.enum(['alert', 'stop']).default('alert'),
    /** Of this policy; a signed update of it must have a higher one. */
    sequence: z.int().min(0).default(0),
    max_artifact_bytes: z
      .int()
      .min(1)
      .default(2 * 1024 ** 3),
    /** Keep the archive of the version that runs, so that the next one can come as a delta. */
    keep_archive: z.boolean().default(true),
    boot_health_window_secs: z.int().min(1).max(86_400).default(120),
    max_boot_attempts: z.int().min(1).max(10).default(3),
  })
  .refine((policy) => new Set(policy.allowed_channels).size === policy.allowed_channels.length, {
    path: ['allowed_channels'],
    message: 'a channel stands there twice',
  })
  .refine(({ signers }) => new Set(signers.map((signer) => signer.name)).size === signers.length, {
    path: ['signers'],
    message: 'two signers of the same name',
  })
  .refine(({ signers }) => areDistinct(signers.filter(({ kind }) => kind !== 'sigstore')), {
    path: ['signers'],
    message: 'one key stands there twice; it counts as one signer',
  })
  .refine(
    ({ signers, threshold }) =>
      signers.length === 0 || threshold <= new Set(signers.map(whoIs)).size,
    { path: ['threshold'], message: 'more signers are needed than are listed' },
  );
export type NodePolicy = z.infer<typeof NodePolicy>;
