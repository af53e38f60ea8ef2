import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { reportOf, type RunReport } from './tally.js';
import { openWorldDatabase, runWorld } from './world/index.js';

/** The runs of one process: every `jobs`-th. */
export interface Share {
  readonly seed: string;
  readonly runs: number;
  readonly jobs: number;
  readonly index: number;
}

/** A run has its own seed, so that it can be repeated alone. */
export const seedOf = (seed: string, run: number): string => `${seed}/${run}`;

/** Does a share in this process and tells each run. */
export async function work(share: Share, tell: (report: RunReport) => void): Promise<void> {
  const database = await openWorldDatabase();
  try {
    for (let run = share.index; run < share.runs; run += share.jobs) {
      tell(reportOf(run, await runWorld({ seed: seedOf(share.seed, run), database })));
    }
  } finally {
    await database.close();
  }
}

/** Does all runs in `jobs` processes; resolves when all have ended. */
export async function workTogether(
  all: Omit<Share, 'index'>,
  tell: (report: RunReport) => void,
): Promise<void> {
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  const children: ChildProcess[] = [];
  const ended = Array.from({ length: all.jobs }, (_, index) => {
    const child = fork(main, ['--worker', JSON.stringify({ ...all, index })]);
    children.push(child);
    child.on('message', (message) => {
      tell(message as RunReport);
    });
    return new Promise<void>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => {
        if (code === 0) resolve();
        else reject(new Error(`a worker of the simulator ended with ${code ?? 'a signal'}`));
      });
    });
  });
  try {
    await Promise.all(ended);
  } finally {
    for (const child of children) child.kill();
  }
}
