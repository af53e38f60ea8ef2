import { spawn } from 'node:child_process';
import type { Stats } from 'node:fs';
import { lstat, readlink, realpath } from 'node:fs/promises';
import { dirname, resolve as pathFrom } from 'node:path';
import { killGroup } from '../supervisor/index.js';

/** Of what a hook says the end is kept: it goes into an event and into the log of the agent. */
const OUTPUT_BYTES_MAX = 2_000;
/** After its end, the time that what it said may still take to come through the pipe. */
const DRAIN_MS = 200;

export interface HookRun {
  readonly command: readonly string[];
  readonly timeoutMs: number;
  readonly cwd: string;
  /** All that it gets to see. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface HookEnd {
  /** Null when it ended with exit code 0. */
  readonly problem: string | null;
  /** Null when a signal ended it, or it was not run at all. */
  readonly exitCode: number | null;
  /** The end of what it said on both outputs. */
  readonly output: string;
}

const notRun = (problem: string): HookEnd => ({ problem, exitCode: null, output: '' });

/**
 * Runs a hook to its end, and ends it with its whole process group at its time limit, or when the
 * signal says so. What it left behind in its group is ended too. Never rejects. A program that others
 * than root and this user could change is not run.
 */
export async function runHook(hook: HookRun): Promise<HookEnd> {
  const [program = ''] = hook.command;
  const found = await programAt(program);
  if ('problem' in found) return notRun(`${program} ${found.problem}`);
  if (hook.signal.aborted) return notRun('it was called off');
  return started(found.real, hook);
}

/** What was looked at is what is run, under the name that was given: some programs are several. */
function started(real: string, hook: HookRun): Promise<HookEnd> {
  const { command, timeoutMs, cwd, env, signal } = hook;
  const [program = '', ...args] = command;
  return new Promise((resolve) => {
    const options = { cwd, env, detached: true, argv0: program } as const;
    const child = spawn(real, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let why: string | null = null;
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_BYTES_MAX);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const endIt = (because: string): void => {
      why = because;
      if (child.pid !== undefined) killGroup(child.pid, true);
    };
    const timer = setTimeout(() => {
      endIt(`no end within ${timeoutMs / 1000} s`);
    }, timeoutMs);
    const onAbort = (): void => {
      endIt('it was called off');
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const ended = (problem: string | null, exitCode: number | null): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ problem, exitCode, output: output.trim() });
    };
    child.once('error', (error) => {
      ended(`it cannot be run: ${error.message}`, null);
    });
    child.once('exit', (code, signalName) => {
      if (child.pid !== undefined) killGroup(child.pid, false);
      const how = code === null ? `signal ${signalName ?? ''}` : `exit code ${code}`;
      const problem = why ?? (code === 0 ? null : how);
      const isQuiet = Promise.all([closed(child.stdout), closed(child.stderr)]);
      const late = new Promise((done) => setTimeout(done, DRAIN_MS));
      void Promise.race([isQuiet, late]).then(() => {
        ended(problem, code);
      });
    });
  });
}

const closed = (stream: NodeJS.ReadableStream | null): Promise<void> =>
  new Promise((resolve) => {
    if (stream === null) resolve();
    else stream.once('close', resolve);
  });

/** Of one path; more is a loop, or nobody's idea of a program. */
const LINKS_MAX = 8;

/**
 * The file that a path leads to, if it may be run as a hook: it, every folder above it, and every
 * folder above a link on the way must belong to root or this user, and nobody else may write there (a
 * folder like `/tmp`, where nobody can exchange the files of others, will do).
 */
export async function programAt(path: string): Promise<{ real: string } | { problem: string }> {
  let at = path;
  try {
    for (let links = 0; links <= LINKS_MAX; links += 1) {
      const problem = await problemAbove(at);
      if (problem !== null) return { problem };
      const stat = await lstat(at);
      if (stat.isSymbolicLink()) at = pathFrom(dirname(at), await readlink(at));
      else return problemOfFile(stat) ?? { real: at };
    }
    return { problem: 'is a link to a link to a link' };
  } catch (error) {
    const { code } = error as { code?: string };
    return { problem: code === 'ENOENT' ? 'is missing' : `cannot be read (${code ?? 'unknown'})` };
  }
}

async function problemAbove(path: string): Promise<string | null> {
  for (let folder = await realpath(dirname(path)); ; folder = dirname(folder)) {
    const found = problemOf(await lstat(folder));
    if (found !== null) return `lies in ${folder}, which ${found}`;
    if (folder === dirname(folder)) return null;
  }
}

function problemOfFile(stat: Stats): { problem: string } | null {
  if (!stat.isFile()) return { problem: 'is not a file' };
  if ((stat.mode & 0o111) === 0) return { problem: 'cannot be run (chmod +x)' };
  const problem = problemOf(stat);
  return problem === null ? null : { problem };
}

function problemOf({ uid, mode }: Stats): string | null {
  if (uid !== 0 && uid !== process.getuid?.()) return 'belongs to somebody else (chown root)';
  const isSticky = (mode & 0o1000) !== 0;
  return (mode & 0o022) !== 0 && !isSticky ? 'can be changed by others (chmod go-w)' : null;
}
