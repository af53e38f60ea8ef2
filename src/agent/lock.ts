import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetError } from '../core/kernel/index.js';

const bornAt = (pid: number): string | null => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
};

/**
 * One agent a directory. The lock names a process and its start time, so one that was killed does
 * not keep it. Returns the way to give it up.
 */
export function holdLock(dir: string): () => void {
  const path = join(dir, 'agent.lock');
  const mine = `${process.pid} ${bornAt(process.pid) ?? ''}`;
  for (let tries = 0; tries < 3; tries += 1) {
    try {
      writeFileSync(path, mine, { flag: 'wx', mode: 0o640 });
      return () => {
        rmSync(path, { force: true });
      };
    } catch {
      const [pid = '0', born] = readFileSync(path, 'utf8').split(' ');
      const isHeld = born !== undefined && born !== '' && bornAt(Number(pid)) === born;
      if (isHeld) {
        throw new FleetError('conflict', `another agent (process ${pid}) runs on ${dir}`);
      }
      rmSync(path, { force: true });
    }
  }
  throw new FleetError('conflict', `the lock in ${dir} cannot be taken`);
}
