import { lt } from 'semver';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import {
  judgeByIndex,
  revocationOf,
  revokedMessage,
  type IndexErrorCode,
  type Indexes,
} from './channel-index.js';
import { imageDigestsOf, type Images } from './image.js';
import { parseManifest, type Manifest } from './manifest.js';
import type { Channel } from './names.js';
import type { NodePolicy } from './policy.js';
import { documentDigest } from './signed-document.js';
import { judgeSignatures } from './signatures.js';
import type { SigstoreTrust } from './sigstore-adapter.js';

export type AdmissionErrorCode = IndexErrorCode | 'admission_image_unpublished';
type Judged<T> = Result<T, Refusal<AdmissionErrorCode>>;

export interface SignedRelease {
  readonly manifest: Uint8Array;
  readonly signatures: readonly string[];
}

/** Who says that this release is of the pipeline, and lets it run at all: signatures, channel, lowest version. */
export function judgeOrigin(
  { manifest: bytes, signatures }: SignedRelease,
  asked: {
    readonly policy: NodePolicy;
    readonly trust: SigstoreTrust | null;
    readonly request: {
      readonly product: string;
      readonly version: string;
      readonly channel: Channel;
    };
  },
): Judged<Manifest> {
  const { policy, trust, request } = asked;
  if (!policy.allowed_channels.includes(request.channel)) {
    const allowed = policy.allowed_channels.join(', ');
    const message = `channel ${request.channel} is not allowed; allowed: ${allowed}`;
    return refuse('upgrade_channel_not_allowed', message);
  }
  const signers = judgeSignatures(policy, bytes, signatures, trust);
  if (!signers.ok) return signers;
  const parsed = parseManifest(bytes);
  if (!parsed.ok) return parsed;
  for (const field of ['product', 'version', 'channel'] as const) {
    if (parsed.value[field] === request[field]) continue;
    const message = `${field}: asked for ${request[field]}, the manifest is for ${parsed.value[field]}`;
    return refuse('upgrade_manifest_invalid', message);
  }
  const { version } = parsed.value;
  if (policy.min_version === undefined || !lt(version, policy.min_version)) return parsed;
  const message = `${version} is below min_version ${policy.min_version}`;
  return refuse('upgrade_version_too_old', message);
}

/**
 * Whether a container may be started with an image (hex of its digest) of a release whose origin is
 * good. What the kill list of any channel names may not. Expiry, floor and freshness of the index are
 * about installing, so they are not asked for what was installed by the whole verification before
 * (`isInstalled`): a machine that fails must not make a version impossible that runs. Switches that
 * stop or delay upgrades (`enabled`, windows, `manual_only`) say nothing about what runs.
 */
export function judgeStart(
  { manifest, bytes }: { readonly manifest: Manifest; readonly bytes: Uint8Array },
  asked: {
    readonly policy: NodePolicy;
    /** Those that count (`trustedIndexes`). */
    readonly indexes: Indexes;
    readonly sha256: string;
    /** Of the workload, for its own container; null where any image of the release will do. */
    readonly variant: string | null;
    readonly isInstalled: boolean;
    readonly nowMs: number;
  },
): Judged<null> {
  const { policy, indexes, sha256, variant, isInstalled, nowMs } = asked;
  const { version, channel, expires_at } = manifest;
  const revoked = revocationOf(indexes, { version, sha256 });
  if (revoked !== null) return refuse('upgrade_revoked', revokedMessage(version, revoked));
  const digest = `sha256:${sha256}`;
  if (!imageDigestsOf(manifest).includes(digest)) {
    const message = `${version} on ${channel} does not name ${digest}`;
    return refuse('admission_image_unpublished', message);
  }
  if (variant !== null && !imageDigestsOf(ofVariant(manifest, variant)).includes(digest)) {
    return refuse(
      'upgrade_variant_mismatch',
      `${digest} is of another variant of ${version} than ${variant}`,
    );
  }
  if (isInstalled) return ok(null);
  if (expires_at !== undefined && Date.parse(expires_at) <= nowMs) {
    return refuse('upgrade_release_expired', `the release expired at ${expires_at}`);
  }
  return judgeByIndex(
    { policy, indexes, channel, nowMs },
    {
      manifest,
      manifestSha256: documentDigest(bytes),
      artifactSha256: sha256,
      hasPermit: false,
    },
  );
}

/** As `imageFor` chooses: `image` is of the variant `default`. */
const ofVariant = ({ image, images = [] }: Images, variant: string): Images => ({
  image: variant === 'default' ? image : undefined,
  images: images.filter((one) => one.variant === variant),
});
