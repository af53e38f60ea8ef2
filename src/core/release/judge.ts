import { compare, lt, major, minor } from 'semver';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { imageFor, type Image } from './image.js';
import { parseManifest, type Artifact, type Manifest } from './manifest.js';
import type { NodePolicy } from './policy.js';
import { detourTo } from './reach.js';
import { whoIs } from './policy-signers.js';
import { signerMark } from './signed-document.js';
import { judgeSignatures, type SignatureErrorCode } from './signatures.js';
import type { SigstoreTrust } from './sigstore-adapter.js';

export type ReleaseErrorCode =
  | 'upgrade_disabled'
  | 'upgrade_channel_not_allowed'
  | SignatureErrorCode
  | 'upgrade_manifest_invalid'
  | 'upgrade_version_too_old'
  | 'upgrade_sequence_too_old'
  | 'upgrade_release_expired'
  | 'upgrade_hop_not_allowed'
  | 'upgrade_state_schema_mismatch'
  | 'upgrade_arch_mismatch'
  | 'upgrade_variant_mismatch'
  | 'upgrade_artifact_too_large'
  | 'upgrade_image_missing';

type Judged<T> = Result<T, Refusal<ReleaseErrorCode>>;

export interface JudgeInput {
  readonly policy: NodePolicy;
  readonly manifestBytes: Uint8Array;
  readonly signatures: readonly string[];
  /** The trusted root of Sigstore on this node; without it no Sigstore signer counts. */
  readonly trust?: SigstoreTrust | null;
  /** What was asked for; the manifest must be exactly that. */
  readonly request: {
    readonly product: string;
    readonly version: string;
    readonly channel: string;
  };
  readonly host: { readonly os: string; readonly arch: string; readonly variant: string };
  readonly installed: {
    readonly version: string | null;
    /** The highest sequence that proved itself here; 0 before the first. */
    readonly sequenceFloor: number;
    /** The format of state that what is installed writes; null when that is not known. */
    readonly stateSchema: number | null;
  };
  /** A signed permit lets this node go back to this version, however far (`judgeDowngradePermit`). */
  readonly isDowngradePermitted?: boolean;
  /** Wall clock of the node. */
  readonly nowMs: number;
}

/**
 * Whether this node may run this release: the whole verification, in an order in which nothing is
 * parsed before it is known who signed it. Pure; the same function judges in every program. The
 * version that runs already is not refused: what that means is for the caller. The first thing
 * wrong is told, in the order: enabled, channel, signatures, manifest, expiry, version, sequence,
 * compatibility, artifact.
 */
export function judgeRelease(input: JudgeInput): Judged<{
  manifest: Manifest;
  artifact: Artifact;
  signerNames: string[];
  /** What `judgeStanding` counts later. */
  signerMarks: string[];
}> {
  const judged = judgeManifest(input);
  if (!judged.ok) return judged;
  const artifact = judgeArtifact(input.policy, judged.value.manifest, input.host);
  return artifact.ok ? ok({ ...judged.value, artifact: artifact.value }) : artifact;
}

/**
 * The same for a workload: what it may run is an image, named by its digest. `arch` is null where its
 * pods may run on machines of several. The size of an image is not known here, so no limit holds for it.
 */
export function judgeImageRelease(
  input: Omit<JudgeInput, 'host'> & {
    readonly workload: { readonly arch: string | null; readonly variant: string };
  },
): Judged<{ manifest: Manifest; image: Image; signerNames: string[]; signerMarks: string[] }> {
  const judged = judgeManifest(input);
  if (!judged.ok) return judged;
  const { manifest } = judged.value;
  const { arch, variant } = input.workload;
  const image = imageFor(manifest, input.workload);
  if (image !== undefined) return ok({ ...judged.value, image });
  return refuse(
    'upgrade_image_missing',
    `${manifest.version} names no image for ${variant} on ${arch ?? 'machines of several kinds'}`,
  );
}

function judgeManifest(
  input: Omit<JudgeInput, 'host'>,
): Judged<{ manifest: Manifest; signerNames: string[]; signerMarks: string[] }> {
  const { policy, request } = input;
  if (!policy.enabled) return refuse('upgrade_disabled', 'upgrades are switched off in the policy');
  if (!(policy.allowed_channels as readonly string[]).includes(request.channel)) {
    return refuse(
      'upgrade_channel_not_allowed',
      `channel ${request.channel} is not allowed; allowed: ${policy.allowed_channels.join(', ')}`,
    );
  }
  const signers = judgeSignatures(policy, input.manifestBytes, input.signatures, input.trust);
  if (!signers.ok) return signers;
  const parsed = parseManifest(input.manifestBytes);
  if (!parsed.ok) return parsed;
  const manifest = parsed.value;
  for (const field of ['product', 'version', 'channel'] as const) {
    if (manifest[field] !== request[field]) {
      return refuse(
        'upgrade_manifest_invalid',
        `${field}: asked for ${request[field]}, the manifest is for ${manifest[field]}`,
      );
    }
  }
  const fit = judgeFit(manifest, input);
  if (!fit.ok) return fit;
  const names = signers.value;
  const signerMarks = policy.signers.filter(({ name }) => names.includes(name)).map(signerMark);
  return ok({ manifest, signerNames: names, signerMarks });
}

