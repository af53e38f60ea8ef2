import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { FleetError, type Refusal, type Result } from '../../core/kernel/index.js';
import { judgeRelease, type NodePolicy } from '../../core/release/index.js';
import {
  answerTo,
  FRESH_WATCH,
  nextAction,
  step,
  type Action,
  type FailedStep,
  type Facts,
  type Input,
  type Job,
  type Machine,
  type OutboxEvent,
} from '../../core/update/index.js';
import type { Command, ServiceReport, UpgradeBinary, Withdraw } from '../../protocol/node/index.js';
import type { ErrorCode } from '../../protocol/index.js';
import { isHealthy, type ServiceConfig, type ServiceDriver } from '../supervisor/index.js';
import { download } from './download.js';
import { extract } from './extract.js';
import type { Faults } from './faults.js';
import type { Fetcher } from './fetcher.port.js';
import { InstallRoot } from './install-root.js';

/** DESIGN 7: an archive, what it unpacks to, and room to breathe. */
const FREE_SPACE_FACTOR = 3;
/** A rollback that failed is tried again this often; it is never given up. */
const ROLLBACK_RETRY_MS = 5_000;
/** In probation a service is asked at least this many times in its window. */
const CHECKS_PER_WINDOW = 8;
const CHECK_INTERVAL_MS_MIN = 100;

export interface UpdaterOptions {
  readonly service: ServiceConfig;
  readonly host: { readonly os: string; readonly arch: string };
  readonly policy: () => Promise<Result<NodePolicy, Refusal<ErrorCode>>>;
  readonly fetcher: Fetcher;
  readonly driver: ServiceDriver;
  readonly clock: { now(): number; monotonicMs(): number };
  /** Makes events durable in the spool; those with an id that it knows already are dropped. */
  readonly emit: (service: string, events: readonly OutboxEvent[]) => Promise<void>;
  readonly askPermit: (job: { commandId: string; service: string; version: string }) => void;
  readonly faults: Faults;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
}

export type Answer =
  | { readonly ok: true; readonly isDuplicate: boolean }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/**
 * Looks after one service: takes commands, asks the pure machine what to do, does it, and keeps
 * the state durable before every step. One loop, one thing at a time. All of it can be killed at
 * any moment and goes on at the next `open`.
 */
export class Updater {
  readonly #options: UpdaterOptions;
  readonly #root: InstallRoot;
  readonly #stopping = new AbortController();
  #machine: Machine;
  #saved: Machine['state'];
  #policy: NodePolicy | null = null;
  /** Inputs are taken one after another; each is durable before the next. */
  #inputs: Promise<unknown> = Promise.resolve();
  #kick: () => void = () => undefined;
  #loop: Promise<void> = Promise.resolve();
  #working: AbortController | null = null;
  #isHealthy: boolean | null = null;
  #checking = false;
  #checkAtMs = 0;
  #rollbackAtMs = 0;

  private constructor(options: UpdaterOptions, root: InstallRoot, machine: Machine) {
    this.#options = options;
    this.#root = root;
    this.#machine = machine;
    this.#saved = machine.state;
  }

  /** Reads the state, repairs it if need be, and takes over or starts the service. */
  static async open(options: UpdaterOptions): Promise<Updater> {
    const { service } = options;
    await mkdir(service.root, { recursive: true, mode: 0o755 });
    const root = new InstallRoot(service.root);
    await root.prepare();
    const names = { service: service.name, product: service.product, variant: service.variant };
    const { state, damage } = await root.loadState(names);
    const updater = new Updater(options, root, { state, watch: FRESH_WATCH });
    if (damage !== null) await updater.#tellDamage(damage);
    await updater.#begin();
    return updater;
  }

  get name(): string {
    return this.#options.service.name;
  }

