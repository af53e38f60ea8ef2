import { readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../durable-files.js';
import type { ServiceDriver, ServiceStatus } from './driver.port.js';
import { resetOwnStarts } from './own-unit.js';

/** Which version of the agent was started last in this root; beside `state.json`. */
const STARTED = 'started';

const endThisProcess = (): void => void process.kill(process.pid, 'SIGTERM');

/**
 * The agent as a service of its own: it runs for as long as this process does. It cannot be
 * stopped before its links move, and is not: to start what `current` names now, this process ends
 * in an orderly way, and what keeps it running (`Restart=always` of its unit) starts that one.
 *
 * Every start but the first of a version counts as an end of it, so a version that cannot stay up
 * in its probation is turned back like any other. One that does not come as far as here is turned
 * back by `OnFailure=` of its unit.
 */
export class SelfDriver implements ServiceDriver {
  readonly #root: string;
  readonly #restart: () => void;
  readonly #resetStarts: () => Promise<void>;
  /** What `current` was when this process took over: what it runs. */
  #runs: string | null = null;
  #isEnding = false;

  constructor(
    root: string,
    restart: () => void = endThisProcess,
    resetStarts: () => Promise<void> = resetOwnStarts,
  ) {
    this.#root = root;
    this.#restart = restart;
    this.#resetStarts = resetStarts;
  }

  async start(): Promise<void> {
    const wanted = await this.#linked();
    if (wanted === null || wanted === this.#runs || this.#isEnding) return;
    this.#isEnding = true;
    // Tries of one version, and the way back from it, must not use up the starts of the next one.
    await this.#resetStarts();
    this.#restart();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  status(): ServiceStatus {
    return { running: !this.#isEnding, pid: process.pid, restarts: 0 };
  }

  /** An agent that has ended tells nobody; the next one counts it. */
  onExit(): void {
    return;
  }

  async adopt(): Promise<boolean> {
    this.#runs = await this.#linked();
    if (this.#runs === null) return true;
    const file = join(this.#root, STARTED);
    const before = await readFile(file, 'utf8').catch(() => '');
    if (before.trim() === this.#runs) return false;
    await replaceFile(file, `${this.#runs}\n`);
    return true;
  }

  release(): void {
    return;
  }

  #linked(): Promise<string | null> {
    return readlink(join(this.#root, 'current')).catch(() => null);
  }
}
