import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../walls/tree.js';
import { makeTempDir } from '../support/databases.js';

export interface HelmRun {
  readonly ok: boolean;
  readonly out: string;
  readonly error: string;
}
export interface Helm {
  readonly version: string;
  /** Without what a person has set up on this machine. */
  run(...args: readonly string[]): Promise<HelmRun>;
}

interface Script {
  readonly HELMS: Readonly<Record<string, unknown>>;
  readonly RegistryAway: new () => Error;
  helmOf(version: string): string | null;
}

/** Every helm that charts are tested with; a text says why there is none of that version here. */
export async function everyHelm(): Promise<readonly { version: string; helm: Helm | string }[]> {
  const script = (await import(join(ROOT, 'scripts/get-helm.mjs'))) as Script;
  return Object.keys(script.HELMS).map((version) => {
    try {
      const program = script.helmOf(version);
      return {
        version,
        helm: program === null ? 'there is none for this processor' : helmAt(program, version),
      };
    } catch (error) {
      if (!(error instanceof script.RegistryAway)) throw error;
      return { version, helm: 'the registry cannot be reached' };
    }
  });
}

function helmAt(program: string, version: string): Helm {
  return {
    version,
    run: (...args) => {
      const home = makeTempDir();
      const env = {
        PATH: process.env['PATH'],
        HOME: home.path,
        HELM_CACHE_HOME: home.path,
        HELM_CONFIG_HOME: home.path,
        HELM_DATA_HOME: home.path,
        KUBECONFIG: '/dev/null',
      };
      return new Promise<HelmRun>((resolve) => {
        execFile(program, args, { env, maxBuffer: 16 * 1024 * 1024 }, (failure, out, error) => {
          resolve({ ok: failure === null, out, error });
        });
      }).finally(() => home.remove());
    },
  };
}
