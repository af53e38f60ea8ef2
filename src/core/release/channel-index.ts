import { z } from 'zod';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import type { ReleaseErrorCode } from './judge.js';
import type { Manifest } from './manifest.js';
import { Channel, ProductName, Sha256, Version } from './names.js';
import type { NodePolicy } from './policy.js';
import {
  documentDigest,
  ISSUED,
  checkTimes,
  readSigned,
  signerMark,
  type SignedDocument,
} from './signed-document.js';
import type { SigstoreTrust } from './sigstore-adapter.js';

/** More revocations than a product has releases in years; `floor` shuts out the older ones at once. */
export const REVOKED_MAX = 512;

const Revocation = z.strictObject({
  version: Version,
  /** Digest of the artifact: this, and nothing else of the same version, does not run any more. */
  sha256: Sha256,
  reason: z.string().regex(/^[^\p{C}]{1,200}$/u, 'one line of at most 200 characters'),
});
export type Revocation = z.infer<typeof Revocation>;

/** What is current on a channel, and what must not run any more. */
export const ChannelIndex = z
  .strictObject({
    schema: z.literal('bellwether.channel.v1'),
    product: ProductName,
    channel: Channel,
    /** Of the index; rises with each one of this product and channel. */
    sequence: z.int().min(1),
    ...ISSUED,
    current: z.strictObject({
      version: Version,
      manifest_sha256: Sha256,
      sequence: z.int().min(1),
    }),
    /** No release with a lower sequence is installed any more. */
    floor: z.int().min(0),
    /** The kill list. */
    revoked: z.array(Revocation).max(REVOKED_MAX),
  })
  .superRefine(checkTimes)
  .refine(({ floor, current }) => floor <= current.sequence, {
    path: ['floor'],
    message: 'the current release lies below it',
  })
  .refine(({ revoked }) => new Set(revoked.map(({ sha256 }) => sha256)).size === revoked.length, {
    path: ['revoked'],
    message: 'one digest stands there twice',
  });
export type ChannelIndex = z.infer<typeof ChannelIndex>;

/** What a node keeps of the newest index of one channel, durably. */
export const IndexMemory = z.object({
  sequence: z.int().min(1),
  /** Of the document: two documents of one sequence are not the same index. */
  digest: Sha256,
  expires_at: z.iso.datetime(),
  current: z.object({ version: Version, manifest_sha256: Sha256 }),
  floor: z.int().min(0),
  revoked: z.array(Revocation).max(REVOKED_MAX),
  /** Marks of those who signed it. */
  signers: z.array(Sha256).max(32),
  /** Its end was told; it is told once. */
  expiry_told: z.boolean(),
});
export type IndexMemory = z.infer<typeof IndexMemory>;
export type Indexes = Readonly<Partial<Record<Channel, IndexMemory>>>;

export type IndexErrorCode =
  | ReleaseErrorCode
  | 'release_document_invalid'
  | 'upgrade_index_too_old'
  | 'upgrade_index_expired'
  | 'upgrade_index_missing'
  | 'upgrade_index_mismatch'
  | 'upgrade_revoked';
type Judged<T> = Result<T, Refusal<IndexErrorCode>>;

/**
 * Whether a node takes this index in place of the one it knows. An older one is refused, and so is
 * another one of the same sequence. One that has expired is taken all the same when it is newer: what
 * it revokes stays revoked; whether it is fresh enough is asked where something is installed.
 */
export function judgeIndex(
  signed: SignedDocument,
  asked: {
    readonly policy: Pick<NodePolicy, 'signers' | 'threshold'>;
    readonly trust: SigstoreTrust | null;
    readonly product: string;
    readonly channel: Channel;
    readonly known: IndexMemory | null;
  },
): Judged<IndexMemory> {
  const read = readSigned(ChannelIndex, signed, asked, 'channel index');
  if (!read.ok) return read;
  const { document: index, signerMarks } = read.value;
  for (const field of ['product', 'channel'] as const) {
    if (index[field] !== asked[field]) {
      return refuse(
        'release_document_invalid',
        `${field}: asked for ${asked[field]}, the index is for ${index[field]}`,
      );
    }
  }
  const digest = documentDigest(new TextEncoder().encode(signed.document));
  const { known } = asked;
  const replayed = known === null ? null : problemWithOrder(index, digest, known);
  if (replayed !== null) return refuse('upgrade_index_too_old', replayed);
  return ok({
    sequence: index.sequence,
    digest,
    expires_at: index.expires_at,
    current: { version: index.current.version, manifest_sha256: index.current.manifest_sha256 },
    floor: index.floor,
    revoked: index.revoked,
    signers: [...signerMarks].sort(),
    expiry_told: index.sequence === known?.sequence && known.expiry_told,
  });
}

