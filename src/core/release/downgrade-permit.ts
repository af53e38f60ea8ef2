import { gte, lte } from 'semver';
import { z } from 'zod';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import type { ReleaseErrorCode } from './judge.js';
import { Channel, ProductName, Version } from './names.js';
import type { NodePolicy } from './policy.js';
import { ISSUED, checkTimes, readSigned, type SignedDocument } from './signed-document.js';
import type { SigstoreTrust } from './sigstore-adapter.js';

/** Leave to go back further than the local grace allows. */
export const DowngradePermit = z
  .strictObject({
    schema: z.literal('bellwether.downgrade.v1'),
    product: ProductName,
    channel: Channel,
    /** Rises with each permit of this product and channel: a newer one ends those before it. */
    sequence: z.int().min(1),
    ...ISSUED,
    to: Version,
    /** What may be left behind, both ends included. */
    from: z.strictObject({ min: Version, max: Version }),
    /** Only these nodes; every node when left out. */
    node_ids: z
      .array(z.string().regex(/^[a-z]{2,8}_[0-9a-z]{6,40}$/))
      .min(1)
      .max(1_000)
      .optional(),
  })
  .superRefine(checkTimes)
  .refine(({ from }) => lte(from.min, from.max), { path: ['from'], message: 'min is above max' })
  .refine(({ from, to }) => !gte(to, from.max), {
    path: ['to'],
    message: 'it lies above what may be left: no downgrade',
  });
export type DowngradePermit = z.infer<typeof DowngradePermit>;

/** Whether this permit lets this node go from what it runs to that version, today. */
export function judgeDowngradePermit(
  signed: SignedDocument,
  asked: {
    readonly policy: Pick<NodePolicy, 'signers' | 'threshold'>;
    readonly trust: SigstoreTrust | null;
    readonly product: string;
    readonly channel: Channel;
    readonly to: string;
    readonly from: string;
    readonly nodeId: string;
    /** The highest sequence of a permit that was used here. */
    readonly sequenceFloor: number;
    readonly nowMs: number;
  },
): Result<DowngradePermit, Refusal<ReleaseErrorCode | 'release_document_invalid'>> {
  const read = readSigned(DowngradePermit, signed, asked, 'downgrade permit');
  if (!read.ok) return read;
  const permit = read.value.document;
  const problem = problemWith(permit, asked);
  return problem === null
    ? ok(permit)
    : refuse('upgrade_version_too_old', `the downgrade permit ${permit.sequence} ${problem}`);
}

function problemWith(
  permit: DowngradePermit,
  asked: Parameters<typeof judgeDowngradePermit>[1],
): string | null {
  const { product, channel, to, from, nodeId, sequenceFloor, nowMs } = asked;
  if (permit.product !== product || permit.channel !== channel || permit.to !== to) {
    return `is for ${permit.product} ${permit.to} on ${permit.channel}`;
  }
  if (!gte(from, permit.from.min) || !lte(from, permit.from.max)) {
    return `is for those who run ${permit.from.min} to ${permit.from.max}, not ${from}`;
  }
  if (permit.node_ids !== undefined && !permit.node_ids.includes(nodeId)) {
    return 'is for other nodes';
  }
  if (Date.parse(permit.expires_at) <= nowMs) return `expired at ${permit.expires_at}`;
  return permit.sequence < sequenceFloor ? `was replaced by ${sequenceFloor}` : null;
}
