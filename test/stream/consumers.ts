import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ManagerApi } from '../support/fleet.js';

/** Something that takes events somewhere, and can be killed at any moment. A new one is a class here. */
export interface Consumer {
  readonly name: string;
  /** Starts, or starts again after a kill, where it had come to. */
  start(): Promise<void>;
  /** Ends it as a power cut would; nothing happens when it does not run. */
  kill(): Promise<void>;
  /** The ids that it has durably, in the order in which they came. */
  ids(): number[];
  /** What may come twice: nothing, where the consumer keeps its own place. */
  readonly mayRepeat: boolean;
}

/** A process whose standard output is a file; ended by SIGKILL. */
class Killable {
  #child: ChildProcess | null = null;

  start(args: readonly string[], file: string, env: Readonly<Record<string, string>>): void {
    const out = openSync(file, 'a');
    this.#child = spawn(process.execPath, args, {
      stdio: ['ignore', out, 'ignore'],
      env: { ...process.env, ...env },
    });
    closeSync(out);
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async kill(): Promise<void> {
    if (this.#child === null || !this.isRunning) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

const LINE_FEED = '\n';

/** `bellwether events tail -o json` into a file: goes on after the last whole line of it. */
export class TailingFile implements Consumer {
  readonly name = 'tail';
  readonly mayRepeat = false;
  readonly #process = new Killable();
  readonly #file: string;

  constructor(
    private readonly programs: string,
    private readonly manager: ManagerApi,
    folder: string,
  ) {
    this.#file = join(folder, 'tail.ndjson');
    writeFileSync(this.#file, '');
  }

  async start(): Promise<void> {
    if (this.#process.isRunning) return;
    const after = this.ids().at(-1) ?? 0;
    const main = join(this.programs, 'cli', 'main.js');
    const words = ['events', 'tail', '--after', String(after), '-o', 'json'];
    this.#process.start([main, ...words], this.#file, {
      BELLWETHER_MANAGER: this.manager.url,
      BELLWETHER_TOKEN: this.manager.admin,
    });
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  /** A line that was cut off in its middle is taken away: it comes again. */
  ids(): number[] {
    const text = existsSync(this.#file) ? readFileSync(this.#file, 'utf8') : '';
    const end = text.lastIndexOf(LINE_FEED) + 1;
    if (end < text.length && !this.#process.isRunning) {
      truncateSync(this.#file, Buffer.byteLength(text.slice(0, end)));
    }
    return text
      .slice(0, end)
      .split(LINE_FEED)
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { id: number }).id);
  }
}

/** The WebSocket with credit, as `ws-consumer.mjs` reads it: an id a line. */
export class CreditedFile implements Consumer {
  readonly name = 'websocket';
  readonly mayRepeat = false;
  readonly #process = new Killable();
  readonly #file: string;

  constructor(
    private readonly root: string,
    private readonly manager: ManagerApi,
    folder: string,
  ) {
    this.#file = join(folder, 'websocket.ids');
    writeFileSync(this.#file, '');
  }

  async start(): Promise<void> {
    if (this.#process.isRunning) return;
    const after = this.ids().at(-1) ?? 0;
    const script = join(this.root, 'test/stream/ws-consumer.mjs');
    const url = this.manager.url.replace('http', 'ws');
    this.#process.start([script, url, this.manager.admin, String(after)], this.#file, {});
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  ids(): number[] {
    const text = readFileSync(this.#file, 'utf8');
    const end = text.lastIndexOf(LINE_FEED) + 1;
    if (end < text.length && !this.#process.isRunning) truncateSync(this.#file, end);
    return text
      .slice(0, end)
      .split(LINE_FEED)
      .filter((line) => line !== '')
      .map(Number);
  }
}
