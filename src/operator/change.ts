import { FleetError } from '../core/kernel/index.js';
import type { Job } from '../core/update/index.js';
import {
  isSameImage,
  obstacleTo,
  type ImageChange,
  type WorkloadView,
} from '../core/workload/index.js';
import { judgeStaged, type Channels } from '../agent/parts/index.js';
import type { Return, Swap } from './state-store.js';
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

/** Whether the job's image could be put there, without doing it. Throws what `mustBeThere` and appliers throw. */
export async function rehearse(
  options: WorkloadUpdaterOptions,
  job: Job,
  image: string | null,
): Promise<void> {
  const { mode } = options.optIn();
  if (mode === 'signal') return;
  const workload = await mustBeThere(options);
  await options.applier(mode).rehearse(workload, changeTo(options, job, image, workload));
}

/**
 * The image that was there before, unless somebody else has put another one there meanwhile; with what
 * another hand has yet to do. Null where this process may not act. Throws KubeError; FleetError while the
 * workload is to be left alone.
 */
export async function putBack(
  options: WorkloadUpdaterOptions,
  swap: Swap | null,
  backTo: string | null = null,
): Promise<{ readonly returning: Return | null } | null> {
  const { isSkipped, mode } = options.optIn();
  const workload = await options.fresh();
  if (workload === null || swap === null || workload.uid !== swap.uid) return { returning: null };
  const now = imageIn(workload, swap.container);
  if (!isSameImage(now, swap.to) && mode !== 'gitops') return { returning: null };
  if (isSkipped) throw new FleetError(SKIPPED.code, SKIPPED.message);
  if (!options.mayAct()) return null;
  const returning = { ...swap, backTo, isOut: isSameImage(now, swap.to) };
  await options.applier(mode).apply(workload, changeBack(workload, returning));
  return { returning: mode === 'gitops' && swap.from !== swap.to ? returning : null };
}

export function changeBack(
  { uid, resourceVersion }: WorkloadView,
  { container, from, backTo }: Omit<Return, 'isOut'>,
): ImageChange {
  const what = { container, image: from, version: null, previousImage: null, backTo };
  return { ...what, uid, resourceVersion };
}

/** What is still waited for, by the workload as it is; null when it was taken, or is nothing to wait for any more. */
export function stillReturning(workload: WorkloadView, returning: Return): Return | null {
  if (workload.uid !== returning.uid) return null;
  const now = imageIn(workload, returning.container);
  if (isSameImage(now, returning.to)) {
    return returning.isOut ? returning : { ...returning, isOut: true };
  }
  // Where it was never out, nothing in the cluster tells when the repository has taken it back.
  return isSameImage(now, returning.from) && !returning.isOut ? returning : null;
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
