import type { Stats } from 'node:fs';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import type { InstalledVersion, UpdateState } from '../../core/update/index.js';
import { IDENTITY_FILE, KEY_FILE, readConfig, readIdentity } from '../config.js';
import { ControlFile } from '../control-file.js';
import { PolicyFile } from '../policy-file.js';
import type { ServiceConfig } from '../supervisor/index.js';
import { problemsOfHooks } from './hook-check.js';
import { readState } from './status.js';
import { compareWithArchive, InstallRoot, MARKER } from '../updater/index.js';

/** A large program has some thousand files. */
const ENTRIES_MAX = 100_000;
const TOLD_MAX = 20;

export interface Verified {
  /** Null: the node itself. */
  readonly service: string | null;
  /** What was looked at, for people. */
  readonly fine: readonly string[];
  readonly problems: readonly string[];
}

/**
 * Looks at all that this node stands on: identity and key, policies, switches and hooks, states, links,
 * markers, and every installed tree against the archive that was kept of it. Reads only. While an upgrade goes on
 * it may see the middle of it, and says so. Throws `config_invalid`.
 */
export async function verifyNode(dir: string, service: string | null = null): Promise<Verified[]> {
  const { services } = await readConfig(dir);
  const wanted = services.filter(({ name }) => service === null || name === service);
  const found: Verified[] = service === null ? [await verifyIdentity(dir)] : [];
  for (const one of wanted) found.push(await verifyService(one));
  return found;
}

async function verifyIdentity(dir: string): Promise<Verified> {
  const problems: string[] = [];
  const fine = ['identity and key'];
  await readIdentity(dir).catch((error: unknown) => problems.push((error as Error).message));
  // Of `agent.toml` there is nothing more to say: it was read, or refused.
  for (const name of [KEY_FILE, IDENTITY_FILE]) {
    const found = await lstat(join(dir, name)).catch(() => null);
    if (found === null) continue;
    const open = name === KEY_FILE ? 0o077 : 0o022;
    const problem = problemWithOwner(found, open);
    if (problem !== null) problems.push(`${join(dir, name)} ${problem}`);
  }
  return { service: null, fine, problems };
}

async function verifyService({
  name: service,
  root: path,
  hooks,
}: ServiceConfig): Promise<Verified> {
  const problems: string[] = [];
  const fine: string[] = [];
  const root = new InstallRoot(path);
  const policy = await new PolicyFile(path).read();
  if (policy.ok) fine.push('policy');
  else problems.push(policy.error.message);
  const control = await new ControlFile(path).read();
  if (!control.ok) problems.push(control.error.message);
  problems.push(...(await problemsOfHooks(hooks)));
  const state = await readState(path, problems);
  if (state === null) return { service, fine, problems };
  if (state.job !== null) fine.push(`(an upgrade to ${state.job.version} is ${state.job.phase})`);
  await verifyLinks(root, state, { fine, problems });
  problems.push(...(await halfThings(root, state)));
  for (const version of await linkedVersions(root)) {
    const tree = root.versionPath(version);
    const bad = await problemsInTree(tree);
    const kept = await root.archives.find(version);
    if (kept !== null) bad.push(...(await compareWithArchive(kept, tree)));
    problems.push(...bad);
    if (bad.length > 0) continue;
    fine.push(kept === null ? `${version} (no archive to compare with)` : `${version} as signed`);
  }
  return { service, fine, problems };
}

const linkedVersions = async (root: InstallRoot): Promise<string[]> => {
  const found = [await root.linked('current'), await root.linked('previous')];
  return [...new Set(found.filter((version) => version !== null))];
};

interface Told {
  readonly fine: string[];
  readonly problems: string[];
}

async function verifyLinks(root: InstallRoot, state: UpdateState, told: Told): Promise<void> {
  const isMoving = state.job?.phase === 'swapping' || state.job?.phase === 'rolling_back';
  const before = told.problems.length;
  for (const link of ['current', 'previous'] as const) {
    const place = join(root.path, link);
    const target = await readlink(place).catch(() => null);
    const isThere = await lstat(place).then(
      () => true,
      () => false,
    );
    const version = await root.linked(link);
    const known = state[link];
    if (isThere && version === null) {
      told.problems.push(`${place} leads to ${target ?? 'nothing'}, which is not a version`);
    } else if (!isMoving && version !== (known?.version ?? null)) {
      const says = known?.version ?? 'nothing';
      told.problems.push(`${place} leads to ${version ?? 'nothing'}, state.json says ${says}`);
    } else if (version !== null) {
      told.problems.push(...(await markerProblems(root, version, known)));
    }
  }
  if (told.problems.length === before) told.fine.push('links and markers');
}

async function markerProblems(
  root: InstallRoot,
  version: string,
  known: InstalledVersion | null,
): Promise<string[]> {
  const path = join(root.versionPath(version), MARKER);
  let marker: { version?: unknown; sha256?: unknown };
  try {
    marker = JSON.parse(await readFile(path, 'utf8')) as typeof marker;
  } catch {
    return [`${path} is missing or damaged: the version is not whole`];
  }
  const isOther = marker.version !== undefined && marker.version !== version;
  const isOtherArtifact =
    known?.version === version &&
    known.sha256 !== undefined &&
    marker.sha256 !== undefined &&
    marker.sha256 !== known.sha256;
  return isOther || isOtherArtifact ? [`${path} is of another artifact than state.json`] : [];
}

/** What a crash left and the agent removes at its next step; while one is being made it is no problem. */
async function halfThings(root: InstallRoot, state: UpdateState): Promise<string[]> {
  if (state.job !== null) return [];
  const names = await readdir(join(root.path, 'versions')).catch(() => [] as string[]);
  const half = names.filter((name) => name.endsWith('.partial') || name.endsWith('.new'));
  return half.map((name) => `${join(root.path, 'versions', name)} is half a version`);
}

function problemWithOwner(found: Stats, open: number): string | null {
  if (found.uid !== 0 && found.uid !== process.getuid?.()) return 'belongs to somebody else';
  return (found.mode & open) === 0 ? null : 'is open to others';
}

/** Modes and links that no release brings: somebody changed them here. */
async function problemsInTree(tree: string): Promise<string[]> {
  const problems: string[] = [];
  const names = await readdir(tree, { recursive: true }).catch(() => null);
  if (names === null) return [`${tree} cannot be read`];
  if (names.length > ENTRIES_MAX) return [`${tree} holds more than ${ENTRIES_MAX} files`];
  for (const name of names) {
    const path = join(tree, name);
    const found = await lstat(path).catch(() => null);
    const problem = found === null ? 'went away' : await problemWithEntry(tree, path, found);
    if (problem !== null && problems.length < TOLD_MAX) problems.push(`${path} ${problem}`);
  }
  return problems;
}

async function problemWithEntry(tree: string, path: string, found: Stats): Promise<string | null> {
  if (found.isSymbolicLink()) {
    const target = resolve(dirname(path), await readlink(path));
    return relative(tree, target).startsWith('..') ? 'leads out of the version' : null;
  }
  if (!found.isFile() && !found.isDirectory()) return 'is neither a file nor a folder';
  if ((found.mode & 0o6000) !== 0) return 'runs as another user (setuid or setgid)';
  return problemWithOwner(found, 0o022);
}
