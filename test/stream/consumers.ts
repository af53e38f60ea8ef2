import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

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
/** Longer than any line. */
const TAIL_BYTES = 256 * 1024;

/** Where a consumer may go: any of the managers, another one each time. */
export interface Reach {
  readonly admin: string;
  nextUrl(): string;
}

/**
 * The last whole line of a file that grows by lines, '' when it has none; a line that was cut off in its
 * middle is taken away: it comes again.
 */
function lastLine(path: string): string {
  const file = openSync(path, 'r+');
  try {
    const { size } = fstatSync(file);
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
    readSync(file, tail, 0, tail.length, size - tail.length);
    const end = tail.lastIndexOf(LINE_FEED) + 1;
    if (end < tail.length) truncateSync(path, size - tail.length + end);
    return tail.toString('utf8', tail.lastIndexOf(LINE_FEED, end - 2) + 1, Math.max(0, end - 1));
  } finally {
    closeSync(file);
  }
}

const wholeLines = (path: string): string[] =>
  readFileSync(path, 'utf8').split(LINE_FEED).slice(0, -1);

/** `bellwether events tail -o json` into a file: goes on after the last whole line of it. */
export class TailingFile implements Consumer {
  readonly name = 'tail';
  readonly mayRepeat = false;
  readonly #process = new Killable();
  readonly #file: string;

  constructor(
    private readonly programs: string,
    private readonly reach: Reach,
    folder: string,
  ) {
    this.#file = join(folder, 'tail.ndjson');
    writeFileSync(this.#file, '');
  }

  async start(): Promise<void> {
    if (this.#process.isRunning) return;
    const last = lastLine(this.#file);
    const after = last === '' ? 0 : idOf(last);
    const main = join(this.programs, 'cli', 'main.js');
    const words = ['events', 'tail', '--after', String(after), '-o', 'json'];
    this.#process.start([main, ...words], this.#file, {
      BELLWETHER_MANAGER: this.reach.nextUrl(),
      BELLWETHER_TOKEN: this.reach.admin,
    });
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  ids(): number[] {
    return wholeLines(this.#file).map(idOf);
  }
}

const idOf = (line: string): number => (JSON.parse(line) as { id: number }).id;

/** The WebSocket with credit, as `ws-consumer.mjs` reads it: an id a line. */
export class CreditedFile implements Consumer {
  readonly name = 'websocket';
  readonly mayRepeat = false;
  readonly #process = new Killable();
  readonly #file: string;

  constructor(
    private readonly root: string,
    private readonly reach: Reach,
    folder: string,
  ) {
    this.#file = join(folder, 'websocket.ids');
    writeFileSync(this.#file, '');
  }

  async start(): Promise<void> {
    if (this.#process.isRunning) return;
    const after = Number(lastLine(this.#file));
    const script = join(this.root, 'test/stream/ws-consumer.mjs');
    const url = this.reach.nextUrl().replace('http', 'ws');
    this.#process.start([script, url, this.reach.admin, String(after)], this.#file, {});
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  ids(): number[] {
    return wholeLines(this.#file).map(Number);
  }
}
