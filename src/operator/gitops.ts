import { mkdir, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isScalar, parseDocument, Scalar, stringify, type Document } from 'yaml';
import type { Log } from '../agent/parts/index.js';
import { FleetError } from '../core/kernel/index.js';
import {
  ANNOTATIONS,
  helmValues,
  keyOf,
  mailOf,
  repositoryPath,
  unifiedDiff,
  type HelmValue,
  type ImageChange,
  type WorkloadName,
  type WorkloadView,
} from '../core/workload/index.js';
import { patchOf, type Applier } from './apply.js';
import type { OperatorConfig } from './config.js';
import { PLURAL } from './kube/cluster.js';

/** The copy of the repository is looked at so often while something waits to get into it. */
const LOOK_MS = 2_000;
/** More than any file of values that people keep. */
const FILE_BYTES_MAX = 1024 * 1024;

export type GitopsOptions = OperatorConfig['gitops'] & {
  readonly clusterName: string;
  readonly clock: { now(): number };
  /** Looked at before what was written is brought up to date. */
  readonly mayAct: () => boolean;
  readonly log: Log;
};

/** Written, and not in the repository yet. */
interface Pending {
  readonly of: WorkloadView;
  readonly change: ImageChange;
}

interface Written {
  /** In the repository. */
  readonly path: string;
  /** As it stands there; null: it does not. */
  readonly before: string | null;
  readonly after: string;
}

/**
 * Writes what another hand (Argo CD, Flux, a pipeline) brings into the cluster: a strategic merge patch
 * for kustomize, or the values of a chart in which comments and all else stay as they are; as the file
 * that shall be, or as a patch that git takes. Each file is replaced in one step, one after another.
 */
export class GitopsApplier implements Applier {
  readonly #options: GitopsOptions;
  /** By path and workload: several may share a file of values. */
  readonly #pending = new Map<string, Map<string, Pending>>();
  /** What stood in the repository when a path was looked at last. */
  readonly #seen = new Map<string, string | null>();
  #timer: NodeJS.Timeout | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: GitopsOptions) {
    this.#options = options;
  }

  /** Throws `workload_unsupported` for what cannot be written, and `upgrade_image_mutable`. */
  async rehearse(of: WorkloadView, change: ImageChange): Promise<void> {
    await this.#written(of, change);
    await mkdir(this.#options.dir, { recursive: true });
  }

  apply(of: WorkloadView, change: ImageChange): Promise<void> {
    return this.#then(async () => {
      const path = pathFor(of, this.#options.format);
      const before = await this.#write(of, change);
      if (this.#options.repositoryDir === undefined) return;
      if (!this.#seen.has(path)) this.#seen.set(path, before);
      const there = this.#pending.get(path) ?? new Map<string, Pending>();
      this.#pending.set(path, there.set(keyOf(of), { of, change }));
      this.#timer ??= setInterval(() => void this.#then(() => this.#look()), LOOK_MS).unref();
    });
  }

  /** What it waits for here is looked after no more: another process may write for it now. What is written stays. */
  forget(of: WorkloadName): Promise<void> {
    return this.#then(() => {
      for (const [path, waiting] of this.#pending) {
        waiting.delete(keyOf(of));
        if (waiting.size === 0) this.#forget(path);
      }
      return Promise.resolve();
    });
  }

  #then(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** Gives what stands in the repository. */
  async #write(of: WorkloadView, change: ImageChange): Promise<string | null> {
    const { output, dir, clusterName, clock } = this.#options;
    const { path, before, after } = await this.#written(of, change);
    if (output === 'file') {
      await replace(join(dir, path), after);
      return before;
    }
    const patch = join(dir, of.namespace, `${PLURAL[of.kind]}-${of.name}.patch`);
    const diff = unifiedDiff({ path, before, after });
    // The repository says so already: a patch from before would undo it.
    if (diff === '') {
      await rm(patch, { force: true });
      return before;
    }
    const mail = mailOf(diff, {
      from: `bellwether-operator <operator@${clusterName.replace(/[^A-Za-z0-9-]/g, '-')}.invalid>`,
      at: new Date(clock.now()),
      subject: `${keyOf(of)}: ${change.version ?? `back to ${change.backTo ?? change.image}`}`,
      body: change.image,
    });
    await replace(patch, mail);
    return before;
  }

  /** What waits is written anew over what others brought into the repository; what is in it waits no more. */
  async #look(): Promise<void> {
    const { mayAct, log } = this.#options;
    for (const [path, waiting] of this.#pending) {
      try {
        const before = await this.#before(path);
        if (!mayAct() || this.#seen.get(path) === before) continue;
        for (const [key, { of, change }] of waiting) {
          await this.#write(of, change);
          if (this.#isIn(before, path, { of, change })) waiting.delete(key);
        }
        this.#seen.set(path, before);
      } catch (error) {
        log('a file of the repository cannot be brought up to date', { error: String(error) });
      }
      if (waiting.size === 0) this.#forget(path);
    }
    if (this.#pending.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #forget(path: string): void {
    this.#pending.delete(path);
    this.#seen.delete(path);
  }

  #isIn(text: string | null, path: string, { of, change }: Pending): boolean {
    const { format } = this.#options;
    return text !== null && this.#changed(text, path, { of, change }, format) === text;
  }

  async #written(of: WorkloadView, change: ImageChange): Promise<Written> {
    const { format, output } = this.#options;
    const path = pathFor(of, format);
    const before = await this.#before(path);
    const others = [...(this.#pending.get(path) ?? [])].flatMap(([key, one]) =>
      key === keyOf(of) ? [] : [one],
    );
    if (format === 'kustomize' && others.length > 0) {
      throw refusedPath(path, 'another workload writes it; only files of values can be shared');
    }
    // A file holds what all of them wait for; a patch is of one workload, upon what stands there now.
    const shared = output === 'file' ? others : [];
    const begun = shared.reduce<string | null>(
      (text, one) => this.#changed(text, path, one, format),
      before,
    );
    return { path, before, after: this.#changed(begun, path, { of, change }, format) };
  }

  #changed(
    before: string | null,
    path: string,
    { of, change }: Pending,
    format: GitopsOptions['format'],
  ): string {
    if (format === 'values') return withValues(path, before, of, change);
    const { spec } = patchOf(change);
    const document = {
      apiVersion: 'apps/v1',
      kind: of.kind,
      metadata: { name: of.name, namespace: of.namespace },
      spec,
    };
    const head = change.version === null ? '' : `# ${change.version}\n`;
    return `${head}${stringify(document)}`;
  }

  /** What stands in the repository; without one, what was written here last. */
  async #before(path: string): Promise<string | null> {
    const { repositoryDir, dir, output } = this.#options;
    if (repositoryDir !== undefined) return readWithin(repositoryDir, path);
    // Without a repository a patch makes a new file.
    return output === 'file' ? readWithin(dir, path) : null;
  }
}

