import { FleetError } from '../core/kernel/index.js';
import {
  documentDigest,
  judgeByIndex,
  judgeImageRelease,
  type Image,
  type NodePolicy,
  type SigstoreTrust,
} from '../core/release/index.js';
import type { Job, UpdateState } from '../core/update/index.js';
import { judgeEarly, type Channels, type Fetcher } from '../agent/parts/index.js';

/** What another source may have right: the release that was signed. */
const FORGERIES: ReadonlySet<string> = new Set([
  'upgrade_signature_invalid',
  'upgrade_identity_not_allowed',
  'upgrade_manifest_invalid',
]);

export interface Judging {
  readonly job: Job;
  readonly state: () => UpdateState;
  readonly product: string;
  readonly workload: { readonly arch: string | null; readonly variant: string };
  readonly policy: NodePolicy;
  readonly trust: SigstoreTrust | null;
  readonly channels: Channels;
  readonly fetcher: Fetcher;
  readonly signal: AbortSignal;
  readonly nowMs: number;
}

/**
 * The image of the release that the job asks for, once the policy of the cluster and the channel
 * index have let it pass. Throws FleetError with the code of whatever speaks against it.
 */
export async function chooseImage(
  judging: Judging,
): Promise<{ readonly image: Image; readonly artifact: NonNullable<Job['artifact']> }> {
  const { job, policy, trust, channels, signal, nowMs, workload } = judging;
  const { channel, version, sources } = job;
  const refusal = judgeEarly(policy, job);
  if (refusal !== null) throw refusal;
  const request = { product: judging.product, version, channel };
  const judge = (
    { manifest, signatures }: { manifest: Uint8Array; signatures: readonly string[] },
    current: UpdateState['current'],
  ) =>
    judgeImageRelease({
      policy,
      manifestBytes: manifest,
      signatures,
      trust,
      request,
      workload,
      installed: {
        version: current?.version ?? null,
        sequenceFloor: judging.state().floors[channel] ?? 0,
        stateSchema: current?.state_schema ?? null,
      },
      nowMs,
    });
  const release = await judging.fetcher.fetchRelease({
    ...request,
    sources,
    signal,
    accept: (found) => {
      const judged = judge(found, null);
      if (judged.ok || !FORGERIES.has(judged.error.code)) return;
      throw new FleetError(judged.error.code, judged.error.message);
    },
  });
  await channels.refresh(channel, { policy, trust, sources, signal });
  const judged = judge(release, judging.state().current);
  if (!judged.ok) throw new FleetError(judged.error.code, judged.error.message);
  const { manifest, image, signerMarks } = judged.value;
  const sha256 = image.digest.slice('sha256:'.length);
  const byIndex = judgeByIndex(
    { policy, indexes: channels.trusted, channel, nowMs },
    {
      manifest,
      manifestSha256: documentDigest(release.manifest),
      artifactSha256: sha256,
      hasPermit: false,
    },
  );
  if (!byIndex.ok) throw new FleetError(byIndex.error.code, byIndex.error.message);
  const state_schema = manifest.compatibility?.state_schema?.max ?? null;
  const { sequence } = manifest;
  return { image, artifact: { sha256, size: 0, sequence, state_schema, signers: signerMarks } };
}
