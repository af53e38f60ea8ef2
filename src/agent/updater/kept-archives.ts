import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Sha256, Version } from '../../core/release/index.js';
import { syncDirectory } from '../durable-files.js';

/** The archive of a version, kept so that a delta can lead from it. */
export interface KeptArchive {
  readonly version: string;
  /** Digest of the content by the signed manifest; looked at again when it is used. */
  readonly sha256: string;
  readonly format: 'tar.gz' | 'tar';
  readonly path: string;
  /** Size of the file. */
  readonly size: number;
}

/** `<version>~<digest of the content>.tar.gz`: a version holds no `~`. */
const NAME = /^([^~]+)~([0-9a-f]{64})[.](tar|tar[.]gz)$/;

/** The folder `archives` of an install root. Nothing in it is needed: without it, deltas are not used. */
export class KeptArchives {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The one of a version, or null. */
  async find(version: string): Promise<KeptArchive | null> {
    for (const name of await this.#names()) {
      const [, of = '', sha256 = '', format] = NAME.exec(name) ?? [];
      if (of !== version || !Version.safeParse(of).success) continue;
      if (!Sha256.safeParse(sha256).success) continue;
      const path = join(this.path, name);
      const { size } = await stat(path);
      return { version, sha256, format: format === 'tar' ? 'tar' : 'tar.gz', path, size };
    }
    return null;
  }

  /** Moves a file here, which is one rename and needs no room. Replaces what is kept of the version. */
  async keep(file: string, of: Pick<KeptArchive, 'version' | 'sha256' | 'format'>): Promise<void> {
    const name = `${of.version}~${of.sha256}.${of.format}`;
    await mkdir(this.path, { recursive: true, mode: 0o750 });
    await rename(file, join(this.path, name));
    for (const other of await this.#names()) {
      if (other !== name && other.startsWith(`${of.version}~`)) await this.#remove(other);
    }
    await syncDirectory(this.path);
  }

  /** Removes all but those of the versions in `except`. */
  async clear(except: readonly (string | null)[]): Promise<void> {
    for (const name of await this.#names()) {
      if (!except.some((version) => version !== null && name.startsWith(`${version}~`))) {
        await this.#remove(name);
      }
    }
  }

  #names(): Promise<string[]> {
    return readdir(this.path).catch(() => []);
  }

  #remove(name: string): Promise<void> {
    return rm(join(this.path, name), { recursive: true, force: true });
  }
}