const refusedPath = (path: string, why: string): FleetError =>
  new FleetError('workload_unsupported', `${path} cannot be changed: ${why}`);

function pathFor(of: WorkloadView, format: GitopsOptions['format']): string {
  const suffix = format === 'values' ? '.values.yaml' : '.yaml';
  const usual = `${of.namespace}/${PLURAL[of.kind]}-${of.name}${suffix}`;
  const path = repositoryPath(of.annotations[ANNOTATIONS.gitopsPath] ?? usual);
  if (path.ok) return path.value;
  throw new FleetError(path.error.code, `${ANNOTATIONS.gitopsPath}: ${path.error.message}`);
}

function withValues(
  path: string,
  before: string | null,
  of: WorkloadView,
  change: ImageChange,
): string {
  const { image, version, backTo = null } = change;
  const sets = helmValues(of, { image, version: version ?? backTo });
  if (!sets.ok) throw new FleetError(sets.error.code, sets.error.message);
  const text = before ?? '';
  const document: Document = parseDocument(text);
  const refused = (why: string): FleetError => refusedPath(path, why);
  const [error] = document.errors;
  if (error !== undefined) throw refused(error.message.split('\n')[0] ?? '');
  // An empty value that is not there means what is meant.
  const changes = sets.value.filter(
    ({ path: keys, value }) => (document.getIn(keys) ?? '') !== value,
  );
  if (before !== null && changes.length === 0) return before;
  const spliced = inPlace(text, document, changes);
  if (spliced !== null) return spliced;
  try {
    for (const { path: keys, value } of changes) {
      document.setIn(keys, document.hasIn(keys) ? value : quoted(value));
    }
  } catch (cause) {
    throw refused((cause as Error).message);
  }
  // Lines that nobody asked about stay as they are broken.
  return document.toString({ lineWidth: 0 });
}

/** As `inPlace` writes it, so that forward and back is where it began. */
function quoted(value: string): Scalar {
  const scalar = new Scalar(value);
  scalar.type = 'QUOTE_DOUBLE';
  return scalar;
}

const PLAIN_TYPES: ReadonlySet<string> = new Set(['PLAIN', 'QUOTE_SINGLE', 'QUOTE_DOUBLE']);

/** Where the text of a plain value stands. */
function rangeOf(node: unknown): readonly [number, number] | null {
  if (!isScalar(node) || !PLAIN_TYPES.has(node.type ?? '')) return null;
  const { range, anchor, tag } = node;
  const isBare = anchor === undefined && tag === undefined;
  return isBare && range ? [range[0], range[1]] : null;
}

/** Only the values, and no other character; null where one of them is not there yet, or is no plain text. */
function inPlace(text: string, document: Document, changes: readonly HelmValue[]): string | null {
  const edits: { readonly from: number; readonly to: number; readonly by: string }[] = [];
  for (const { path, value } of changes) {
    const node = document.getIn(path, true);
    const range = rangeOf(node);
    if (range === null) return null;
    const [from, to] = range;
    edits.push({ from, to, by: JSON.stringify(value) });
  }
  return edits
    .sort((a, b) => b.from - a.from)
    .reduce((done, { from, to, by }) => done.slice(0, from) + by + done.slice(to), text);
}

/** Null when there is none. What lies outside of the folder, by whatever links, is not read. */
async function readWithin(dir: string, path: string): Promise<string | null> {
  try {
    const [root, file] = await Promise.all([realpath(dir), realpath(join(dir, path))]);
    const { size } = await stat(file);
    if (file.startsWith(`${root}/`) && size <= FILE_BYTES_MAX) return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
  throw new FleetError(
    'workload_unsupported',
    `${path} is no file of the repository, or too large`,
  );
}

async function replace(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(`${path}.new`, 'w', 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
