import type { Refusal, Result } from '../../core/kernel/index.js';
import type { Channel, NodePolicy } from '../../core/release/index.js';
import {
  answerTo,
  FRESH_WATCH,
  nextAction,
  step,
  type Action,
  type Facts,
  type IndexInput,
  type Input,
  leaseNowMs,
  type Job,
  type LinkInput,
  type Machine,
} from '../../core/update/index.js';
import type { ErrorCode } from '../../protocol/index.js';
import type { ServiceReport, UpgradeBinary, Withdraw } from '../../protocol/node/index.js';
import type { ServiceDriver } from '../supervisor/index.js';
import { ControlFile } from '../control-file.js';
import { obeyHand, tellControl, type HandRequest } from './by-hand.js';
import { Channels } from './channels.js';
import { openRoot, type Opened } from './damage.js';
import { hitFor, type Faults } from './faults.js';
import { GuardedDriver } from './guarded-driver.js';
import { HealthWatch } from './health-watch.js';
import type { InstallRoot } from './install-root.js';
import { JobHooks } from './job-hooks.js';
import { soonerOf } from './sooner-of.js';
import { askToSwap, extractStep, fetchStep } from './steps.js';
import { swapTo } from './swap.js';
import { endRevoked } from './revoked.js';
import { factsOf, failureOf, inputOf, judgeStaged, reportOf } from './translate.js';
import type { Answer, UpdaterOptions } from './updater-options.js';
import { WayBack } from './way-back.js';

/** How soon the loop looks again while a version is watched. */
const WATCH_MS = 100;
/** A step that failed for want of the disk is tried again this often. */
const FAILED_STEP_RETRY_MS = 1_000;

/**
 * Looks after one service: takes commands, asks the pure machine what to do, does it, and keeps the state durable
 * before every step. One loop, one thing at a time. Killed at any moment, it goes on at the next `open`.
 */
export class Updater {
  readonly #options: UpdaterOptions;
  readonly #root: InstallRoot;
  readonly #watch: HealthWatch;
  readonly #channels: Channels;
  readonly #control: ControlFile;
  readonly #driver: ServiceDriver;
  readonly #hooks: JobHooks;
  readonly #wayBack: WayBack;
  readonly #unlock: () => void;
  readonly #parts: { readonly driver: ServiceDriver; readonly faults: Faults };
  readonly #stopping = new AbortController();
  #machine: Machine;
  #saved: Machine['state'];
  #policy: NodePolicy | null = null;
  /** Inputs are taken one after another; each is durable before the next. */
  #turn: Promise<unknown> = Promise.resolve();
  #kick: () => void = () => undefined;
  #loop: Promise<void> = Promise.resolve();
  #working: AbortController | null = null;

