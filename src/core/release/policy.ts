import { z } from 'zod';
import { Channel, Version } from './names.js';
import { parsePublicKey, rawKeyOf } from './minisign.js';

const SignerName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$/);
const PublicKey = z
  .string()
  .max(300)
  .refine((text) => parsePublicKey(text).ok, 'not a minisign public key');

/** Someone whose signature counts on this node. */
export const Signer = z.strictObject({ name: SignerName, public_key: PublicKey });

/** Two spellings, or two ids, of one raw key are one key. */
const keyOf = ({ public_key: text }: z.infer<typeof Signer>): string => {
  const key = parsePublicKey(text);
  return key.ok ? rawKeyOf(key.value.key).toString('hex') : text;
};

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
    signers: z.array(Signer).max(32).default([]),
    /** How many different signers must have signed. */
    threshold: z.int().min(1).max(32).default(1),
    /** Base addresses besides the manager that may be fetched from. */
    sources: z.array(z.url().max(2_048)).max(8).default([]),
    max_artifact_bytes: z
      .int()
      .min(1)
      .default(2 * 1024 ** 3),
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
  .refine(({ signers }) => new Set(signers.map(keyOf)).size === signers.length, {
    path: ['signers'],
    message: 'one key stands there twice; it counts as one signer',
  })
  .refine(({ signers, threshold }) => signers.length === 0 || threshold <= signers.length, {
    path: ['threshold'],
    message: 'more signers are needed than are listed',
  });
export type NodePolicy = z.infer<typeof NodePolicy>;
