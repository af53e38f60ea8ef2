import { FleetError } from '../core/kernel/index.js';
import type { NodePolicy } from '../core/release/index.js';
import {
  answerTo,
  FRESH_WATCH,
  freshState,
  leaseNowMs,
  nextAction,
  step,
  type Action,
  type Facts,
  type Input,
  type Job,
  type LinkInput,
  type Machine,
} from '../core/update/index.js';
import { FRESH_PROGRESS, keyOf, pinnedImage } from '../core/workload/index.js';
import type { ErrorCode } from '../protocol/index.js';
import type { ServiceReport, UpgradeBinary, Withdraw } from '../protocol/node/index.js';
import { Channels, failureOf, inputOf, soonerOf, type Answer } from '../agent/parts/index.js';
import { imageIn, kubeFacts, reportFrom, runsNow } from './translate.js';
import { changeTo, mustBeThere, putBack, refusalNow, rehearse, wasApplied } from './change.js';
import { chooseImage } from './judge.js';
import { isStatus, isUnanswered } from './kube/client.js';
import { look } from './look.js';
import { freshNode, type NodeState } from './state-store.js';
import { Unsynced } from './unsynced.js';
import type { WorkloadUpdaterOptions } from './workload-updater-options.js';

const RETRY_MS = 1_000;
/** For what waits for helm. */
const FOR_EVER_MS = 8.64e15;
const DIGESTS_MAX = 16;

/**
 * Looks after the image of one workload: the machine of `core/update`, durable in a ConfigMap before every step.
 * One loop, one thing at a time; killed anywhere, another operator goes on from there.
 */
export class WorkloadUpdater {
  readonly #options: WorkloadUpdaterOptions;
  readonly #channels: Channels;
  readonly #stopping = new AbortController();
  #machine: Machine;
  #kept: NodeState;
  #saved: NodeState;
  #policy: NodePolicy | null = null;
  #progress = FRESH_PROGRESS;
  #isHealthy: boolean | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #kick: () => void = () => undefined;
  #loop: Promise<void> = Promise.resolve();
  #working: AbortController | null = null;
  readonly #unsynced: Unsynced;

