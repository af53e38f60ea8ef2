import { FleetError } from '../core/kernel/index.js';
import type { Job } from '../core/update/index.js';
import { obstacleTo, type ImageChange, type WorkloadView } from '../core/workload/index.js';
import { judgeStaged, type Channels } from '../agent/parts/index.js';
import type { NodeState, Swap } from './state-store.js';
import { imageIn } from './translate.js';
import type { WorkloadUpdaterOptions } from './workload-updater-options.js';

const SKIPPED = {
  code: 'upgrade_disabled',
  message: 'the annotation bellwether.dev/skip-reconcile is set',
} as const;

/** The workload as it is now. Throws `workload_gone`, `workload_unsupported`, KubeError. */
export async function mustBeThere(options: WorkloadUpdaterOptions): Promise<WorkloadView> {
  const workload = await options.fresh();
  if (workload === null) throw new FleetError('workload_gone', 'the workload was deleted');
  const obstacle = obstacleTo(workload);
  if (obstacle !== null) throw new FleetError('workload_unsupported', obstacle);
  return workload;
}

/** From what stands there now to what the job is to bring. */
export function changeTo(
  { optIn }: WorkloadUpdaterOptions,
  job: Job,
  image: string | null,
  workload: WorkloadView,
): ImageChange & { readonly previousImage: string } {
  const { container } = optIn();
  const { uid, resourceVersion } = workload;
  const previousImage = imageIn(workload, container);
  const what = { container, image: image ?? '', version: job.version };
  return { ...what, previousImage, uid, resourceVersion };
}

/** What speaks against a version that waits, now; null when nothing does. */
export async function refusalNow(
  { policy, clock, optIn }: WorkloadUpdaterOptions,
  job: Job,
  channels: Channels,
): Promise<{ readonly code: string; readonly message: string } | null> {
  if (optIn().isSkipped) return SKIPPED;
  const read = await policy.read();
  if (!read.ok) return read.error;
  return judgeStaged(read.value, job, { indexes: channels.trusted, nowMs: clock.now() });
}

/**
 * The image that was there before, unless somebody else has put another one there meanwhile. False
 * where this process may not act. Throws KubeError; FleetError while the workload is to be left alone.
 */
export async function putBack(
  options: WorkloadUpdaterOptions,
  swap: Swap | null,
  backTo: string | null = null,
): Promise<boolean> {
  const { isSkipped, mode } = options.optIn();
  const workload = await options.fresh();
  if (workload === null || swap === null || workload.uid !== swap.uid) return true;
  if (imageIn(workload, swap.container) !== swap.to && mode !== 'gitops') return true;
  if (isSkipped) throw new FleetError(SKIPPED.code, SKIPPED.message);
  if (!options.mayAct()) return false;
  const { uid, resourceVersion } = workload;
  const { container, from } = swap;
  const change = { container, image: from, version: null, previousImage: null, backTo };
  await options.applier(mode).apply(workload, { ...change, uid, resourceVersion });
  return true;
}

/**
 * For GitOps, what another process wrote and nobody has brought into the cluster yet: its files may have gone with its pod.
 * Throws what writing throws.
 */
export async function writeAgain(
  options: WorkloadUpdaterOptions,
  job: Job,
  { swap, image }: Pick<NodeState, 'swap' | 'image'>,
): Promise<void> {
  const { optIn, applier, mayAct, fresh } = options;
  if (optIn().mode !== 'gitops' || swap === null || !mayAct()) return;
  const workload = await fresh();
  if (workload === null || imageIn(workload, swap.container) !== swap.from) return;
  await applier('gitops').apply(workload, changeTo(options, job, image, workload));
}

/** Whether a process before this one brought the job's image to where it belongs, by the image that is there now. */
export function wasApplied(
  { optIn }: WorkloadUpdaterOptions,
  job: Job,
  swap: Swap | null,
  image: string,
): boolean {
  // For GitOps the file that was written is what was done, whoever brings it into the cluster, and when.
  if (optIn().mode === 'gitops') return swap !== null && job.phase === 'probation';
  return image === swap?.to;
}
