import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBuilt } from '../../scripts/build-stamp.mjs';
import { makeTempDir } from './databases.js';
import { inRun, keepInRun } from './run/folder.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The programs as `tsc` makes them of the sources of this moment, in a folder outside of `dist`: a spec that starts a
 * process must not run what an earlier build left behind, nor what a later one puts there meanwhile. Within a run of
 * the tests they are made once; a caller changes nothing in them.
 */
export function buildPrograms(): { readonly path: string; remove(): void } {
  const shared = inRun('programs');
  if (shared === null) {
    const dir = makeTempDir();
    fill(dir.path);
    return { path: join(dir.path, 'dist', 'src'), remove: () => dir.remove() };
  }
  if (!shared.isMade) fill(shared.path);
  const path = shared.isMade ? shared.path : keepInRun('programs', shared.path);
  return { path: join(path, 'dist', 'src'), remove: () => undefined };
}

function fill(path: string): void {
  const dist = join(path, 'dist');
  if (!copyBuilt(dist)) compile(dist);
  symlinkSync(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  copyFileSync(join(ROOT, 'package.json'), join(path, 'package.json'));
}

/** What `npm test` has built a moment ago; false when that is not of these sources, or is being replaced. */
function copyBuilt(to: string): boolean {
  if (!isBuilt()) return false;
  try {
    for (const name of ['src', 'migrations']) {
      cpSync(join(ROOT, 'dist', name), join(to, name), {
        recursive: true,
        filter: (from) => !from.endsWith('.map'),
      });
    }
  } catch {
    return false;
  }
  return isBuilt();
}

function compile(to: string): void {
  const made = spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'),
      ...['-p', ROOT, '--outDir', to, '--noCheck', '--incremental', 'false'],
      ...['--tsBuildInfoFile', 'null', '--sourceMap', 'false'],
    ],
    { encoding: 'utf8' },
  );
  if (made.status !== 0) throw new Error(`tsc failed: ${made.stdout}`);
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
