import { mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The log of a service is rotated once when it starts above this size. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** Opens `log/service.log` below the install root for more; the caller closes it. */
export function openLog(root: string): number {
  const folder = join(root, 'log');
  mkdirSync(folder, { recursive: true, mode: 0o750 });
  const path = join(folder, 'service.log');
  try {
    if (statSync(path).size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
  } catch {
    // There is none yet.
  }
  return openSync(path, 'a', 0o640);
}