  private constructor(options: UpdaterOptions, opened: Opened, machine: Machine) {
    const { root } = opened;
    this.#options = options;
    this.#root = root;
    this.#unlock = opened.unlock;
    this.#hooks = new JobHooks(options);
    this.#machine = machine;
    this.#saved = machine.state;
    this.#channels = new Channels({
      ...options,
      root,
      refreshMs: options.indexRefreshMs,
      state: () => this.#machine.state,
      policy: () => this.#policy,
      readPolicy: async () => ((await this.#readPolicy()).ok ? this.#policy : null),
      take: (input) => this.#learn(input),
    });
    this.#control = new ControlFile(root.path, (control) => {
      this.#inBackground(tellControl(options, control));
    });
    this.#driver = new GuardedDriver(options.driver, async () => {
      return (await this.#channels.revocationOfCurrent()) !== null;
    });
    this.#parts = { driver: this.#driver, faults: options.faults };
    this.#watch = new HealthWatch(options, async (healthy) => {
      if (!this.#stopping.signal.aborted) await this.#take({ type: 'health', healthy });
    });
    const [hooks, watch] = [this.#hooks, this.#watch];
    this.#wayBack = new WayBack({ ...options, ...this.#parts, root, hooks, watch });
  }

  /** Reads the state, repairs it if need be, and takes over or starts the service. */
  static async open(options: UpdaterOptions): Promise<Updater> {
    const opened = await openRoot(options);
    try {
      const updater = new Updater(options, opened, { state: opened.state, watch: FRESH_WATCH });
      await updater.#begin();
      return updater;
    } catch (error) {
      opened.unlock();
      throw error;
    }
  }

  get name(): string {
    return this.#options.service.name;
  }

  get product(): string {
    return this.#options.service.product;
  }

  /** Whether this command is, or was, one of this service. */
  knows(commandId: string): boolean {
    const { job } = this.#machine.state;
    return job?.command_id === commandId || answerTo(this.#machine.state, commandId) !== null;
  }

  /** Durable when it resolves. The same command again gets the same answer. */
  async command(command: UpgradeBinary | Withdraw): Promise<Answer> {
    const before = answerTo(this.#saved, command.command_id);
    if (before === null) await this.#take(inputOf(command));
    const answer = before ?? answerTo(this.#saved, command.command_id);
    if (answer === null || answer.error_code === null) {
      return { ok: true, isDuplicate: before !== null };
    }
    return { ok: false, code: answer.error_code as ErrorCode, message: answer.message };
  }

  /** What the link has to say: answers to questions for a permit, and that it is open (again). */
  async hear(input: LinkInput): Promise<void> {
    if (input.type === 'linked') this.#channels.linked();
    await this.#take(input);
  }

  /** Somebody says that there is a newer index: it is looked for soon, if that concerns this service. */
  indexNews(product: string, channel: Channel): void {
    const isOurs = product === this.#options.service.product;
    if (isOurs && this.#policy?.allowed_channels.includes(channel) === true) this.#channels.news();
  }

  /** Tells what is durable only: a step that a full disk still holds up may yet be taken back by a crash. */
  report(): ServiceReport {
    const { service, driver } = this.#options;
    const { restarts } = driver.status();
    const told = { healthy: this.#watch.isHealthy, restarts, by_hand: this.#control.told };
    return reportOf(service, this.#saved, told);
  }

  get generation(): number {
    return this.#saved.generation;
  }

  /** What a person on the node asks for: see `obeyHand`. */
  byHand(request: HandRequest): Promise<string> {
    return obeyHand(request, {
      driver: this.#options.service.driver,
      root: this.#root,
      channels: this.#channels,
      control: this.#control,
      state: () => this.#saved,
      policy: () => this.#readPolicy(),
      take: (input, of = null) => this.#take(input, of),
    });
  }

  /** Ends the loop. The service is left running unless `withService`. */
  async stop(withService: boolean): Promise<void> {
    this.#stopping.abort();
    this.#working?.abort();
    this.#hooks.stop();
    this.#kick();
    await Promise.all([this.#loop, this.#channels.stop()]);
    await this.#turn;
    if (withService) await this.#driver.stop();
    else this.#driver.release();
    this.#unlock();
  }

  async #begin(): Promise<void> {
    const [driver, { faults }] = [this.#driver, this.#options];
    await Promise.all([this.#readPolicy(), this.#control.read()]);
    const current = await this.#root.linked('current');
    const wasOnProbation = this.#machine.state.job?.phase === 'probation';
    await this.#take({ type: 'booted', current });
    driver.onExit((how) => {
      this.#options.log('service ended', { service: this.name, how });
      this.#inBackground(this.#take({ type: 'exited' }));
    });
    const isRunning = await driver.adopt();
    await this.#turn; // The ends that it told of are durable before anything runs.
    // Counted before it is started: a version that takes the whole machine down is tried no more
    // often than one that only ends.
    if (!isRunning && wasOnProbation) await this.#take({ type: 'exited' });
    // In the middle of a swap the executor itself decides what runs.
    const isMoving = ['swapping', 'rolling_back'].includes(this.#machine.state.job?.phase ?? '');
    await this.#endRevoked();
    const links = await this.#root.found();
    if (links !== null) await this.#take({ type: 'links_found', ...links });
    if (!isRunning && current !== null && !isMoving) await driver.start();
    this.#options.set?.join(this.name, () => ({ machine: this.#machine, facts: this.#ownFacts() }));
    faults.hit('after-state-started');
    this.#loop = this.#run();
  }

  #ownFacts(): Facts {
    return factsOf(this.#options.clock, this.#policy, this.#hooks.hasPostSwap);
  }

  #facts(): Facts {
    return { ...this.#ownFacts(), set: this.#options.set?.wordTo(this.name) };
  }

  /** With a job: whether a person on the node lets its version come, too. */
  async #readPolicy(job: Job | null = null): Promise<Result<NodePolicy, Refusal<ErrorCode>>> {
    const policy = await this.#options.policy();
    if (policy.ok) this.#policy = policy.value;
    const hand = job === null || !policy.ok ? policy : await this.#control.judge(job.version);
    return hand.ok ? policy : hand;
  }

  /**
   * One input: the new state is durable, and its events are in the spool, before this resolves.
   * What became `of` a job is dropped when another command has taken its place meanwhile.
   */
  #take(input: Input, of: Job | null = null): Promise<void> {
    const done = this.#turn.then(async () => {
      const machine = this.#machine;
      const before = machine.state.job;
      if (of !== null && before?.command_id !== of.command_id) return;
      this.#machine = step(machine, input, this.#facts());
      const after = this.#machine.state.job;
      const hasEnded = before !== null && before.command_id !== after?.command_id;
      if (hasEnded) this.#working?.abort();
      // What changed nothing wakes nobody: the loop itself brings a tick on each round.
      if (this.#machine !== machine) this.#kick();
      await this.#save();
      if (hasEnded) await this.#root.collectGarbage([after?.version ?? null]);
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #save(): Promise<void> {
    const { state } = this.#machine;
    if (state !== this.#saved) await this.#root.saveState(state);
    hitFor(this.#options.faults, this.#saved, state);
    this.#saved = state;
    if (state.outbox.length === 0) return;
    await this.#options.emit(this.name, state.outbox);
    this.#options.faults.hit('after-spool');
    const ids = state.outbox.map((event) => event.id);
    this.#machine = step(this.#machine, { type: 'spooled', ids }, this.#facts());
    await this.#root.saveState(this.#machine.state);
    this.#saved = this.#machine.state;
  }

  /** For what nobody waits for: a failure is told, and the loop tries again what was not saved. */
  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#options.log('step failed', { service: this.name, error: String(error) });
    });
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const kicked = new Promise<void>((resolve) => {
        this.#kick = resolve;
      });
      const waitMs = await this.#next().catch((error: unknown) => {
        this.#options.log('step failed', { service: this.name, error: String(error) });
        return FAILED_STEP_RETRY_MS;
      });
      if (waitMs === 0) continue;
      await soonerOf(kicked, Math.min(waitMs, this.#options.service.health.interval_secs * 1000));
      const { current, job } = this.#machine.state;
      const windowMs = job?.phase === 'probation' ? this.#facts().healthWindowMs : null;
      if (current !== null) this.#watch.look({ version: current.version, windowMs });
    }
  }

  /** The tick saves what could not be saved before, or rejects: on a full disk all waits until it can be written. */
  async #next(): Promise<number> {
    await this.#endRevoked();
    const { job } = this.#machine.state;
    if (job?.phase === 'staged') await this.#judgeAgain(job, 'refused');
    if (job?.phase === 'probation' && (await this.#wayBack.hasBeenGone(job))) {
      await this.#take({ type: 'booted', current: job.from?.version ?? null }, job);
    }
    try {
      await this.#take({ type: 'tick' });
    } catch (error) {
      await this.#wayBack.goUnsaved(this.#saved.job, this.#machine.state.job);
      throw error;
    }
    return this.#do(nextAction(this.#machine, this.#facts()));
  }

  /** Does one thing; answers how long to wait before the state is looked at again. */
  async #do(action: Action): Promise<number> {
    switch (action.do) {
      case 'wait':
        return action.ms ?? Number.MAX_SAFE_INTEGER;
      case 'fetch':
        await this.#guarded(action.job, (signal) => this.#fetch(action.job, signal));
        return 0;
      case 'extract':
        await this.#guarded(action.job, (signal) =>
          extractStep(this.#step(action.job, signal), this.#policy, this.#hooks),
        );
        return 0;
      case 'ask_permit': {
        const { command_id, version } = action.job;
        await this.#take({ type: 'permit_asked' }, action.job);
        const { asks: ask } = this.#machine.watch;
        this.#options.askPermit({ command_id, ask, service: this.name, version });
        return 250;
      }
      case 'swap':
        await this.#swap(action.job);
        return 0;
      case 'watch':
        this.#hooks.postSwap(action.job, (problem) => {
          this.#inBackground(this.#take({ type: 'post_swap_ended', problem }, action.job));
        });
        return WATCH_MS;
      case 'roll_back':
        return (await this.#wayBack.attempt(action.job, (input) => this.#take(input)))
          ? 0
          : WATCH_MS;
    }
  }

  /** Runs a step that may be withdrawn; its failure becomes an input, unless it was withdrawn. */
  async #guarded(job: Job, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const working = new AbortController();
    this.#working = working;
    try {
      await work(working.signal);
    } catch (error) {
      if (working.signal.aborted) return;
      const { step: failedStep, ...failure } = failureOf(error, job);
      // What came so far is kept for the next try, unless it is what was wrong. First of all: on a
      // full disk it is this that makes the room to tell the failure.
      if (failure.code !== 'upgrade_network_error') await this.#root.clearDownloads([]);
      await this.#take({ type: 'failed', step: failedStep, ...failure }, job);
    } finally {
      this.#working = null;
    }
  }

  /** What runs and was revoked just now does not wait for a long download. */
  async #learn(input: IndexInput): Promise<void> {
    await this.#take(input);
    const { current, revoked_told } = this.#machine.state;
    if (current === null || current.version === revoked_told) return;
    if (this.#channels.revocationOf(current.version) !== null) this.#working?.abort();
  }

  async #endRevoked(): Promise<void> {
    const parts = { root: this.#root, channels: this.#channels, driver: this.#driver };
    const input = await endRevoked(this.#machine.state, this.#policy, parts);
    if (input === null) return;
    await this.#take(input);
    if (input.done !== 'back') return;
    this.#watch.forget();
    await this.#driver.start();
  }

  /** A policy that was changed while a version waits for its swap still counts, to the last moment. */
  async #judgeAgain(job: Job, atStep: 'refused' | 'swap'): Promise<boolean> {
    const policy = await this.#readPolicy(job);
    const now = { indexes: this.#channels.trusted, nowMs: this.#options.clock.now() };
    const refusal = policy.ok ? judgeStaged(policy.value, job, now) : policy.error;
    if (refusal === null) return true;
    const { code, message } = refusal;
    await this.#take({ type: 'failed', step: atStep, code, message }, job);
    return false;
  }

  async #fetch(job: Job, signal: AbortSignal): Promise<void> {
    await fetchStep(this.#step(job, signal), {
      policy: await this.#readPolicy(job),
      channels: this.#channels,
      state: () => this.#machine.state,
      learn: (input) => this.#take(input),
    });
  }

  #step(job: Job, signal: AbortSignal): Parameters<typeof fetchStep>[0] {
    const take = (input: Input): Promise<void> => this.#take(input, job);
    return { job, signal, take, options: this.#options, root: this.#root };
  }

  /** From here on the service is touched; whatever fails, the old version runs again. */
  async #swap(job: Job): Promise<void> {
    const refusal = await askToSwap(this.#hooks, job);
    if (refusal !== null) return this.#take(refusal, job);
    if (!(await this.#judgeAgain(job, 'swap'))) return;
    const isLate = this.#machine.watch.permitUntilMs < leaseNowMs(this.#ownFacts());
    if (isLate || this.#hooks.isStopping) return;
    try {
      await swapTo(job, this.#root, this.#parts);
      this.#watch.forget();
    } catch (error) {
      await this.#take(await this.#wayBack.afterFailedSwap(job, error));
      return;
    }
    await this.#take({ type: 'swapped' });
  }
}