  private constructor(options: WorkloadUpdaterOptions, state: NodeState) {
    this.#options = options;
    this.#unsynced = new Unsynced(options);
    this.#kept = state;
    this.#saved = state;
    this.#machine = { state: state.update, watch: FRESH_WATCH };
    const { fetcher, clock, log, policy, service } = options;
    this.#channels = new Channels({
      fetcher,
      clock,
      log,
      trust: () => policy.trust(),
      service: { name: service, product: options.optIn().product },
      root: { linked: async () => this.#machine.state.current?.version ?? null },
      refreshMs: undefined,
      state: () => this.#machine.state,
      policy: () => this.#policy,
      readPolicy: () => this.#readPolicy(),
      take: (input) => this.#take(input),
    });
  }

  static async open(options: WorkloadUpdaterOptions): Promise<WorkloadUpdater> {
    const { product, variant } = options.optIn();
    const kept = await options.store.read();
    const fresh = freshState({ service: options.service, product, variant });
    const updater = new WorkloadUpdater(options, kept ?? freshNode(fresh));
    await updater.#begin();
    return updater;
  }

  get generation(): number {
    return this.#saved.update.generation;
  }

  /** Durable when it resolves. The same command again gets the same answer. */
  async command(command: UpgradeBinary | Withdraw): Promise<Answer> {
    const before = answerTo(this.#saved.update, command.command_id);
    const { isSkipped, mode } = this.#options.optIn();
    if (before === null && command.action === 'upgrade_binary' && isSkipped) {
      const message = 'the annotation bellwether.dev/skip-reconcile is set';
      return { ok: false, code: 'upgrade_disabled', message };
    }
    if (before === null) {
      const input = inputOf(command);
      await this.#take(
        input.type === 'upgrade' && mode === 'signal'
          ? { ...input, order: { ...input.order, expires_at_ms: FOR_EVER_MS } }
          : input,
      );
    }
    const answer = before ?? answerTo(this.#saved.update, command.command_id);
    if (answer === null || answer.error_code === null) {
      return { ok: true, isDuplicate: before !== null };
    }
    return { ok: false, code: answer.error_code as ErrorCode, message: answer.message };
  }

  async hear(input: LinkInput): Promise<void> {
    if (input.type === 'linked') this.#channels.linked();
    await this.#take(input);
  }

  indexNews(product: string): void {
    if (product === this.#options.optIn().product) this.#channels.news();
  }

  /** The workload changed: it is looked at now. */
  readonly nudge = (): void => this.#kick();

  report(): ServiceReport {
    const { product, variant, mode } = this.#options.optIn();
    const hand = mode === 'signal' ? this.#handNote() : null;
    const names = { name: this.#options.service, product, variant };
    return reportFrom(names, this.#saved.update, this.#isHealthy, hand);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#working?.abort();
    this.#kick();
    await Promise.all([this.#loop, this.#channels.stop()]);
    await this.#turn;
    await this.#options.applier('gitops').forget(this.#options.of);
  }

  async #begin(): Promise<void> {
    await this.#readPolicy();
    const { job } = this.#machine.state;
    const workload = this.#options.workload();
    if (job !== null && workload !== null) {
      const image = imageIn(workload, this.#options.optIn().container);
      const isNew = wasApplied(this.#options, job, this.#kept.swap, image);
      const current = isNew ? job.version : (job.from?.version ?? null);
      await this.#take({ type: 'booted', current });
    }
    this.#loop = this.#run();
  }

  #handNote(): { readonly version: string; readonly command: string } | null {
    const { job } = this.#machine.state;
    if (job?.phase !== 'staged' || this.#options.workload() === null) return null;
    return { version: job.version, command: this.#command(job.version) };
  }

  #command(version: string): string {
    const { helm, workload } = this.#options;
    return helm(workload(), version, this.#kept.image ?? '').command;
  }

  #facts(): Facts {
    return kubeFacts(this.#options.clock, this.#policy, {
      mode: this.#options.optIn().mode,
      job: this.#machine.state.job,
      since: this.#machine.watch.since,
      completeAtMs: this.#progress.completeAtMs,
      command: () => this.#command(this.#machine.state.job?.version ?? ''),
    });
  }

  async #readPolicy(): Promise<NodePolicy | null> {
    const policy = await this.#options.policy.read();
    this.#policy = policy.ok ? policy.value : null;
    return this.#policy;
  }

  /** One input: the new state is durable, and its events are in the spool, before this resolves. */
  #take(input: Input, of: Job | null = null, more: Partial<NodeState> = {}): Promise<void> {
    const done = this.#turn.then(async () => {
      const before = this.#machine.state.job;
      if (of !== null && before?.command_id !== of.command_id) return;
      const machine = step(this.#machine, input, this.#facts());
      const hasEnded = before !== null && before.command_id !== machine.state.job?.command_id;
      if (hasEnded) this.#working?.abort();
      if (machine !== this.#machine) this.#kick();
      this.#machine = machine;
      const ended = hasEnded ? { image: null, swap: null } : {};
      this.#kept = { ...this.#kept, ...ended, ...more, update: machine.state };
      await this.#save();
      if (hasEnded) this.#progress = FRESH_PROGRESS;
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #save(): Promise<void> {
    const [kept, saved] = [this.#kept, this.#saved];
    const isSaved = kept.update === saved.update && kept.image === saved.image;
    if (!isSaved || kept.returning !== saved.returning) {
      await this.#options.store.write(this.#kept);
      this.#saved = this.#kept;
    }
    const { outbox } = this.#kept.update;
    if (outbox.length > 0) await this.#options.emit(outbox);
  }

  /** They stay in the state until the manager has them: the spool of a pod may go with the pod. */
  async #forgetTold(): Promise<void> {
    const { outbox } = this.#saved.update;
    if (outbox.length === 0 || !this.#options.isTold()) return;
    await this.#take({ type: 'spooled', ids: outbox.map(({ id }) => id) });
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const kicked = new Promise<void>((resolve) => {
        this.#kick = resolve;
      });
      const waitMs = await this.#next().catch((error: unknown) => {
        this.#options.log('step failed', {
          workload: keyOf(this.#options.of),
          error: String(error),
        });
        if (error instanceof FleetError && error.code === 'conflict') this.#options.onConflict();
        return RETRY_MS;
      });
      if (waitMs === 0) continue;
      await soonerOf(kicked, Math.min(waitMs, this.#options.idleMs));
    }
  }

  async #next(): Promise<number> {
    const { job } = this.#machine.state;
    await this.#forgetTold();
    await this.#seeOthers();
    if (job?.phase === 'staged') await this.#judgeAgain(job, 'refused');
    const returning = await this.#unsynced.back(this.#kept.returning);
    await this.#take({ type: 'tick' }, null, { returning });
    return this.#do(nextAction(this.#machine, this.#facts()));
  }

  /** Whatever other hands did to the workload, while this one does not move it. */
  async #seeOthers(): Promise<void> {
    const { job } = this.#machine.state;
    const workload = this.#options.workload();
    const isMoving = job !== null && ['swapping', 'probation', 'rolling_back'].includes(job.phase);
    if (isMoving) return;
    if (workload === null) {
      const how = { step: 'refused', code: 'workload_gone', message: 'it was deleted' } as const;
      if (job !== null) await this.#take({ type: 'failed', ...how }, job);
      return;
    }
    this.#isHealthy = workload.wanted > 0 && workload.available >= workload.wanted;
    const current = runsNow(workload, this.#options.optIn().container, this.#kept);
    if (current !== null) await this.#take({ type: 'runs', current });
  }

  async #do(action: Action): Promise<number> {
    switch (action.do) {
      case 'wait':
        return action.ms ?? Number.MAX_SAFE_INTEGER;
      case 'fetch':
        await this.#guarded(action.job, (signal) => this.#judge(action.job, signal));
        return 0;
      case 'extract':
        await this.#guarded(action.job, () => this.#rehearse(action.job));
        return 0;
      case 'ask_permit': {
        const { command_id, version } = action.job;
        await this.#take({ type: 'permit_asked' }, action.job);
        const { asks: ask } = this.#machine.watch;
        this.#options.askPermit({ command_id, ask, service: this.#options.service, version });
        return 250;
      }
      case 'swap':
        return this.#swap(action.job);
      case 'watch':
        return this.#watch(action.job);
      case 'roll_back':
        return this.#goBack(action.job);
    }
  }

  async #guarded(job: Job, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const working = new AbortController();
    this.#working = working;
    try {
      await work(working.signal);
    } catch (error) {
      if (working.signal.aborted || this.#stopping.signal.aborted) return;
      // Nothing is wrong with the release while nobody can be asked.
      if (isUnanswered(error) || isStatus(error, 409)) throw error;
      const { step: failedStep, ...failure } = failureOf(error, job);
      await this.#take({ type: 'failed', step: failedStep, ...failure }, job);
    } finally {
      this.#working = null;
    }
  }

  async #judge(job: Job, signal: AbortSignal): Promise<void> {
    const policy = await this.#options.policy.read();
    if (!policy.ok) throw new FleetError(policy.error.code, policy.error.message);
    this.#policy = policy.value;
    const { product, variant } = this.#options.optIn();
    const { image, artifact } = await chooseImage({
      job,
      product,
      policy: policy.value,
      workload: { arch: this.#options.arch(), variant },
      trust: await this.#options.policy.trust(),
      channels: this.#channels,
      fetcher: this.#options.fetcher,
      state: () => this.#machine.state,
      signal,
      nowMs: this.#options.clock.now(),
    });
    const digests = new Map([...this.#kept.digests, [artifact.sha256, job.version] as const]);
    await this.#take({ type: 'judged', artifact }, job, {
      image: pinnedImage(image),
      digests: [...digests].slice(-DIGESTS_MAX),
    });
    await this.#take(
      { type: 'downloaded', arrival: { as: 'image', bytes: 0, deltaProblem: null } },
      job,
    );
  }

  /** Told before a permit is asked for: a right that is missing, a webhook that says no. */
  async #rehearse(job: Job): Promise<void> {
    await rehearse(this.#options, job, this.#kept.image);
    await this.#take({ type: 'extracted' }, job);
  }

  async #judgeAgain(job: Job, atStep: 'refused' | 'swap'): Promise<boolean> {
    const refusal = await refusalNow(this.#options, job, this.#channels);
    if (refusal === null) return true;
    const { code, message } = refusal;
    await this.#take({ type: 'failed', step: atStep, code, message }, job);
    return false;
  }

  async #swap(job: Job): Promise<number> {
    if (!(await this.#judgeAgain(job, 'swap'))) return 0;
    try {
      const workload = await mustBeThere(this.#options);
      const change = changeTo(this.#options, job, this.#kept.image, workload);
      const { container, image: to, uid } = change;
      const before = this.#kept.swap;
      // A patch whose answer was lost may have been carried out.
      if (before?.command_id === job.command_id && change.previousImage === to) {
        await this.#take({ type: 'swapped' }, job, { returning: null });
        return 0;
      }
      const swap = { command_id: job.command_id, uid, container, from: change.previousImage, to };
      this.#kept = { ...this.#kept, swap };
      await this.#options.store.write(this.#kept);
      this.#saved = this.#kept;
      const isLate = this.#machine.watch.permitUntilMs < leaseNowMs(this.#facts());
      if (isLate || !this.#options.mayAct() || this.#stopping.signal.aborted) return 250;
      await this.#options.applier(this.#options.optIn().mode).apply(workload, change);
      this.#unsynced.wrote(job);
      this.#progress = FRESH_PROGRESS;
      await this.#take({ type: 'swapped' }, job, { returning: null });
    } catch (error) {
      // Somebody was faster, or nobody answered: looked at anew while the permit lasts.
      if (isStatus(error, 409)) return 50;
      if (isUnanswered(error)) throw error;
      if (!(error instanceof FleetError) || error.code === 'conflict') throw error;
      const { code, message } = error;
      await this.#take({ type: 'failed', step: 'swap', code, message }, job);
    }
    return 0;
  }

  async #watch(job: Job): Promise<number> {
    const { clock, lookMs } = this.#options;
    await this.#unsynced.forward(job, this.#kept);
    const seen = await look(this.#options, {
      swap: this.#kept.swap,
      progress: this.#progress,
      restartsMax: this.#policy?.max_boot_attempts ?? 3,
      nowMs: clock.monotonicMs(),
    });
    this.#progress = seen.watch;
    const { verdict } = seen;
    if (verdict.says === 'wait') return lookMs;
    if (verdict.says === 'healthy') {
      this.#isHealthy = verdict.value;
      await this.#take({ type: 'health', healthy: verdict.value }, job);
      return lookMs;
    }
    const { code, message } = verdict;
    await this.#take({ type: 'condemned', code, message }, job);
    return 0;
  }

  /** The image that was there before, unless somebody else has put another one there meanwhile. */
  async #goBack(job: Job): Promise<number> {
    try {
      const done = await putBack(this.#options, this.#kept.swap, job.from?.version);
      if (done === null) return 250;
      this.#unsynced.wroteBack(done.returning);
      await this.#take({ type: 'rolled_back' }, job, done);
      return 0;
    } catch (error) {
      if (isStatus(error, 409)) return 50;
      const { message } = error as Error;
      await this.#take({ type: 'rollback_failed', message }, job);
      return RETRY_MS;
    }
  }
}