/** What is kept of a release that passed, for as long as it waits. */
export interface Standing {
  readonly version: string;
  readonly size: number;
  /** Marks of those whose signatures counted; left out where they were not kept. */
  readonly signers?: readonly string[] | undefined;
  /** What it takes the place of; null where nothing runs, or a signed permit lets it be older. */
  readonly installed: string | null;
}

/**
 * Whether a release that passed once would pass under the policy of today, as far as that can be said
 * without its manifest: a signer who is no longer listed does not count any more, and who was listed since
 * is not asked. Fails closed: what is refused here can be ordered, and judged whole, again.
 */
export function judgeStanding(policy: NodePolicy, standing: Standing): Judged<null> {
  const { version, size, signers, installed } = standing;
  const listed = policy.signers.filter((one) => signers?.includes(signerMark(one)) === true);
  const count = new Set(listed.map(whoIs)).size;
  if (signers !== undefined && count < policy.threshold) {
    return refuse(
      'upgrade_identity_not_allowed',
      `of those who signed ${version}, ${count} are signers of the policy now; ${policy.threshold} needed`,
    );
  }
  // The floor was looked at, and rises at promotion only, which ends what waits.
  const age = judgeVersion(
    policy,
    { version, sequence: 0 },
    { version: installed, sequenceFloor: 0, stateSchema: null, isDowngradePermitted: false },
  );
  if (!age.ok) return age;
  return size > policy.max_artifact_bytes ? tooLarge(size, policy) : ok(null);
}

/** Whether it may follow what is installed, today. */
function judgeFit(manifest: Manifest, input: Omit<JudgeInput, 'host'>): Judged<null> {
  const { policy, installed, nowMs, isDowngradePermitted = false } = input;
  const { expires_at } = manifest;
  if (expires_at !== undefined && Date.parse(expires_at) <= nowMs) {
    return refuse('upgrade_release_expired', `the release expired at ${expires_at}`);
  }
  const age = judgeVersion(policy, manifest, { ...installed, isDowngradePermitted });
  return age.ok ? judgeCompatibility(manifest, installed) : age;
}

function judgeVersion(
  policy: NodePolicy,
  manifest: Pick<Manifest, 'version' | 'sequence'>,
  installed: JudgeInput['installed'] & { readonly isDowngradePermitted: boolean },
): Judged<null> {
  const { version, sequence } = manifest;
  if (policy.min_version !== undefined && lt(version, policy.min_version)) {
    return refuse(
      'upgrade_version_too_old',
      `${version} is below min_version ${policy.min_version}`,
    );
  }
  const current = installed.version;
  const isDowngrade = current !== null && compare(version, current) < 0;
  if (isDowngrade) {
    // Exempt from the floor: going back is allowed here, and the floor only ever rises.
    const steps = minor(current) - minor(version);
    const isTooFar = major(version) !== major(current) || steps > policy.rollback_grace;
    if (isTooFar && !installed.isDowngradePermitted) {
      return refuse(
        'upgrade_version_too_old',
        `${version} is too far below the installed ${current}; the policy allows ` +
          `${policy.rollback_grace} minor versions back, in the same major`,
      );
    }
    return ok(null);
  }
  if (sequence < installed.sequenceFloor) {
    return refuse(
      'upgrade_sequence_too_old',
      `sequence ${sequence} is below ${installed.sequenceFloor}, which this node has trusted before; ` +
        'a release that is not older must have at least that',
    );
  }
  return ok(null);
}

function judgeCompatibility(
  manifest: Manifest,
  { version, stateSchema }: JudgeInput['installed'],
): Judged<null> {
  const detour = detourTo(manifest, version);
  if (detour !== null) return refuse('upgrade_hop_not_allowed', detour.message);
  const reads = manifest.compatibility?.state_schema;
  if (reads === undefined || stateSchema === null) return ok(null);
  if (stateSchema < reads.min || stateSchema > reads.max) {
    return refuse(
      'upgrade_state_schema_mismatch',
      `the installed version writes state of format ${stateSchema}; ` +
        `${manifest.version} reads ${reads.min} to ${reads.max}`,
    );
  }
  return ok(null);
}

function judgeArtifact(
  policy: NodePolicy,
  manifest: Manifest,
  host: JudgeInput['host'],
): Judged<Artifact> {
  const forHost = manifest.artifacts.filter((a) => a.os === host.os && a.arch === host.arch);
  if (forHost.length === 0) {
    const hosts = new Set(manifest.artifacts.map((a) => `${a.os}/${a.arch}`));
    return refuse(
      'upgrade_arch_mismatch',
      `no artifact for ${host.os}/${host.arch}; there are: ${[...hosts].join(', ')}`,
    );
  }
  const artifact = forHost.find((a) => a.variant === host.variant);
  if (artifact === undefined) {
    const variants = forHost.map((a) => a.variant).join(', ');
    return refuse(
      'upgrade_variant_mismatch',
      `no variant ${host.variant} for ${host.os}/${host.arch}; there are: ${variants}`,
    );
  }
  return artifact.size > policy.max_artifact_bytes ? tooLarge(artifact.size, policy) : ok(artifact);
}

const tooLarge = (size: number, { max_artifact_bytes }: NodePolicy): Judged<never> =>
  refuse(
    'upgrade_artifact_too_large',
    `the artifact has ${size} bytes; the policy allows ${max_artifact_bytes}`,
  );
