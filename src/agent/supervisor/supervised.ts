import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { bootId } from '../host.js';
import { bornAt } from '../process-birth.js';
import type { ServiceDriver, ServiceStatus } from './driver.port.js';
import type { ServiceConfig } from './service-config.js';
import { endsBetween, isUp, type Seen, type Supervisor } from './supervisor.port.js';

/** Whether the process lives is read from /proc this often: that costs no process. */
const POLL_MS = 200;
/** The supervisor is asked at least this often about a service that is ready and has a process. */
const LOOK_STEADY_MS = 5_000;
/** And this often about one that is on its way up or down, or whose process nobody can name. */
const LOOK_UNSTEADY_MS = 1_000;
/** A start that shows neither a process nor an end by then is left to the health checks. */
const START_WAIT_MS = 5_000;
/** Time for the supervisor to see that a process is gone that was ended by force. */
const KILL_WAIT_MS = 10_000;
const STOP_POLL_MS = 50;
const BACKOFF_BASE_MS = 250;
const BACKOFF_MAX_MS = 30_000;
/** Ends told for one look; more at once say nothing more. */
const TOLD_MAX = 16;
const RECORD_BYTES_MAX = 4_096;

const Recorded = z.object({
  run: z.string().nullable(),
  ends: z.int().nullable(),
  boot: z.string(),
});

/** The first process tells one boot of a container from the next: its kernel stays the same. */
const thisBoot = (): string => `${bootId()} ${bornAt(1) ?? ''}`;

const BEGUN: Seen = { state: 'starting', pid: null, ends: 0, run: null, how: 'gone' };

/**
 * Looks after a service that another supervisor runs. That one starts it again when it ends; where
 * it has given up, this does, later each time. What was last seen lies in `service.seen`, so that
 * an end while no agent ran is told by the next, and so is a boot of the machine.
 */
export class SupervisedDriver implements ServiceDriver {
  readonly #config: Pick<ServiceConfig, 'root' | 'stop_timeout_secs'>;
  readonly #supervisor: Supervisor;
  readonly #listeners: ((how: string) => void)[] = [];
  #seen: Seen | null = null;
  /** From /proc: tells the process from a later one with the same number. */
  #born: string | null = null;
  #lookedAtMs = 0;
  #restarts = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | null = null;
  /** Counts what was asked for: a look that began before the last wish says nothing. */
  #wish = 0;

  constructor(config: Pick<ServiceConfig, 'root' | 'stop_timeout_secs'>, supervisor: Supervisor) {
    this.#config = config;
    this.#supervisor = supervisor;
  }

  onExit(listener: (how: string) => void): void {
    this.#listeners.push(listener);
  }

  status(): ServiceStatus {
    const seen = this.#seen;
    const running = seen?.state === 'ready';
    return { running, pid: seen?.pid ?? null, restarts: this.#restarts };
  }

  async adopt(): Promise<boolean> {
    const wish = this.#newWish();
    const seen = await this.#supervisor.look();
    if (seen.state === 'ended') return false;
    this.#seen = this.#recorded() ?? seen;
    this.#note(seen, wish);
    return true;
  }

  /** Resolves when there is a process or an end of one. Rejects when the supervisor refuses. */
  async start(): Promise<void> {
    const wish = this.#newWish();
    this.#failures = 0;
    const before = await this.#supervisor.look();
    if (isUp(before) && before.state !== 'stopping') {
      this.#seen ??= before;
      this.#note(before, wish);
      return;
    }
    await this.#begin(wish);
  }

  async stop(): Promise<void> {
    this.#newWish();
    const askedAtMs = performance.now();
    const limitMs = this.#config.stop_timeout_secs * 1000;
    let last = this.#seen;
    let isAsked = false;
    for (;;) {
      const seen = await this.#supervisor.look();
      if (seen.state === 'ended') break;
      if (seen.pid !== null) last = seen;
      if (!isAsked) await this.#supervisor.stop();
      isAsked = true;
      const tookMs = performance.now() - askedAtMs;
      if (tookMs > limitMs + KILL_WAIT_MS) throw new Error('it does not end, not even by force');
      if (tookMs > limitMs) await this.#supervisor.kill(seen);
      await sleep(STOP_POLL_MS);
    }
    // Children that outlived their leader would hold its port.
    if (last !== null) await this.#supervisor.kill(last);
    this.#seen = null;
    this.#record(null);
  }

  release(): void {
    this.#newWish();
    this.#seen = null;
  }

  #newWish(): number {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#wish += 1;
    return this.#wish;
  }

