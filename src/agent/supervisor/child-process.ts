import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bornAt } from '../process-birth.js';
import type { ServiceDriver, ServiceStatus } from './driver.port.js';
import type { ServiceConfig } from './service-config.js';
import { openLog } from './service-log.js';

const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 30_000;
/** A process that ran this long has earned a fresh back-off. */
const STEADY_MS = 60_000;
/** An adopted process is nobody's child: whether it lives is looked up this often. */
const POLL_MS = 200;

interface Running {
  readonly pid: number;
  /** From /proc: tells a process from a later one with the same number. */
  readonly born: string;
  readonly startedAtMs: number;
}

/**
 * Runs a service as a process group of its own, that outlives the agent: an agent that comes back
 * finds it by pid file and start time and takes it over, so there are never two.
 */
export class ChildProcessDriver implements ServiceDriver {
  readonly #config: ServiceConfig;
  readonly #listeners: ((how: string) => void)[] = [];
  #running: Running | null = null;
  #wanted = false;
  #restarts = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(config: ServiceConfig) {
    this.#config = config;
  }

  onExit(listener: (how: string) => void): void {
    this.#listeners.push(listener);
  }

  status(): ServiceStatus {
    const { pid } = this.#running ?? { pid: null };
    return { running: this.#running !== null, pid, restarts: this.#restarts };
  }

  async adopt(): Promise<boolean> {
    const left = readPidFile(this.#pidFile);
    if (left === null || bornAt(left.pid) !== left.born) return false;
    this.#wanted = true;
    this.#running = { ...left, startedAtMs: performance.now() };
    this.#poll(this.#running);
    return Promise.resolve(true);
  }

  async start(): Promise<void> {
    this.#wanted = true;
    this.#failures = 0;
    if (this.#running === null) this.#spawn();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#wanted = false;
    this.#clearTimer();
    const running = this.#running ?? this.#leftover();
    if (running === null) return;
    const deadline = performance.now() + this.#config.stop_timeout_secs * 1000;
    signalGroup(running.pid, 'SIGTERM');
    while (bornAt(running.pid) === running.born) {
      if (performance.now() > deadline) signalGroup(running.pid, 'SIGKILL');
      await sleep(20);
    }
    // Children that outlived their leader would hold its port.
    signalGroup(running.pid, 'SIGKILL');
    this.#running = null;
  }

  release(): void {
    this.#wanted = false;
    this.#clearTimer();
    this.#running = null;
  }

  get #pidFile(): string {
    return join(this.#config.root, 'service.pid');
  }

  #leftover(): Running | null {
    const left = readPidFile(this.#pidFile);
    return left !== null && bornAt(left.pid) === left.born ? { ...left, startedAtMs: 0 } : null;
  }

  #spawn(): void {
    const { root, exec = '', args, env } = this.#config;
    const current = join(root, 'current');
    const log = openLog(root);
    let child: ChildProcess;
    try {
      child = spawn(join(current, exec), args, {
        cwd: current,
        env: { PATH: process.env['PATH'], ...env },
        detached: true,
        stdio: ['ignore', log, log],
      });
    } finally {
      closeSync(log);
    }
    const { pid } = child;
    if (pid === undefined) {
      child.once('error', (error) => {
        this.#ended(null, `it could not be started: ${error.message}`);
      });
      return;
    }
    child.unref();
    const running = { pid, born: bornAt(pid) ?? '', startedAtMs: performance.now() };
    this.#running = running;
    child.once('exit', (code, signal) => {
      this.#ended(running, signal === null ? `exit code ${code ?? 0}` : `signal ${signal}`);
    });
    try {
      writePidFile(this.#pidFile, { pid, born: running.born });
    } catch (error) {
      // One that the next agent could not find would run beside the one that it starts.
      signalGroup(pid, 'SIGKILL');
      throw error;
    }
  }

  #poll(running: Running): void {
    this.#timer = setTimeout(() => {
      if (this.#running !== running) return;
      if (bornAt(running.pid) === running.born) this.#poll(running);
      else this.#ended(running, 'gone');
    }, POLL_MS);
  }

  #ended(running: Running | null, how: string): void {
    if (!this.#wanted || this.#running !== running) return;
    // Children that outlived their leader would hold its port.
    if (running !== null) signalGroup(running.pid, 'SIGKILL');
    this.#running = null;
    this.#restarts += 1;
    const wasSteady = running !== null && performance.now() - running.startedAtMs > STEADY_MS;
    this.#failures = wasSteady ? 0 : this.#failures + 1;
    const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** (this.#failures - 1));
    this.#clearTimer();
    this.#timer = setTimeout(() => {
      if (this.#wanted && this.#running === null) this.#spawnAgain();
    }, backoffMs);
    for (const listener of this.#listeners) listener(how);
  }

  /** Nobody waits for this start, so one that cannot be (a full disk) counts as another end. */
  #spawnAgain(): void {
    try {
      this.#spawn();
    } catch (error) {
      this.#ended(this.#running, `it could not be started: ${String(error)}`);
    }
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody is left in the group: that is what was wanted.
  }
}

/** A pid file is written over in place, always to this length: that works on a full disk too. */
const PID_FILE_BYTES = 64;

function writePidFile(path: string, owner: { pid: number; born: string }): void {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o640);
  try {
    writeSync(file, JSON.stringify(owner).padEnd(PID_FILE_BYTES), 0);
  } finally {
    closeSync(file);
  }
}

function readPidFile(path: string): { pid: number; born: string } | null {
  try {
    const { pid, born } = JSON.parse(readFileSync(path, 'utf8')) as { pid: unknown; born: unknown };
    const isSane = Number.isSafeInteger(pid) && (pid as number) > 1 && typeof born === 'string';
    return isSane ? { pid: pid as number, born } : null;
  } catch {
    return null;
  }
}