function problemWithOrder(
  { sequence, channel }: ChannelIndex,
  digest: string,
  known: IndexMemory,
): string | null {
  const isOlder = sequence < known.sequence;
  if (!isOlder && (sequence > known.sequence || digest === known.digest)) return null;
  const what = isOlder ? `index ${sequence}` : `another index ${sequence}`;
  return `${what} came after index ${known.sequence} of ${channel}`;
}

/**
 * Those indexes that count: at least one of those who signed is still listed. So a policy that no
 * longer lists a stolen key also ends what that key alone said, be it a sequence that no honest
 * index can reach (fast-forward) or a kill list of everything. Without a readable policy all count.
 */
export function trustedIndexes(policy: NodePolicy | null, indexes: Indexes): Indexes {
  if (policy === null) return indexes;
  const listed = new Set(policy.signers.map(signerMark));
  return Object.fromEntries(
    Object.entries(indexes).filter(([, index]) => index.signers.some((mark) => listed.has(mark))),
  );
}

export const hasExpired = ({ expires_at }: IndexMemory, nowMs: number): boolean =>
  Date.parse(expires_at) <= nowMs;

/**
 * Why this must not run, or null. What one channel revokes is revoked on all of them. An
 * installation whose digest is not known (an old `state.json`) is held by its version.
 */
export function revocationOf(
  indexes: Indexes,
  what: { readonly version: string; readonly sha256: string | null },
): Revocation | null {
  for (const { revoked } of Object.values(indexes)) {
    const found = revoked.find(({ version, sha256 }) =>
      what.sha256 === null ? version === what.version : sha256 === what.sha256,
    );
    if (found !== undefined) return found;
  }
  return null;
}

export const revokedMessage = (version: string, { reason }: Revocation): string =>
  `${version} was revoked: ${reason}`;

/** What a node knows when it is about to install something. */
export interface IndexFacts {
  readonly policy: NodePolicy;
  /** Those that count (`trustedIndexes`). */
  readonly indexes: Indexes;
  readonly channel: Channel;
  readonly nowMs: number;
}

/** Whether the local policy wants a fresh index, and there is none. */
export function judgeFreshness({ policy, indexes, channel, nowMs }: IndexFacts): Judged<null> {
  if (policy.channel_index !== 'required') return ok(null);
  const index = indexes[channel];
  if (index === undefined) {
    const message = `the policy wants an index of ${channel}, and none came`;
    return refuse('upgrade_index_missing', message);
  }
  if (!hasExpired(index, nowMs)) return ok(null);
  const message = `index ${index.sequence} of ${channel} expired at ${index.expires_at}`;
  return refuse('upgrade_index_expired', message);
}

/**
 * What the index says against a release that is signed and fits. The floor holds whether or not the
 * index has expired, and every release but one with a downgrade permit. A release newer than
 * `current` is let pass: pipelines publish before they announce.
 */
export function judgeByIndex(
  facts: IndexFacts,
  release: {
    readonly manifest: Pick<Manifest, 'version' | 'sequence'>;
    readonly manifestSha256: string;
    readonly artifactSha256: string;
    readonly hasPermit: boolean;
  },
): Judged<null> {
  const { version, sequence } = release.manifest;
  const revoked = revocationOf(facts.indexes, { version, sha256: release.artifactSha256 });
  if (revoked !== null) return refuse('upgrade_revoked', revokedMessage(version, revoked));
  const fresh = judgeFreshness(facts);
  const index = facts.indexes[facts.channel];
  if (!fresh.ok || index === undefined) return fresh;
  const { current, floor } = index;
  if (version === current.version && release.manifestSha256 !== current.manifest_sha256) {
    const message = `the index of ${facts.channel} names another manifest for ${version}`;
    return refuse('upgrade_index_mismatch', message);
  }
  if (sequence < floor && !release.hasPermit) {
    const message = `sequence ${sequence} is below the floor ${floor} of the channel index`;
    return refuse('upgrade_sequence_too_old', message);
  }
  return ok(null);
}
