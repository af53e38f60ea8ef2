import { spawn } from 'node:child_process';

/** More than any supervisor has to say in one answer; the rest is dropped. */
const OUTPUT_BYTES_MAX = 64 * 1024;

export interface CommandEnd {
  /** Null when a signal ended it. */
  readonly code: number | null;
  /** Standard output and error in the order they came; empty when they went into a file. */
  readonly output: string;
}

/**
 * Runs a program to its end. Rejects when it cannot be started or takes longer than `timeoutMs`
 * (then its whole process group is killed). `outputFd` takes what it says, for commands that leave
 * a daemon behind: a pipe of ours would break under that.
 */
export function runCommand(
  command: readonly string[],
  options: { readonly timeoutMs: number; readonly cwd?: string; readonly outputFd?: number },
): Promise<CommandEnd> {
  const [program = '', ...args] = command;
  const { timeoutMs, cwd, outputFd } = options;
  return new Promise((resolve, reject) => {
    const to = outputFd ?? 'pipe';
    const child = spawn(program, args, { cwd, stdio: ['ignore', to, to], detached: true });
    let output = '';
    const take = (chunk: Buffer): void => {
      if (output.length < OUTPUT_BYTES_MAX) output += chunk.toString('utf8');
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    const timer = setTimeout(() => {
      if (child.pid !== undefined) killGroup(child.pid, true);
      reject(new Error(`${command.join(' ')}: no end within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(new Error(`${program} cannot be run: ${error.message}`));
    });
    // Not every grandchild closes what it inherited, so with a file the exit is the end.
    child.once(outputFd === undefined ? 'close' : 'exit', (code: number | null) => {
      clearTimeout(timer);
      resolve({ code, output: output.trim() });
    });
  });
}

/** SIGKILL to the group that a process leads or led, and to it. Nothing happens when nobody is left. */
export function killGroup(pid: number, withLeader: boolean): void {
  for (const target of withLeader ? [-pid, pid] : [-pid]) {
    try {
      process.kill(target, 'SIGKILL');
    } catch {
      // Nobody is left there: that is what was wanted.
    }
  }
}
