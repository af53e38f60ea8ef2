import { FleetError } from '../../core/kernel/index.js';
import type { HookProblem, Job } from '../../core/update/index.js';
import type { HookName } from '../supervisor/index.js';
import { runHook } from './run-hook.js';
import type { UpdaterOptions } from './updater-options.js';

/**
 * A hook before the swap that took longer than its permit counts for so long: the permit that is
 * asked for again needs no second run of it.
 */
const PRE_SWAP_COUNTS_MS = 300_000;
/** Nothing of the agent's own environment: what it holds is none of a hook's business. */
const HOOK_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Of the output, in the words of a message; all of it is in the details. */
const SAID_CHARACTERS_MAX = 300;

/**
 * Runs the hooks of one service. A crash of the agent repeats the one that it interrupted, and may
 * repeat one that had ended: each runs once or more often for a job, never for a job that is over.
 */
export class JobHooks {
  readonly #options: Pick<UpdaterOptions, 'service' | 'log' | 'clock' | 'faults'>;
  readonly #stopping = new AbortController();
  /** The last job whose swap was agreed to, and until when that counts. */
  #agreed = { commandId: '', untilMs: 0 };
  #postSwap: { readonly commandId: string; readonly abort: AbortController } | null = null;
  #told = '';

  constructor(options: Pick<UpdaterOptions, 'service' | 'log' | 'clock' | 'faults'>) {
    this.#options = options;
  }

  get hasPostSwap(): boolean {
    return this.#options.service.hooks.post_swap !== undefined;
  }

  /** Ends what runs; nothing is made of how it ended. */
  stop(): void {
    this.#stopping.abort();
    this.#postSwap?.abort.abort();
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Throws `upgrade_hook_failed` unless the hook agrees, or there is none. */
  async preStage(job: Job, signal: AbortSignal, isDryRun: boolean): Promise<void> {
    const more: Record<string, string> = isDryRun ? { BELLWETHER_DRY_RUN: '1' } : {};
    throwIf(await this.#run('pre_stage', job, { signal, more }));
    this.#options.faults.hit('after-hook-pre-stage');
  }

  /** The same. What was agreed to a moment ago is not asked again. */
  async preSwap(job: Job): Promise<void> {
    const { clock, faults } = this.#options;
    const { commandId, untilMs } = this.#agreed;
    if (commandId === job.command_id && clock.monotonicMs() < untilMs) return;
    throwIf(await this.#run('pre_swap', job));
    faults.hit('after-hook-pre-swap');
    const until = clock.monotonicMs() + PRE_SWAP_COUNTS_MS;
    this.#agreed = { commandId: job.command_id, untilMs: until };
  }

  /** Begins the hook unless it runs, or has run, for this job; `ended` is told unless it was called off. */
  postSwap(job: Job, ended: (problem: HookProblem | null) => void): void {
    const isDone = job.post_swap_done === true || this.#postSwap?.commandId === job.command_id;
    if (!this.hasPostSwap || isDone) return;
    const abort = new AbortController();
    this.#postSwap = { commandId: job.command_id, abort };
    void this.#run('post_swap', job, { signal: abort.signal }).then((problem) => {
      this.#options.faults.hit('after-hook-post-swap');
      if (!abort.signal.aborted) ended(problem);
    });
  }

  /** What is to be told of the hook, once for a job; the rollback goes on in any case. */
  async preRollback(job: Job): Promise<HookProblem | null> {
    this.#postSwap?.abort.abort();
    if (this.#told === job.command_id) return null;
    this.#told = job.command_id;
    const problem = await this.#run('pre_rollback', job);
    this.#options.faults.hit('after-hook-pre-rollback');
    return this.isStopping ? null : problem;
  }

  async #run(
    name: HookName,
    job: Job,
    {
      signal,
      more = {},
    }: { readonly signal?: AbortSignal; readonly more?: Record<string, string> } = {},
  ): Promise<HookProblem | null> {
    const { service, log } = this.#options;
    const hook = service.hooks[name];
    if (hook === undefined) return null;
    const stopping = this.#stopping.signal;
    const end = await runHook({
      command: hook.command,
      timeoutMs: hook.timeout_secs * 1000,
      cwd: service.root,
      env: { ...envOf(name, job, service), ...more },
      signal: signal === undefined ? stopping : AbortSignal.any([signal, stopping]),
    });
    const { problem, exitCode, output } = end;
    const about = { service: service.name, hook: name, version: job.version, output };
    if (problem === null) {
      log('a hook has run', about);
      return null;
    }
    log('a hook failed', { ...about, error: problem });
    const said = output === '' ? '' : `: ${output.slice(-SAID_CHARACTERS_MAX)}`;
    return {
      message: `hook ${name}: ${problem}${said}`,
      details: { hook: name, exit_code: exitCode, output },
    };
  }
}

function throwIf(problem: HookProblem | null): void {
  if (problem === null) return;
  throw new FleetError('upgrade_hook_failed', problem.message, { context: problem.details });
}

function envOf(
  name: HookName,
  { command_id, version, from }: Job,
  service: UpdaterOptions['service'],
): Record<string, string> {
  const [old, next] = [from?.version ?? '', version];
  const [leaving, coming] = name === 'pre_rollback' ? [next, old] : [old, next];
  return {
    PATH: HOOK_PATH,
    LANG: 'C.UTF-8',
    BELLWETHER_HOOK: name,
    BELLWETHER_SERVICE: service.name,
    BELLWETHER_PRODUCT: service.product,
    BELLWETHER_ROOT: service.root,
    BELLWETHER_COMMAND_ID: command_id,
    BELLWETHER_FROM_VERSION: leaving,
    BELLWETHER_TO_VERSION: coming,
  };
}
