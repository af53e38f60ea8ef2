import { FleetError, type Refusal, type Result } from '../../core/kernel/index.js';
import { judgeRelease, type NodePolicy, type SigstoreTrust } from '../../core/release/index.js';
import type { Job, UpdateState } from '../../core/update/index.js';
import type { ErrorCode } from '../../protocol/index.js';
import type { ServiceConfig } from '../supervisor/index.js';
import type { Fetcher } from './fetcher.port.js';
import type { InstallRoot } from './install-root.js';
import { judgeEarly } from './translate.js';

/** DESIGN 7: an archive, what it unpacks to, and room to breathe. */
const FREE_SPACE_FACTOR = 3;

/** What this node trusts, as its own files say it now. */
export interface LocalRules {
  readonly policy: () => Promise<Result<NodePolicy, Refusal<ErrorCode>>>;
  /** The trusted root of Sigstore; null when the policy needs none. */
  readonly trust: () => Promise<SigstoreTrust | null>;
}

export interface Judging {
  readonly job: Job;
  readonly state: UpdateState;
  readonly policy: NodePolicy;
  readonly root: InstallRoot;
  readonly signal: AbortSignal;
  readonly nowMs: number;
}

/**
 * The artifact of the release that the job asks for, once the policy has let it pass and there is
 * room for it. Throws FleetError with the code of whatever speaks against it.
 */
export async function chooseArtifact(
  node: Pick<LocalRules, 'trust'> & {
    readonly service: ServiceConfig;
    readonly host: { readonly os: string; readonly arch: string };
    readonly fetcher: Fetcher;
  },
  { job, state, policy, root, signal, nowMs }: Judging,
): Promise<NonNullable<Job['artifact']>> {
  const { service, host, fetcher } = node;
  const refusal = judgeEarly(policy, job);
  if (refusal !== null) throw refusal;
  const request = { product: service.product, version: job.version, channel: job.channel };
  const release = { ...request, sources: job.sources, signal };
  const { manifest, signatures } = await fetcher.fetchRelease(release);
  const judged = judgeRelease({
    policy,
    manifestBytes: manifest,
    signatures,
    trust: await node.trust(),
    request,
    host: { ...host, variant: service.variant },
    installed: {
      version: state.current?.version ?? null,
      sequenceFloor: state.floors[job.channel] ?? 0,
      stateSchema: state.current?.state_schema ?? null,
    },
    nowMs,
  });
  if (!judged.ok) throw new FleetError(judged.error.code, judged.error.message);
  const { sha256, size } = judged.value.artifact;
  const [free, needed] = [await root.freeBytes(), size * FREE_SPACE_FACTOR];
  if (free < needed) {
    throw new FleetError('upgrade_disk_full', `${free} bytes are free, ${needed} are needed`);
  }
  const { sequence, compatibility } = judged.value.manifest;
  return { sha256, size, sequence, state_schema: compatibility?.state_schema?.max ?? null };
}
