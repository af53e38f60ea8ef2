import { isSameImage } from './image-ref.js';
import type { PodView, WorkloadView } from './types.js';

/** What is seen of a workload whose image was changed. */
export type Standing =
  /** Every pod runs the newest template and is available. */
  | { readonly state: 'complete' }
  /** On its way; `mark` changes whenever it came further. */
  | { readonly state: 'moving'; readonly mark: string; readonly message: string }
  | { readonly state: 'failed'; readonly code: StandingCode; readonly message: string }
  /** A failure that may be gone by the next look: a registry that stutters. */
  | { readonly state: 'trouble'; readonly code: StandingCode; readonly message: string };

export type StandingCode =
  | 'upgrade_image_pull_failed'
  | 'upgrade_crash_loop'
  | 'upgrade_progress_deadline'
  | 'workload_changed'
  | 'workload_gone';

/** The registry, or the name of the image, is what is wrong; the kubelet goes on trying. */
const PULL_TROUBLE: ReadonlySet<string> = new Set(['ImagePullBackOff', 'ErrImagePull']);
/** No try can mend these. */
const PULL_FAILED: ReadonlySet<string> = new Set(['InvalidImageName', 'ErrImageNeverPull']);

/** What was wanted of the workload. */
export interface Wanted {
  readonly container: string;
  /** By digest. */
  readonly image: string;
  /** So many restarts of one container in the new pods are a crash loop. */
  readonly restartsMax: number;
}

/**
 * What stands in the way of `kubectl rollout status`, and why. Only what the cluster itself says is
 * evidence. A crash or a failed pull counts in pods that run the wanted image, so pods of the image
 * before are never held against it.
 */
export function standingOf(
  workload: WorkloadView,
  pods: readonly PodView[],
  wanted: Wanted,
): Standing {
  const container = workload.containers.find(({ name }) => name === wanted.container);
  if (container === undefined || !isSameImage(container.image, wanted.image)) {
    const message = `its image is ${container?.image ?? 'gone'} and not the one that was set`;
    return { state: 'failed', code: 'workload_changed', message };
  }
  return troubleIn(pods, wanted) ?? progressOf(workload);
}

function troubleIn(pods: readonly PodView[], wanted: Wanted): Standing | null {
  const found = pods.flatMap((pod) => {
    const one = pod.containers.find(({ name }) => name === wanted.container);
    if (pod.isDeleting || one === undefined || !isSameImage(one.image, wanted.image)) return [];
    return troubleWith(pod.name, one, wanted.restartsMax) ?? [];
  });
  return found.find(({ state }) => state === 'failed') ?? found[0] ?? null;
}

function troubleWith(
  pod: string,
  { waiting, restarts, message: told }: PodView['containers'][number],
  restartsMax: number,
): Standing | null {
  const said = told === '' ? '' : `: ${told.slice(0, 300)}`;
  const word = waiting ?? '';
  if (PULL_FAILED.has(word) || PULL_TROUBLE.has(word)) {
    const state = PULL_FAILED.has(word) ? 'failed' : 'trouble';
    return { state, code: 'upgrade_image_pull_failed', message: `${pod}: ${word}${said}` };
  }
  const isLoop = restarts >= restartsMax;
  if (!isLoop && word !== 'CrashLoopBackOff') return null;
  const message = `${pod} ended ${restarts} times${said}`;
  return { state: isLoop ? 'failed' : 'trouble', code: 'upgrade_crash_loop', message };
}

/** As `kubectl rollout status` judges it. */
function progressOf(workload: WorkloadView): Standing {
  const { generation, observedGeneration, wanted, present, updated, available } = workload;
  const moving = (message: string): Standing => ({
    state: 'moving',
    mark: [observedGeneration, wanted, present, updated, available].join(' '),
    message,
  });
  if (observedGeneration < generation) return moving('its controller has not seen the change yet');
  if (workload.progressReason === 'ProgressDeadlineExceeded') {
    const message = `its controller gave up: ${updated} of ${wanted} updated, ${available} available`;
    return { state: 'failed', code: 'upgrade_progress_deadline', message };
  }
  if (updated < wanted) return moving(`${updated} of ${wanted} pods are updated`);
  if (present > updated) return moving(`${present - updated} pods of the image before are left`);
  if (available < wanted) return moving(`${available} of ${wanted} pods are available`);
  return { state: 'complete' };
}

/** What was seen over time; lives as long as the process. */
export interface ProgressWatch {
  readonly mark: string;
  /** How long nothing moved, as far as somebody looked. */
  readonly stalledMs: number;
  readonly troubleMs: number;
  readonly lookedAtMs: number | null;
  /** When it was complete for the first time. */
  readonly completeAtMs: number | null;
}
export const FRESH_PROGRESS: ProgressWatch = {
  mark: '',
  stalledMs: 0,
  troubleMs: 0,
  lookedAtMs: null,
  completeAtMs: null,
};

export interface ProgressLimits {
  /** Nothing moved for this long: it will not. */
  readonly deadlineMs: number;
  /** A failed pull or a crash that lasts this long is not a stutter. */
  readonly troubleMs: number;
  /** Between two looks no more than this is counted: while nobody could look, nobody knows. */
  readonly lookMs: number;
}

export type ProgressVerdict =
  | { readonly says: 'wait' }
  | { readonly says: 'healthy'; readonly value: boolean }
  | { readonly says: 'condemned'; readonly code: StandingCode; readonly message: string };

/**
 * One look. Time counts only where somebody looked: an API server that is away turns nothing back.
 * Once it was complete, what follows is health: good while it stays so.
 */
export function lookedAt(
  watch: ProgressWatch,
  standing: Standing,
  nowMs: number,
  limits: ProgressLimits,
): { readonly watch: ProgressWatch; readonly verdict: ProgressVerdict } {
  const passedMs =
    watch.lookedAtMs === null ? 0 : Math.min(nowMs - watch.lookedAtMs, limits.lookMs);
  const seen = { ...watch, lookedAtMs: nowMs };
  switch (standing.state) {
    case 'failed': {
      const { code, message } = standing;
      return { watch: seen, verdict: { says: 'condemned', code, message } };
    }
    case 'trouble': {
      const troubleMs = watch.troubleMs + passedMs;
      const next = { ...seen, troubleMs };
      if (troubleMs < limits.troubleMs) return { watch: next, verdict: onTheWay(watch) };
      const { code, message } = standing;
      return { watch: next, verdict: { says: 'condemned', code, message } };
    }
    case 'complete': {
      const completeAtMs = watch.completeAtMs ?? nowMs;
      const next = { ...seen, completeAtMs, stalledMs: 0, troubleMs: 0 };
      return { watch: next, verdict: { says: 'healthy', value: true } };
    }
    case 'moving': {
      const hasMoved = watch.mark !== standing.mark;
      const stalledMs = hasMoved ? 0 : watch.stalledMs + passedMs;
      const next = { ...seen, mark: standing.mark, stalledMs, troubleMs: 0 };
      if (stalledMs < limits.deadlineMs) return { watch: next, verdict: onTheWay(watch) };
      const message = `nothing moved for ${Math.round(stalledMs / 1000)} s: ${standing.message}`;
      return {
        watch: next,
        verdict: { says: 'condemned', code: 'upgrade_progress_deadline', message },
      };
    }
  }
}

/** Before it was complete, that it is not says nothing; afterwards it is a sick answer. */
const onTheWay = ({ completeAtMs }: ProgressWatch): ProgressVerdict =>
  completeAtMs === null ? { says: 'wait' } : { says: 'healthy', value: false };