  async #begin(wish: number): Promise<void> {
    this.#seen = BEGUN;
    // Durable before it runs: it may take the whole machine down.
    this.#record(BEGUN);
    let refusal: unknown = null;
    // Some supervisors call it a failure to start what they have started themselves meanwhile.
    await this.#supervisor.start().catch((error: unknown) => {
      refusal = error;
    });
    const deadline = performance.now() + START_WAIT_MS;
    let seen = await this.#supervisor.look();
    if (refusal !== null && !isUp(seen)) throw refusal as Error;
    while (seen.state === 'starting' && seen.pid === null && performance.now() < deadline) {
      await sleep(STOP_POLL_MS);
      seen = await this.#supervisor.look();
    }
    this.#note(seen, wish);
  }

  /** Takes what was seen: tells what ended, and sees to it that it is looked at again. */
  #note(seen: Seen, wish: number): void {
    if (wish !== this.#wish) return;
    const ends = this.#seen === null ? 0 : endsBetween(this.#seen, seen);
    if (seen.run !== this.#seen?.run || ends > 0) this.#record(seen);
    this.#seen = seen;
    this.#born = seen.pid === null ? null : bornAt(seen.pid);
    this.#lookedAtMs = performance.now();
    this.#restarts += ends;
    if (seen.state === 'ended') this.#startLater(wish);
    else this.#poll(wish);
    for (let told = 0; told < Math.min(ends, TOLD_MAX); told += 1) {
      for (const listener of this.#listeners) listener(seen.how);
    }
  }

  #poll(wish: number): void {
    this.#timer = setTimeout(() => {
      if (wish !== this.#wish) return;
      if (!this.#isDue()) {
        this.#poll(wish);
        return;
      }
      this.#supervisor
        .look()
        .then((seen) => {
          this.#note(seen, wish);
        })
        .catch(() => {
          // Who cannot be asked has not said that it ended.
          this.#lookedAtMs = performance.now();
          if (wish === this.#wish) this.#poll(wish);
        });
    }, POLL_MS);
  }

  #isDue(): boolean {
    const sinceMs = performance.now() - this.#lookedAtMs;
    const { state, pid } = this.#seen ?? BEGUN;
    if (state !== 'ready' || pid === null) return sinceMs >= LOOK_UNSTEADY_MS;
    return bornAt(pid) !== this.#born || sinceMs >= LOOK_STEADY_MS;
  }

  /** The supervisor has given up. A version that can run later, on a mended disk say, shall run. */
  #startLater(wish: number): void {
    const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => {
      if (wish !== this.#wish) return;
      this.#begin(wish).catch(() => {
        if (wish === this.#wish) this.#startLater(wish);
      });
    }, backoffMs);
  }

  get #recordFile(): string {
    return join(this.#config.root, 'service.seen');
  }

  /** On a full disk it is not kept: then an end while no agent runs may go untold, nothing else. */
  #record(seen: Seen | null): void {
    const kept = seen === null ? {} : { run: seen.run, ends: seen.ends, boot: thisBoot() };
    try {
      const file = openSync(this.#recordFile, 'w', 0o640);
      try {
        writeSync(file, JSON.stringify(kept));
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
    } catch {
      // As said above.
    }
  }

  #recorded(): Seen | null {
    try {
      const text = readFileSync(this.#recordFile, 'utf8').slice(0, RECORD_BYTES_MAX);
      const { run, ends, boot } = Recorded.parse(JSON.parse(text));
      // Whatever ran in another boot has ended, and the counts began anew.
      if (boot !== thisBoot()) return { ...BEGUN, run: `of ${boot}`, ends: null };
      return { ...BEGUN, run, ends };
    } catch {
      return null;
    }
  }
}
