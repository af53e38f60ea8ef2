import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import type { Delta, NodePolicy } from '../../core/release/index.js';
import type { Arrival, Job } from '../../core/update/index.js';
import { applyDelta, DeltaUnusable, expandArchive } from './apply-delta.js';
import { download, type Download } from './download.js';
import type { InstallRoot } from './install-root.js';
import type { KeptArchive } from './kept-archives.js';

/** A delta that does not come is no reason to wait long: the whole artifact may. */
const DELTA_PATIENCE_MS = 1_000;
/** The problem of a delta goes into an event. */
const PROBLEM_CHARACTERS_MAX = 300;

/** What leads to the new version from what is kept here; or why nothing does. */
export interface DeltaPlan {
  readonly usable: { readonly delta: Delta; readonly kept: KeptArchive } | null;
  /** Null when there is one, and when the release has none for this machine at all. */
  readonly problem: string | null;
}

type Artifact = NonNullable<Job['artifact']>;

interface Wanted {
  readonly artifact: Artifact;
  /** Where the manifest says that it lies besides; deltas lie with the sources only. */
  readonly url: string | undefined;
  readonly plan: DeltaPlan;
}

type Ways = Pick<Download, 'sources' | 'fetcher' | 'faults' | 'signal' | 'random' | 'onWait'>;

/** What lies in `downloads`, as it is unpacked. */
export interface Arrived {
  readonly archive: string;
  readonly archiveBytes: number;
  readonly format: 'tar.gz' | 'tar';
}

export function arrivedOf(root: InstallRoot, job: Job, artifact: Artifact): Arrived {
  const as = job.arrived ?? 'artifact';
  const archive = join(root.downloads, arrivedFile(artifact, as));
  return as === 'content'
    ? { archive, archiveBytes: artifact.content?.size ?? 0, format: 'tar' }
    : { archive, archiveBytes: artifact.size, format: 'tar.gz' };
}

/**
 * Keeps what was unpacked, for the next delta; where the policy does not want it, nothing is kept. No
 * reason to fail: without it the next version comes as a whole.
 */
export async function keepArrived(
  root: InstallRoot,
  of: {
    readonly job: Job;
    readonly artifact: Artifact;
    readonly arrived: Arrived;
    readonly policy: Pick<NodePolicy, 'keep_archive'> | null;
  },
): Promise<void> {
  const { job, artifact, arrived, policy } = of;
  const isWanted = policy?.keep_archive ?? true;
  if (!isWanted) await root.archives.clear([]);
  if (!isWanted || artifact.content === undefined) return;
  const { sha256 } = artifact.content;
  const { format, archive } = arrived;
  const kept = root.archives.keep(archive, { version: job.version, sha256, format });
  await kept.catch(() => undefined);
}

/** Where what arrived lies in `downloads`. */
const arrivedFile = (artifact: Artifact, as: Arrival['as']): string =>
  as === 'content' ? `${artifact.content?.sha256 ?? ''}.tar` : artifact.sha256;

/**
 * Brings a version to the disk: by a delta where one leads from what is kept here, else, and whenever
 * anything is wrong with the delta, as the whole artifact. What lies in `downloads` then has the size
 * and digest of the signed manifest. Throws as `download` does, for the whole artifact.
 */
export async function bring(root: InstallRoot, wanted: Wanted, ways: Ways): Promise<Arrival> {
  const { artifact, url, plan } = wanted;
  const { usable, problem } = plan;
  const { content } = artifact;
  let spent = 0;
  let deltaProblem = problem;
  if (usable !== null && content !== undefined) {
    const trial = { root, content, ...usable, ways, file: arrivedFile(artifact, 'content') };
    try {
      await byDelta(trial);
      return { as: 'content', bytes: usable.delta.size, deltaProblem: null };
    } catch (error) {
      ways.signal.throwIfAborted();
      deltaProblem = problemOf(error);
      spent = isFetched(error) ? usable.delta.size : 0;
    }
  }
  // First of all room is made: what a delta left behind is of no use to the whole.
  await root.clearDownloads([artifact.sha256]);
  const { sha256, size } = artifact;
  await download({ ...ways, sha256, size, url, path: join(root.downloads, sha256) });
  return { as: 'artifact', bytes: size + spent, deltaProblem };
}

interface Trial {
  readonly root: InstallRoot;
  readonly content: { readonly sha256: string; readonly size: number };
  readonly delta: Delta;
  readonly kept: KeptArchive;
  readonly ways: Ways;
  /** Name of the new content in `downloads`. */
  readonly file: string;
}

async function byDelta({ root, content, delta, kept, ways, file }: Trial): Promise<void> {
  // The old content, the new one, and the new one unpacked; the old one is about as large.
  const needed = delta.size + 3 * content.size;
  const free = await root.freeBytes();
  if (free < needed) throw new DeltaUnusable(`${free} bytes are free, ${needed} are needed`);
  const { sha256, size } = delta;
  const path = join(root.downloads, sha256);
  // What an earlier try fetched of it is used; all else makes room.
  await root.clearDownloads([sha256]);
  await download({ ...ways, sha256, size, path, patienceMs: DELTA_PATIENCE_MS });
  try {
    const { signal } = ways;
    const expanded = join(root.downloads, 'old.tar');
    const old = await expandArchive(kept, expanded, signal);
    await applyDelta({ old, delta: path, to: join(root.downloads, file), content, signal });
    await rm(expanded, { force: true });
    await rm(path, { force: true });
  } catch (error) {
    throw new AfterFetch(error);
  }
}

/** Marks that the delta had come, with the right digest, by then. */
class AfterFetch extends Error {
  constructor(cause: unknown) {
    super('the delta could not be applied', { cause });
  }
}

/** A wrong digest shows at the end only: then, too, all of it had come. */
const isFetched = (error: unknown): boolean =>
  error instanceof AfterFetch ||
  (error instanceof FleetError && error.code === 'upgrade_checksum_mismatch');

/** In words of ours: of a damaged stream or a full disk the cause is told by its code. */
function problemOf(error: unknown): string {
  const cause = error instanceof AfterFetch ? error.cause : error;
  const text =
    cause instanceof DeltaUnusable || cause instanceof FleetError
      ? cause.message
      : `it cannot be applied (${(cause as { code?: string }).code ?? 'unknown'})`;
  return text.slice(0, PROBLEM_CHARACTERS_MAX);
}
