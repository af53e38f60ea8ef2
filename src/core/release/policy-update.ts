import { z } from 'zod';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import type { ReleaseErrorCode } from './judge.js';
import { ProductName } from './names.js';
import type { NodePolicy } from './policy.js';
import { ISSUED, checkTimes, readSigned, type SignedDocument } from './signed-document.js';
import type { SigstoreTrust } from './sigstore-adapter.js';

/** A policy file is at most this long, as a file and as a text. */
export const POLICY_BYTES_MAX = 64 * 1024;

/** A new local policy, whole. */
export const PolicyUpdate = z
  .strictObject({
    schema: z.literal('bellwether.policy.v1'),
    service: ProductName,
    product: ProductName,
    /** Must stand in the new policy too (`sequence = N`), and be above that of the old one. */
    sequence: z.int().min(1),
    ...ISSUED,
    /** `policy.toml` as it will lie on the disk. */
    policy: z.string().min(1).max(POLICY_BYTES_MAX),
  })
  .superRefine(checkTimes);
export type PolicyUpdate = z.infer<typeof PolicyUpdate>;

type Code =
  | ReleaseErrorCode
  | 'release_document_invalid'
  | 'policy_update_invalid'
  | 'policy_update_too_old'
  | 'policy_update_expired';

/**
 * Whether the old policy lets itself be replaced: signed by enough of its own signers, for this
 * service, of a higher sequence, not expired. What the new text says is for the caller to parse, and
 * then for `judgeNewPolicy`. A policy without signers can be replaced by nobody but a hand on the node.
 */
export function judgePolicyUpdate(
  signed: SignedDocument,
  asked: {
    readonly policy: NodePolicy;
    readonly trust: SigstoreTrust | null;
    readonly service: string;
    readonly product: string;
    readonly nowMs: number;
  },
): Result<PolicyUpdate, Refusal<Code>> {
  const read = readSigned(PolicyUpdate, signed, asked, 'policy update');
  if (!read.ok) return read;
  const update = read.value.document;
  for (const field of ['service', 'product'] as const) {
    if (update[field] !== asked[field]) {
      const message = `${field}: it is for ${update[field]}, not for ${asked[field]}`;
      return refuse('policy_update_invalid', message);
    }
  }
  if (Date.parse(update.expires_at) <= asked.nowMs) {
    return refuse('policy_update_expired', `it expired at ${update.expires_at}`);
  }
  const { sequence } = asked.policy;
  if (update.sequence > sequence) return ok(update);
  const message = `its sequence ${update.sequence} is not above ${sequence}`;
  return refuse('policy_update_too_old', message);
}

/** Whether the policy in an update is what the update says, and can itself be replaced one day. */
export function judgeNewPolicy(
  update: Pick<PolicyUpdate, 'sequence'>,
  policy: NodePolicy,
): Result<null, Refusal<'policy_update_invalid'>> {
  if (policy.sequence !== update.sequence) {
    const message = `the update has sequence ${update.sequence}, its policy says ${policy.sequence}`;
    return refuse('policy_update_invalid', message);
  }
  if (policy.signers.length > 0) return ok(null);
  return refuse('policy_update_invalid', 'nobody could sign the policy after this one');
}
