import type { Job } from '../core/update/index.js';
import { isSameImage, keyOf } from '../core/workload/index.js';
import { changeBack, changeTo, stillReturning } from './change.js';
import type { NodeState, Return } from './state-store.js';
import { imageIn } from './translate.js';
import type { WorkloadUpdaterOptions } from './workload-updater-options.js';

const backOf = (command: string): string => `${command} back`;

/**
 * For GitOps, what was written and no other hand has brought into the cluster yet. The files of another
 * process may have gone with its pod, so each process writes once what it did not write itself.
 */
export class Unsynced {
  readonly #options: WorkloadUpdaterOptions;
  /** What this process has written last. */
  #written: string | null = null;

  constructor(options: WorkloadUpdaterOptions) {
    this.#options = options;
  }

  wrote({ command_id }: Pick<Job, 'command_id'>): void {
    this.#written = command_id;
  }

  wroteBack(returning: Return | null): void {
    this.#written = returning && backOf(returning.command_id);
  }

  /** The change of a job on probation. Throws what writing throws. */
  async forward(job: Job, { swap, image }: Pick<NodeState, 'swap' | 'image'>): Promise<void> {
    const { optIn, applier, mayAct, fresh } = this.#options;
    if (this.#written === job.command_id || swap === null || optIn().mode !== 'gitops') return;
    if (!mayAct()) return;
    const workload = await fresh();
    if (workload !== null && isSameImage(imageIn(workload, swap.container), swap.from)) {
      await applier('gitops').apply(workload, changeTo(this.#options, job, image, workload));
    }
    this.wrote(job);
  }

  /** What is still waited for. Throws KubeError; a file that cannot be written is tried again at the next look. */
  async back(returning: Return | null): Promise<Return | null> {
    const { workload, optIn, mayAct, fresh } = this.#options;
    const { mode, isSkipped } = optIn();
    if (returning === null || mode !== 'gitops') return returning;
    const isWritten = this.#written === backOf(returning.command_id);
    const isFree = !isWritten && !isSkipped && mayAct();
    const seen = isFree ? await fresh() : workload();
    if (seen === null) return returning;
    const now = stillReturning(seen, returning);
    if (now === null || !isFree) return now;
    try {
      await this.#options.applier('gitops').apply(seen, changeBack(seen, now));
      this.wroteBack(now);
    } catch (error) {
      // Nothing else waits for it.
      const details = { workload: keyOf(seen), error: String(error) };
      this.#options.log('the way back cannot be written again', details);
    }
    return now;
  }
}