  /** Whether this command is, or was, one of this service. */
  knows(commandId: string): boolean {
    const { job } = this.#machine.state;
    return job?.command_id === commandId || answerTo(this.#machine.state, commandId) !== null;
  }

  /** Durable when it resolves. The same command again gets the same answer. */
  async command(command: UpgradeBinary | Withdraw): Promise<Answer> {
    const before = answerTo(this.#machine.state, command.command_id);
    if (before === null) await this.#take(inputOf(command));
    const answer = before ?? answerTo(this.#machine.state, command.command_id);
    if (answer === null || answer.error_code === null) {
      return { ok: true, isDuplicate: before !== null };
    }
    return { ok: false, code: answer.error_code as ErrorCode, message: answer.message };
  }

  async permitGranted(commandId: string, leaseMs: number): Promise<void> {
    await this.#take({ type: 'permit_granted', command_id: commandId, lease_ms: leaseMs });
  }

  async permitDenied(commandId: string, retryMs: number): Promise<void> {
    await this.#take({ type: 'permit_denied', command_id: commandId, retry_ms: retryMs });
  }

  /** The link is open (again): what was asked before may have been lost. */
  async linked(): Promise<void> {
    await this.#take({ type: 'linked' });
  }

  report(): ServiceReport {
    const { service, driver } = this.#options;
    const { current, previous, job, outcome } = this.#machine.state;
    return {
      name: service.name,
      product: service.product,
      variant: service.variant,
      version: current?.version ?? null,
      previous_version: previous?.version ?? null,
      phase: job?.phase ?? 'idle',
      command_id: job?.command_id ?? null,
      healthy: this.#isHealthy,
      restarts: driver.status().restarts,
      outcome:
        outcome === null ? null : { ...outcome, error_code: outcome.error_code as ErrorCode },
    };
  }

  /** Ends the loop. The service is left running unless `withService`. */
  async stop(withService: boolean): Promise<void> {
    this.#stopping.abort();
    this.#working?.abort();
    this.#kick();
    await this.#loop;
    await this.#inputs;
    if (withService) await this.#options.driver.stop();
    else this.#options.driver.release();
  }

  async #begin(): Promise<void> {
    const { driver, faults } = this.#options;
    await this.#readPolicy();
    const current = await this.#root.linked('current');
    await this.#take({ type: 'booted', current });
    driver.onExit((how) => {
      this.#options.log('service ended', { service: this.name, how });
      void this.#take({ type: 'exited' });
    });
    const isMoving = ['swapping', 'rolling_back'].includes(this.#machine.state.job?.phase ?? '');
    const isRunning = await driver.adopt();
    // In the middle of a swap the executor itself decides what runs.
    if (!isRunning && current !== null && !isMoving) await driver.start();
    faults.hit('after-state-started');
    this.#loop = this.#run();
  }

  async #tellDamage(damage: string): Promise<void> {
    this.#options.log('state.json was damaged and rebuilt', { service: this.name, damage });
    await this.#root.saveState(this.#machine.state);
    await this.#options.emit(this.name, [
      {
        id: `${this.name}:state:${this.#options.clock.now()}`,
        at: new Date(this.#options.clock.now()).toISOString(),
        type: 'state_recovered',
        severity: 'critical',
        command_id: null,
        message: `state.json was damaged and was rebuilt from what is installed: ${damage}`,
        details: { error_code: 'upgrade_state_invalid' },
      },
    ]);
  }

  #facts(): Facts {
    const { clock } = this.#options;
    return {
      nowMs: clock.now(),
      monotonicMs: clock.monotonicMs(),
      healthWindowMs: (this.#policy?.boot_health_window_secs ?? 120) * 1000,
      bootAttemptsMax: this.#policy?.max_boot_attempts ?? 3,
      manualOnly: this.#policy?.manual_only ?? false,
    };
  }

  async #readPolicy(): Promise<Result<NodePolicy, Refusal<ErrorCode>>> {
    const policy = await this.#options.policy();
    if (policy.ok) this.#policy = policy.value;
    return policy;
  }

