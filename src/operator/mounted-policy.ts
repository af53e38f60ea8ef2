import { realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PolicyFile, type PolicyRead } from '../agent/parts/index.js';
import type { Policy } from './workload-updater-options.js';

/**
 * `policy.toml` and `trusted_root.json` of a mounted ConfigMap or Secret. There each file is a link into
 * a folder that is exchanged as a whole (`..data`); the folder that it leads to now is read, by the rules of a
 * node: plain files that only root or this user can change.
 */
export class MountedPolicy implements Policy {
  readonly #dir: string;
  #file: PolicyFile;
  #folder: string;

  constructor(dir: string) {
    this.#dir = dir;
    this.#folder = dir;
    this.#file = new PolicyFile(dir);
  }

  async read(): Promise<PolicyRead> {
    return (await this.#now()).read();
  }
  async trust(): ReturnType<Policy['trust']> {
    return (await this.#now()).trust();
  }
  async digest(): Promise<string> {
    return (await this.#now()).digest();
  }

  async #now(): Promise<PolicyFile> {
    const folder = await this.#target();
    if (folder !== this.#folder) [this.#folder, this.#file] = [folder, new PolicyFile(folder)];
    return this.#file;
  }

  /** A link that leads out of the mount is not followed: then the file itself is refused as a link. */
  async #target(): Promise<string> {
    try {
      const [dir, file] = await Promise.all([
        realpath(this.#dir),
        realpath(join(this.#dir, 'policy.toml')),
      ]);
      return file.startsWith(`${dir}/`) ? dirname(file) : this.#dir;
    } catch {
      return this.#dir;
    }
  }
}
