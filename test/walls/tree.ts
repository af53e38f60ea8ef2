import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeTempDir } from '../support/databases.js';
import type { Plant } from './planted.js';

/** The project, with a slash at the end. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A copy of the sources in which something forbidden is planted. */
export function plantedTree(plants: readonly Plant[]): { path: string; remove(): void } {
  const dir = makeTempDir();
  for (const name of ['src', 'migrations', 'test', 'package.json', 'tsconfig.json']) {
    cpSync(join(ROOT, name), join(dir.path, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(dir.path, 'node_modules'));
  for (const { file, code } of plants) {
    const path = join(dir.path, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, code);
  }
  return dir;
}
