import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of its own that can be filled to the last byte and the last name. */
export interface SmallDisk {
  readonly path: string;
  /** To the last byte and the last name; with `leftBytes`, to about so many bytes, and names are left. */
  fill(leftBytes?: number): void;
  /** Makes room again: what `fill` wrote goes. */
  free(): void;
  remove(): void;
}

function untilFull(write: () => void): void {
  try {
    for (;;) write();
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOSPC') throw error;
  }
}

/** Null, with a word about it, where this process may not mount. */
export function mountSmallDisk(size = '1m', names = 200): SmallDisk | null {
  const path = mkdtempSync(join(tmpdir(), 'bellwether-disk-'));
  const mounted = spawnSync('mount', [
    '-t',
    'tmpfs',
    '-o',
    `size=${size},nr_inodes=${names}`,
    'tmpfs',
    path,
  ]);
  if (mounted.status !== 0) {
    rmSync(path, { recursive: true, force: true });
    console.warn(`skipped: a small disk cannot be mounted here (${String(mounted.stderr)})`);
    return null;
  }
  const ballast = join(path, 'ballast');
  return {
    path,
    fill: (leftBytes = 0) => {
      mkdirSync(ballast, { recursive: true });
      const file = openSync(join(ballast, 'bytes'), 'a');
      untilFull(() => writeSync(file, Buffer.alloc(4_096)));
      if (leftBytes > 0) ftruncateSync(file, Math.max(0, fstatSync(file).size - leftBytes));
      closeSync(file);
      if (leftBytes > 0) return;
      let made = 0;
      untilFull(() => {
        closeSync(openSync(join(ballast, String((made += 1))), 'w'));
      });
    },
    free: () => {
      rmSync(ballast, { recursive: true, force: true });
    },
    remove: () => {
      spawnSync('umount', ['-l', path]);
      rmSync(path, { recursive: true, force: true });
    },
  };
}