  /** One input: the new state is durable, and its events are in the spool, before this resolves. */
  #take(input: Input): Promise<void> {
    const taken = this.#inputs.then(async () => {
      const before = this.#machine.state.job;
      this.#machine = step(this.#machine, input, this.#facts());
      await this.#save();
      const after = this.#machine.state.job;
      if (before !== null && before.command_id !== after?.command_id) {
        this.#working?.abort();
        await this.#root.collectGarbage([after?.version ?? null]);
      }
      this.#kick();
    });
    this.#inputs = taken.catch(() => undefined);
    return taken;
  }

  async #save(): Promise<void> {
    const { state } = this.#machine;
    if (state !== this.#saved) await this.#root.saveState(state);
    this.#hitFor(state.job?.phase ?? null, this.#saved.job?.phase ?? null, state.outcome?.result);
    this.#saved = state;
    if (state.outbox.length === 0) return;
    await this.#options.emit(this.name, state.outbox);
    this.#options.faults.hit('after-spool');
    const ids = state.outbox.map((event) => event.id);
    this.#machine = step(this.#machine, { type: 'spooled', ids }, this.#facts());
    this.#saved = this.#machine.state;
    await this.#root.saveState(this.#machine.state);
  }

  #hitFor(
    phase: Job['phase'] | null,
    before: Job['phase'] | null,
    result: string | undefined,
  ): void {
    const { faults } = this.#options;
    if (phase === before) return;
    if (phase === 'staged') faults.hit('after-state-staged');
    if (phase === 'swapping') faults.hit('after-state-swapping');
    if (phase === 'probation') faults.hit('after-state-probation');
    if (phase === 'rolling_back') faults.hit('after-state-rolling-back');
    if (phase === null && result === 'succeeded') faults.hit('after-state-promoted');
    if (phase === null && result === 'rolled_back') faults.hit('after-state-rolled-back');
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const kicked = new Promise<void>((resolve) => {
        this.#kick = resolve;
      });
      const action = nextAction(this.#machine, this.#facts());
      const waitMs = await this.#do(action).catch((error: unknown) => {
        this.#options.log('step failed', { service: this.name, error: String(error) });
        return 1_000;
      });
      if (waitMs === 0) continue;
      let timer: NodeJS.Timeout | undefined;
      const idleMs = this.#options.service.health.interval_secs * 1000;
      const timeout = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, Math.min(waitMs, idleMs));
      });
      await Promise.race([kicked, timeout]);
      clearTimeout(timer);
      if (!this.#stopping.signal.aborted) await this.#look();
    }
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
        await this.#guarded(action.job, () => this.#extract(action.job));
        return 0;
      case 'ask_permit': {
        const { command_id: commandId, version } = action.job;
        await this.#take({ type: 'permit_asked' });
        this.#options.askPermit({ commandId, service: this.name, version });
        return 250;
      }
      case 'swap':
        await this.#swap(action.job);
        return 0;
      case 'watch':
        return CHECK_INTERVAL_MS_MIN;
      case 'roll_back':
        return this.#rollBack(action.job);
    }
  }

  /** Time and health, whatever else goes on. */
  async #look(): Promise<void> {
    const { service, driver, clock } = this.#options;
    const { job } = this.#machine.state;
    if (job !== null) await this.#take({ type: 'tick' });
    if (this.#checking || clock.monotonicMs() < this.#checkAtMs) return;
    if (this.#machine.state.current === null) return;
    const isProbation = job?.phase === 'probation';
    const windowMs = this.#facts().healthWindowMs;
    const probationMs = Math.max(CHECK_INTERVAL_MS_MIN, windowMs / CHECKS_PER_WINDOW);
    const ownMs = service.health.interval_secs * 1000;
    this.#checkAtMs = clock.monotonicMs() + (isProbation ? Math.min(ownMs, probationMs) : ownMs);
    this.#checking = true;
    const cwd = join(service.root, 'current');
    const { running, pid } = driver.status();
    void isHealthy(service.health, running, cwd)
      .then(async (healthy) => {
        // An answer of a process that has gone says nothing about the one that runs now.
        if (driver.status().pid !== pid) return;
        await this.#tellHealth(healthy);
        await this.#take({ type: 'health', healthy });
      })
      .finally(() => {
        this.#checking = false;
      });
  }

  async #tellHealth(healthy: boolean): Promise<void> {
    const before = this.#isHealthy;
    this.#isHealthy = healthy;
    if (before === healthy || (before === null && healthy)) return;
    const now = this.#options.clock.now();
    await this.#options.emit(this.name, [
      {
        id: `${this.name}:health:${now}`,
        at: new Date(now).toISOString(),
        type: healthy ? 'service_healthy' : 'service_unhealthy',
        severity: healthy ? 'info' : 'warning',
        command_id: null,
        message: healthy ? 'The service is healthy again' : 'The service fails its health check',
        details: { version: this.#machine.state.current?.version ?? null },
      },
    ]);
  }

  /** Runs a step that may be withdrawn; its failure becomes an input, unless it was withdrawn. */
  async #guarded(job: Job, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const working = new AbortController();
    this.#working = working;
    try {
      await work(working.signal);
    } catch (error) {
      if (working.signal.aborted) return;
      const { step: failedStep, code, message } = failureOf(error, job);
      await this.#take({ type: 'failed', step: failedStep, code, message });
      // What came so far is kept for the next try, unless it is what was wrong.
      if (code !== 'upgrade_network_error') await this.#root.clearDownloads(null);
    } finally {
      this.#working = null;
    }
  }

  async #fetch(job: Job, signal: AbortSignal): Promise<void> {
    const { service, host, fetcher, faults } = this.#options;
    const policy = await this.#readPolicy();
    if (!policy.ok) throw new FleetError(policy.error.code, policy.error.message);
    const { state } = this.#machine;
    const request = { product: service.product, version: job.version, channel: job.channel };
    const { sources } = job;
    const allowed = judgeEarly(policy.value, job);
    if (allowed !== null) throw allowed;
    const { manifest, signatures } = await fetcher.fetchRelease({ ...request, sources });
    const judged = judgeRelease({
      policy: policy.value,
      manifestBytes: manifest,
      signatures,
      request,
      host: { ...host, variant: service.variant },
      installed: {
        version: state.current?.version ?? null,
        sequenceFloor: state.floors[job.channel] ?? 0,
      },
    });
    if (!judged.ok) throw new FleetError(judged.error.code, judged.error.message);
    const { sha256, size } = judged.value.artifact;
    const free = await this.#root.freeBytes();
    if (free < size * FREE_SPACE_FACTOR) {
      throw new FleetError(
        'upgrade_disk_full',
        `${free} bytes are free, ${size * FREE_SPACE_FACTOR} are needed`,
      );
    }
    const artifact = { sha256, size, sequence: judged.value.manifest.sequence };
    await this.#take({ type: 'judged', artifact });
    await this.#root.clearDownloads(sha256);
    const path = join(this.#root.downloads, sha256);
    await download({
      sha256,
      size,
      path,
      sources,
      fetcher,
      faults,
      signal: AbortSignal.any([signal, this.#stopping.signal]),
      random: Math.random,
    });
    faults.hit('after-download');
    await this.#take({ type: 'downloaded' });
  }

  async #extract(job: Job): Promise<void> {
    const { artifact } = job;
    if (artifact === null) throw new FleetError('internal_error', 'no artifact to unpack');
    const { version, channel } = job;
    await extract({
      root: this.#root,
      archive: join(this.#root.downloads, artifact.sha256),
      archiveBytes: artifact.size,
      version,
      marker: { version, channel, sequence: artifact.sequence },
      faults: this.#options.faults,
    });
    await this.#take({ type: 'extracted' });
    await this.#root.clearDownloads(null);
  }

  /** From here on the service is touched; whatever fails, the old version runs again. */
  async #swap(job: Job): Promise<void> {
    const { driver, faults } = this.#options;
    try {
      await driver.stop();
      faults.hit('after-service-stopped');
      await this.#root.link('previous', job.from?.version ?? null);
      faults.hit('after-link-previous');
      await this.#root.link('current', job.version);
      faults.hit('after-link-current');
      await driver.start();
      faults.hit('after-service-started');
      this.#isHealthy = null;
      this.#checkAtMs = 0;
    } catch (error) {
      await this.#restore(job);
      const { code, message } = failureOf(error, job);
      const named = code === 'upgrade_disk_full' ? code : 'upgrade_swap_failed';
      await this.#take({ type: 'failed', step: 'swap', code: named, message });
      return;
    }
    await this.#take({ type: 'swapped' });
  }

  async #rollBack(job: Job): Promise<number> {
    const { clock, faults } = this.#options;
    if (clock.monotonicMs() < this.#rollbackAtMs) return CHECK_INTERVAL_MS_MIN;
    try {
      await this.#restore(job);
      faults.hit('after-rollback-link');
      await this.#take({ type: 'rolled_back' });
      return 0;
    } catch (error) {
      this.#rollbackAtMs = clock.monotonicMs() + ROLLBACK_RETRY_MS;
      await this.#take({ type: 'rollback_failed', message: String(error) });
      return CHECK_INTERVAL_MS_MIN;
    }
  }

  /** Brings back what ran before the job; with nothing before it, nothing runs. */
  async #restore(job: Job): Promise<void> {
    const { driver } = this.#options;
    await driver.stop();
    await this.#root.link('current', job.from?.version ?? null);
    await this.#root.link('previous', job.from_previous?.version ?? null);
    if (job.from !== null) await driver.start();
    this.#isHealthy = null;
    this.#checkAtMs = 0;
  }
}

