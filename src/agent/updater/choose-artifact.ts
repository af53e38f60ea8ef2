import { compare } from 'semver';
import { FleetError } from '../../core/kernel/index.js';
import {
  documentDigest,
  judgeByIndex,
  judgeDowngradePermit,
  judgeRelease,
  type DowngradePermit,
  type JudgeInput,
  type NodePolicy,
  type SigstoreTrust,
} from '../../core/release/index.js';
import type { IndexInput, Job, UpdateState } from '../../core/update/index.js';
import type { Channels } from './channels.js';
import type { FetchedRelease } from './fetcher.port.js';
import type { InstallRoot } from './install-root.js';
import { judgeEarly } from './translate.js';
import type { UpdaterOptions } from './updater-options.js';

/** DESIGN 7: an archive, what it unpacks to, and room to breathe. */
const FREE_SPACE_FACTOR = 3;

export interface Judging {
  readonly job: Job;
  readonly state: () => UpdateState;
  readonly policy: NodePolicy;
  /** The trusted root that belongs to it; null when it needs none. */
  readonly trust: SigstoreTrust | null;
  readonly root: InstallRoot;
  readonly channels: Channels;
  readonly signal: AbortSignal;
  readonly nowMs: number;
}

export interface Chosen {
  readonly artifact: NonNullable<Job['artifact']>;
  /** Where the manifest says that it lies besides the sources. */
  readonly url: string | undefined;
  /** To be remembered, when a downgrade permit was needed. */
  readonly permit: Extract<IndexInput, { type: 'downgrade_used' }> | null;
}

type Node = Pick<UpdaterOptions, 'service' | 'host' | 'fetcher' | 'nodeId'>;

/**
 * The artifact of the release that the job asks for, once the policy and the channel index have let
 * it pass and there is room for it. Throws FleetError with the code of whatever speaks against it.
 */
export async function chooseArtifact(node: Node, judging: Judging): Promise<Chosen> {
  const { job, policy, root, channels, signal, nowMs } = judging;
  const { channel, sources } = job;
  const refusal = judgeEarly(policy, job);
  if (refusal !== null) throw refusal;
  const { product, variant } = node.service;
  const request = { product, version: job.version, channel };
  const judge = (
    { manifest, signatures }: FetchedRelease,
    current: UpdateState['current'],
  ): JudgeInput => ({
    policy,
    manifestBytes: manifest,
    signatures,
    trust: judging.trust,
    request,
    host: { ...node.host, variant },
    installed: {
      version: current?.version ?? null,
      sequenceFloor: judging.state().floors[channel] ?? 0,
      stateSchema: current?.state_schema ?? null,
    },
    nowMs,
  });
  const release = await node.fetcher.fetchRelease({
    ...request,
    sources,
    signal,
    accept: (found) => refuseForgery(judge(found, null)),
  });
  await channels.refresh(channel, { policy, trust: judging.trust, sources, signal });
  const input = judge(release, judging.state().current);
  const { judged, permit } = await judgeWithPermit(node, judging, input);
  const { sha256, size, url } = judged.artifact;
  const byIndex = judgeByIndex(
    { policy, indexes: channels.trusted, channel, nowMs },
    {
      manifest: judged.manifest,
      manifestSha256: documentDigest(release.manifest),
      artifactSha256: sha256,
      hasPermit: permit !== null,
    },
  );
  if (!byIndex.ok) throw new FleetError(byIndex.error.code, byIndex.error.message);
  const [free, needed] = [await root.freeBytes(), size * FREE_SPACE_FACTOR];
  if (free < needed) {
    throw new FleetError('upgrade_disk_full', `${free} bytes are free, ${needed} are needed`);
  }
  const { sequence, compatibility } = judged.manifest;
  const state_schema = compatibility?.state_schema?.max ?? null;
  const used = permit === null ? null : usedPermit(permit);
  return { artifact: { sha256, size, sequence, state_schema }, url, permit: used };
}

/** What another source may have right: the release that was signed. */
const FORGERIES: ReadonlySet<string> = new Set([
  'upgrade_signature_invalid',
  'upgrade_identity_not_allowed',
  'upgrade_manifest_invalid',
]);

function refuseForgery(input: JudgeInput): void {
  const judged = judgeRelease(input);
  if (judged.ok || !FORGERIES.has(judged.error.code)) return;
  throw new FleetError(judged.error.code, judged.error.message);
}

const usedPermit = ({ channel, sequence }: DowngradePermit): NonNullable<Chosen['permit']> => ({
  type: 'downgrade_used',
  channel,
  sequence,
});

type JudgedRelease = Extract<ReturnType<typeof judgeRelease>, { ok: true }>['value'];

/** A downgrade that is too far for the local grace is judged again if there is a permit for it. */
async function judgeWithPermit(
  node: Node,
  judging: Judging,
  input: JudgeInput,
): Promise<{ judged: JudgedRelease; permit: DowngradePermit | null }> {
  const judged = judgeRelease(input);
  if (judged.ok) return { judged: judged.value, permit: null };
  const { code, message } = judged.error;
  const from = input.installed.version;
  const isDowngrade = from !== null && compare(input.request.version, from) < 0;
  if (code !== 'upgrade_version_too_old' || !isDowngrade) throw new FleetError(code, message);
  const permit = await findPermit(node, judging, from);
  if (permit === null) throw new FleetError(code, message);
  const again = judgeRelease({ ...input, isDowngradePermitted: true });
  if (!again.ok) throw new FleetError(again.error.code, again.error.message);
  return { judged: again.value, permit };
}

/** Null when nobody has one. One that does not hold is told instead of the downgrade itself. */
async function findPermit(
  { service, fetcher, nodeId }: Node,
  { job, policy, trust, state, signal, nowMs }: Judging,
  from: string,
): Promise<DowngradePermit | null> {
  const { product } = service;
  const { channel, version, sources } = job;
  const name = { kind: 'downgrade', product, channel, version } as const;
  const signed = await fetcher.fetchDocument({ name, sources, signal });
  if (signed === null) return null;
  const sequenceFloor = state().downgrades?.[channel] ?? 0;
  const by = { policy, trust, sequenceFloor, nowMs };
  const permit = judgeDowngradePermit(signed, {
    ...by,
    product,
    channel,
    to: version,
    from,
    nodeId,
  });
  if (permit.ok) return permit.value;
  throw new FleetError(permit.error.code, permit.error.message);
}
