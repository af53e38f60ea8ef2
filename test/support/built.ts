import { spawnSync } from 'node:child_process';
import { copyFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeTempDir } from './databases.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The programs as `tsc` makes them, built from the sources of this moment into a folder of their
 * own: a spec that starts a process must not run what an earlier build left behind.
 */
export function buildPrograms(): { readonly path: string; remove(): void } {
  const dir = makeTempDir();
  const made = spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'),
      ...['-p', ROOT, '--outDir', join(dir.path, 'dist'), '--noCheck', '--incremental', 'false'],
      ...['--tsBuildInfoFile', 'null', '--sourceMap', 'false'],
    ],
    { encoding: 'utf8' },
  );
  if (made.status !== 0) throw new Error(`tsc failed: ${made.stdout}`);
  symlinkSync(join(ROOT, 'node_modules'), join(dir.path, 'node_modules'));
  copyFileSync(join(ROOT, 'package.json'), join(dir.path, 'package.json'));
  return { path: join(dir.path, 'dist', 'src'), remove: () => dir.remove() };
}

/**
 * How a spec starts the agent: as what `buildPrograms` made, or as the executable that
 * BELLWETHER_AGENT_BINARY names, so that the same specs run on exactly what is shipped.
 */
export function agentProgram(programs: string): { readonly file: string; readonly args: string[] } {
  const binary = process.env['BELLWETHER_AGENT_BINARY'] ?? '';
  if (binary !== '') return { file: binary, args: [] };
  return { file: process.execPath, args: [join(programs, 'agent', 'main.js')] };
}
