import {
  isSameImage,
  lookedAt,
  standingOf,
  type ProgressVerdict,
  type ProgressWatch,
  type Standing,
} from '../core/workload/index.js';
import { imageIn } from './translate.js';
import type { Swap } from './state-store.js';
import type { WorkloadUpdaterOptions } from './workload-updater-options.js';

/** Between two looks no more than this counts as time in which nothing moved. */
const COUNTED_LOOKS = 5;

/** One look at a workload on probation. Throws KubeError; then nothing was seen, and no time has passed. */
export async function look(
  options: WorkloadUpdaterOptions,
  of: {
    readonly swap: Swap | null;
    readonly progress: ProgressWatch;
    readonly restartsMax: number;
    readonly nowMs: number;
  },
): Promise<{ readonly watch: ProgressWatch; readonly verdict: ProgressVerdict }> {
  const { swap, progress, restartsMax, nowMs } = of;
  const { syncDeadlineMs, troubleMs } = options.limits;
  const workload = await options.fresh();
  if (workload === null || swap === null || workload.uid !== swap.uid) {
    const message = 'the workload was deleted while it was being upgraded';
    return { watch: progress, verdict: { says: 'condemned', code: 'workload_gone', message } };
  }
  const isSyncing =
    options.optIn().mode === 'gitops' && isSameImage(imageIn(workload, swap.container), swap.from);
  const standing: Standing = isSyncing
    ? { state: 'moving', mark: 'sync', message: 'the written file has not been applied yet' }
    : standingOf(workload, await options.cluster.pods(workload), {
        container: swap.container,
        image: swap.to,
        restartsMax,
      });
  return lookedAt(progress, standing, nowMs, {
    deadlineMs: isSyncing ? syncDeadlineMs : workload.progressDeadlineSeconds * 1_000,
    troubleMs,
    lookMs: options.lookMs * COUNTED_LOOKS,
  });
}
