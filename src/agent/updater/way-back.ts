import type { HookProblem, Input, Job } from '../../core/update/index.js';
import type { ServiceDriver } from '../supervisor/index.js';
import type { Faults } from './faults.js';
import type { HealthWatch } from './health-watch.js';
import type { InstallRoot } from './install-root.js';
import type { JobHooks } from './job-hooks.js';
import { bringBack, restore } from './swap.js';
import { failureOf } from './translate.js';

/** A rollback that failed is tried again this often; it is never given up. */
const RETRY_MS = 5_000;

interface Parts {
  readonly root: InstallRoot;
  readonly driver: ServiceDriver;
  readonly faults: Faults;
  readonly hooks: JobHooks;
  readonly watch: HealthWatch;
  readonly clock: { monotonicMs(): number };
}

/** The way back of one service: the hook, the links and what runs, done once for a job. */
export class WayBack {
  readonly #parts: Parts;
  /** The job whose version before runs again, whether or not that could be written. */
  #back: string | null = null;
  /** The same with both links right. */
  #done: string | null = null;
  #againAtMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * True when the script that stands in for an agent led the service back beside this one: it may have
   * begun before this agent was up.
   */
  async hasBeenGone(job: Job): Promise<boolean> {
    const current = await this.#parts.root.linked('current');
    return current === (job.from?.version ?? null) && current !== job.version;
  }

  /** One try; false when it does not work yet, or is not due. */
  async attempt(job: Job, take: (input: Input) => Promise<void>): Promise<boolean> {
    if (!this.#isDue) return false;
    try {
      const problem = await this.#go(job);
      if (problem !== null) await take({ type: 'hook_failed', problem });
      this.#parts.faults.hit('after-rollback-link');
      await take({ type: 'rolled_back' });
      return true;
    } catch (error) {
      await take({ type: 'rollback_failed', message: String(error) });
      return false;
    }
  }

  /**
   * The one thing that is done before it is durable: what fails its probation may be what filled the
   * disk. An agent that is started in between sees by the links that it was done.
   */
  async goUnsaved(saved: Job | null, job: Job | null): Promise<void> {
    if (saved?.phase !== 'probation' || job?.phase !== 'rolling_back') return;
    if (this.#isDue) await this.#go(job);
  }

  get #isDue(): boolean {
    return this.#parts.clock.monotonicMs() >= this.#againAtMs;
  }

  /** What the hook has to say. Rejects when it does not work yet; then it is due again after a while. */
  async #go(job: Job): Promise<HookProblem | null> {
    if (this.#done === job.command_id) return null;
    this.#againAtMs = this.#parts.clock.monotonicMs() + RETRY_MS;
    const { root, hooks, watch } = this.#parts;
    const problem = await hooks.preRollback(job);
    if (this.#back !== job.command_id) await bringBack(job, root, this.#parts);
    this.#back = job.command_id;
    watch.forget();
    await root.link('previous', job.from_previous?.version ?? null);
    this.#done = job.command_id;
    this.#againAtMs = 0;
    return problem;
  }

  /** Whatever failed in the swap, the version before runs again; what the machine takes of it. */
  async afterFailedSwap(job: Job, error: unknown): Promise<Input> {
    const { root, watch } = this.#parts;
    const { code: found, message } = failureOf(error, job);
    const code = found === 'upgrade_disk_full' ? found : 'upgrade_swap_failed';
    try {
      await restore(job, root, this.#parts);
      watch.forget();
      return { type: 'failed', step: 'swap', code, message };
    } catch {
      return { type: 'restore_failed', code, message };
    }
  }
}
