import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** What all spec files of a run share; removed after the last one. Runs that are no test have none. */
    runFolder: string | undefined;
  }
}

/**
 * What this run already has under a name; where it has none, an empty folder to make it in, for `keepInRun`. Null
 * where nothing is shared. Whoever makes something waits for nobody: two may make the same at the same time.
 */
export function inRun(name: string): { readonly path: string; readonly isMade: boolean } | null {
  const folder = inject('runFolder');
  if (folder === undefined) return null;
  const made = join(folder, name);
  if (existsSync(made)) return { path: made, isMade: true };
  return { path: mkdtempSync(`${made}-draft-`), isMade: false };
}

/** From now on the run has it, whole. Gives its path; nothing may be changed in it. */
export function keepInRun(name: string, draft: string): string {
  const made = join(inject('runFolder') ?? '', name);
  try {
    renameSync(draft, made);
  } catch (error) {
    // Somebody else was faster.
    if (!existsSync(made)) throw error;
    rmSync(draft, { recursive: true });
  }
  return made;
}

/** One folder for the whole run. */
export default function setup(project: TestProject): () => void {
  const path = mkdtempSync(join(tmpdir(), 'bellwether-run-'));
  project.provide('runFolder', path);
  return () => {
    rmSync(path, { recursive: true, force: true });
  };
}