/** What the policy refuses without looking at the release: no reason to download anything. */
function judgeEarly(policy: NodePolicy, job: Job): FleetError | null {
  if (!policy.enabled) {
    return new FleetError('upgrade_disabled', 'upgrades are switched off in the local policy');
  }
  if (policy.allowed_channels.includes(job.channel)) return null;
  return new FleetError(
    'upgrade_channel_not_allowed',
    `channel ${job.channel} is not one of ${policy.allowed_channels.join(', ')}`,
  );
}

const inputOf = (command: Command): Input =>
  command.action === 'withdraw'
    ? {
        type: 'withdraw',
        command_id: command.command_id,
        generation: command.generation,
        withdraws: command.withdraws,
      }
    : {
        type: 'upgrade',
        order: {
          command_id: command.command_id,
          generation: command.generation,
          version: command.version,
          channel: command.channel,
          sources: command.sources,
          apply_after_ms: command.apply_after === null ? null : Date.parse(command.apply_after),
          expires_at_ms: Date.parse(command.expires_at),
          needs_permit: command.permit === 'required',
        },
      };

const STEP_OF_CODE: Readonly<Record<string, FailedStep>> = {
  upgrade_network_error: 'download',
  upgrade_url_invalid: 'download',
  upgrade_disk_full: 'download',
  upgrade_signature_invalid: 'verify',
  upgrade_identity_not_allowed: 'verify',
  upgrade_manifest_invalid: 'verify',
  upgrade_checksum_mismatch: 'verify',
  upgrade_extract_failed: 'stage',
};

/** An error as the machine takes it: which step, which code of the closed list, what to say. */
function failureOf(
  error: unknown,
  job: Job,
): { step: FailedStep; code: ErrorCode; message: string } {
  const during: FailedStep = job.phase === 'verifying' ? 'stage' : 'download';
  if (error instanceof FleetError) {
    return {
      step: during === 'stage' ? 'stage' : (STEP_OF_CODE[error.code] ?? 'refused'),
      code: error.code as ErrorCode,
      message: error.message,
    };
  }
  const { code, message } = error as { code?: string; message?: string };
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return {
    step: during,
    code: isFull
      ? 'upgrade_disk_full'
      : during === 'stage'
        ? 'upgrade_extract_failed'
        : 'upgrade_network_error',
    message: isFull ? 'the disk is full' : (message ?? 'unknown error').slice(0, 500),
  };
}
