import { compare } from 'semver';
import { FleetError } from '../../core/kernel/index.js';
import {
  deltasFor,
  documentDigest,
  judgeByIndex,
  judgeDowngradePermit,
  judgeRelease,
  type DowngradePermit,
  type JudgeInput,
  type Manifest,
  type NodePolicy,
  type SigstoreTrust,
} from '../../core/release/index.js';
import type { IndexInput, Job, UpdateState } from '../../core/update/index.js';
import type { DeltaPlan } from './bring.js';
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
  readonly plan: DeltaPlan;
  /** To be remembered, when a downgrade permit was needed. */
  readonly permit: Extract<IndexInput, { type: 'downgrade_used' }> | null;
}

type Node = Pick<UpdaterOptions, 'service' | 'host' | 'fetcher' | 'nodeId'>;

/**
 * The artifact of the release that the job asks for, once the policy and the channel index have let
 * it pass and there is room for it, and whether it can come as a delta. A kept archive gives way
 * where room is short. Throws FleetError with the code of whatever speaks against it.
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
  const { fetcher } = node;
  await channels.refresh(channel, { policy, trust: judging.trust, sources, signal, fetcher });
  const input = judge(release, judging.state().current);
  const { judged, permit } = await judgeWithPermit(node, judging, input);
  const { sha256, size, url, content } = judged.artifact;
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
  await requireRoom(root, size * FREE_SPACE_FACTOR);
  const { sequence, compatibility } = judged.manifest;
  const state_schema = compatibility?.state_schema?.max ?? null;
  const from = judging.state().current?.version ?? null;
  return {
    artifact: {
      ...{ sha256, size, sequence, state_schema, ...(content && { content }) },
      signers: judged.signerMarks,
      by_permit: permit !== null,
    },
    url,
    plan: await planOf(root, judged.manifest, { ...node.host, variant }, from),
    permit: permit === null ? null : usedPermit(permit),
  };
}

/** Kept archives are of use only as long as there is room. Throws `upgrade_disk_full`. */
async function requireRoom(root: InstallRoot, needed: number): Promise<void> {
  if ((await root.freeBytes()) < needed) await root.archives.clear([]);
  const free = await root.freeBytes();
  if (free >= needed) return;
  throw new FleetError('upgrade_disk_full', `${free} bytes are free, ${needed} are needed`);
}

async function planOf(
  root: InstallRoot,
  manifest: Manifest,
  host: { readonly os: string; readonly arch: string; readonly variant: string },
  from: string | null,
): Promise<DeltaPlan> {
  const deltas = deltasFor(manifest, host);
  if (deltas.length === 0 || from === null) return { usable: null, problem: null };
  const kept = await root.archives.find(from);
  if (kept === null) return { usable: null, problem: `the archive of ${from} is not kept here` };
  const delta = deltas.find((one) => one.from_sha256 === kept.sha256);
  if (delta !== undefined) return { usable: { delta, kept }, problem: null };
  return { usable: null, problem: `no delta leads from the ${from} that is installed` };
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
