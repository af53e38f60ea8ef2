import {
  access,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  statfs,
  symlink,
  unlink,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import { Version } from '../../core/release/index.js';
import { freshState, InstalledVersion, UpdateState } from '../../core/update/index.js';
import { replaceFile, syncDirectory } from '../durable-files.js';
import { GuardedFile } from '../guarded-file.js';
import { KeptArchives } from './kept-archives.js';

/** A state.json is some kilobytes; more than this is not ours. */
const STATE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The directory of one service: `current` and `previous` (links), `versions/`, `downloads/`,
 * `archives/`, `state.json`. Every change is durable when its promise resolves, and each can be repeated.
 */
export class InstallRoot {
  readonly path: string;
  readonly archives: KeptArchives;

  constructor(path: string) {
    this.path = path;
    this.archives = new KeptArchives(join(path, 'archives'));
  }

  get downloads(): string {
    return join(this.path, 'downloads');
  }

  versionPath(version: string): string {
    return join(this.path, 'versions', version);
  }

  async prepare(): Promise<void> {
    await mkdir(join(this.path, 'versions'), { recursive: true, mode: 0o755 });
    await mkdir(this.downloads, { recursive: true, mode: 0o750 });
    for (const name of await readdir(this.path)) {
      if (TEMPORARY.test(name)) await rm(join(this.path, name), { force: true });
    }
  }

  /** The version that a link names, or null when it is absent or points elsewhere. */
  async linked(link: 'current' | 'previous'): Promise<string | null> {
    const target = await readlink(join(this.path, link)).catch(() => null);
    const name = target === null ? '' : basename(target);
    const isOurs = target === join('versions', name) && Version.safeParse(name).success;
    return isOurs ? name : null;
  }

  /**
   * Points a link at a version by one rename; null removes it. What is right already is not
   * written, so going back to it works on a full disk too.
   */
  async link(link: 'current' | 'previous', version: string | null): Promise<void> {
    const place = join(this.path, link);
    if (version === null) {
      await rm(place, { force: true });
    } else if ((await this.linked(link)) !== version) {
      const temporary = `${place}.tmp`;
      await rm(temporary, { force: true });
      await symlink(join('versions', version), temporary);
      await rename(temporary, place);
    }
    await syncDirectory(this.path);
  }

  /** Points `current` back. Where no link can be made, on a full disk, `previous` itself becomes it. */
  async linkBack(version: string | null): Promise<void> {
    try {
      await this.link('current', version);
    } catch (error) {
      if (version === null || (await this.linked('previous')) !== version) throw error;
      await rename(join(this.path, 'previous'), join(this.path, 'current'));
      await syncDirectory(this.path);
    }
  }

  /** Whether all of a version was unpacked: its marker is written last. */
  isWhole(version: string): Promise<boolean> {
    return access(join(this.versionPath(version), MARKER)).then(
      () => true,
      () => false,
    );
  }

  /** Whether anything lies under that name. */
  isThere(version: string): Promise<boolean> {
    return access(this.versionPath(version)).then(
      () => true,
      () => false,
    );
  }

  /** What the links lead to, by the markers; null where `current` leads to no version that is there. */
  async found(): Promise<{
    readonly current: InstalledVersion;
    readonly previous: InstalledVersion | null;
  } | null> {
    const there = async (link: 'current' | 'previous'): Promise<InstalledVersion | null> => {
      const version = await this.linked(link);
      return version !== null && (await this.isThere(version)) ? this.#marked(version) : null;
    };
    const [current, previous] = [await there('current'), await there('previous')];
    if (current === null) return null;
    return { current, previous: previous?.version === current.version ? null : previous };
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path);
    return bavail * bsize;
  }

  async saveState(state: UpdateState): Promise<void> {
    await replaceFile(join(this.path, 'state.json'), `${JSON.stringify(state, null, 1)}\n`);
  }

  /**
   * The stored state. A damaged one is kept aside and built anew from what is installed; the
   * second value then says what was wrong, so that it can be reported.
   */
  async loadState(
    names: Pick<UpdateState, 'service' | 'product' | 'variant'>,
  ): Promise<{ state: UpdateState; damage: string | null }> {
    const place = join(this.path, 'state.json');
    const parsed = await readState(place);
    if (parsed === 'it is missing') {
      const state = await this.#rebuilt(names);
      return { state, damage: state.current === null ? null : parsed };
    }
    if (typeof parsed !== 'string' && parsed.service === names.service) {
      return { state: { ...parsed, ...names }, damage: null };
    }
    const damage = typeof parsed === 'string' ? parsed : `it belongs to ${parsed.service}`;
    await rename(place, `${place}.corrupt-${Date.now()}`);
    await syncDirectory(this.path);
    return { state: await this.#rebuilt(names), damage };
  }

  /**
   * Removes what nobody needs: never `current`, `previous`, or a version in `keep`. Of archives,
   * that of `previous` goes too: no delta will lead from it.
   */
  async collectGarbage(keep: readonly (string | null)[]): Promise<void> {
    const current = await this.linked('current');
    const kept = new Set([current, await this.linked('previous'), ...keep]);
    const versions = join(this.path, 'versions');
    for (const name of await readdir(versions)) {
      if (!kept.has(name)) await rm(join(versions, name), { recursive: true, force: true });
    }
    await this.archives.clear([current, ...keep]);
  }

  async clearDownloads(except: readonly string[]): Promise<void> {
    for (const name of await readdir(this.downloads)) {
      if (!except.includes(name)) await unlink(join(this.downloads, name)).catch(() => undefined);
    }
  }

  /** From the links and the marker of each version: what runs is the truth that is left. */
  async #rebuilt(
    names: Pick<UpdateState, 'service' | 'product' | 'variant'>,
  ): Promise<UpdateState> {
    const state = freshState(names);
    const current = await this.#marked(await this.linked('current'));
    const previous = await this.#marked(await this.linked('previous'));
    const floors = current === null ? {} : { [current.channel]: current.sequence };
    return { ...state, current, previous, floors };
  }

  async #marked(version: string | null): Promise<UpdateState['current']> {
    if (version === null) return null;
    const text = await readFile(join(this.versionPath(version), MARKER), 'utf8').catch(() => '');
    return { version, ...Marker.catch(UNMARKED).parse(parseJson(text)) };
  }
}

/** Written last into a version directory: without it the directory is not a version. */
export const MARKER = '.bellwether.json';
const Marker = InstalledVersion.omit({ version: true });
const UNMARKED = { channel: 'stable', sequence: 0, state_schema: null } as const;

/** What an agent that was killed in the middle of a step may leave beside its files. */
const TEMPORARY = /^(\.state\.json\..*|(current|previous)\.tmp)$/;

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
};

/**
 * Its content, or why that is not to be trusted. Guarded as the policy is: floors that others can write
 * are no floors. Throws when the disk does not give it: that may be otherwise at the next try.
 */
async function readState(path: string): Promise<UpdateState | string> {
  const file = new GuardedFile(path, {
    bytesMax: STATE_BYTES_MAX,
    parse: (bytes) => parseState(bytes.toString('utf8')),
    without: (problem) => `it ${problem}`,
  });
  const { value } = await file.look();
  if (typeof value !== 'string' || !value.startsWith('it cannot be read')) return value;
  throw new FleetError('unavailable', `${path}: ${value}`, { kind: 'operational' });
}

function parseState(text: string): UpdateState | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  const parsed = UpdateState.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`;
}
