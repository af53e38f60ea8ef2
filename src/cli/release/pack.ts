import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DAY_MS, FleetError } from '../../core/kernel/index.js';
import {
  Arch,
  Channel,
  Image,
  manifestBytes,
  Os,
  parseManifest,
  PlatformImage,
  ProductName,
  Variant,
  Version,
  type Artifact,
  type Manifest,
} from '../../core/release/index.js';
import { usageError, type Command, type Given } from '../command.js';
import { writeNew } from '../new-file.js';
import { bytesInWords, progressOf, type Terminal } from '../terminal.js';
import { readTree, writeArchive, type Tree } from './archive.js';
import { makeDeltas, readOlder } from './delta.js';
import { MANIFEST_FILE, type ReleaseFolder } from './folder.js';
import { readProject, type ReleaseProject } from './project.js';

const Sequence = z.coerce
  .number({ error: 'take a whole number' })
  .int('take a whole number')
  .min(1, 'take 1 or more');

export const pack: Command = {
  name: 'release pack',
  summary: 'pack artifacts and write the manifest',
  operands: [],
  options: {
    project: { value: 'FILE', help: 'a release.toml (see `release init`); options go before it' },
    product: { value: 'P', help: 'what is released, such as edge' },
    version: { value: 'V', help: 'semantic version, such as 1.4.2', isRequired: true },
    channel: { value: 'C', help: 'stable, beta or dev' },
    sequence: {
      value: 'N',
      help: 'whole number that rises with every release of the product',
      isRequired: true,
    },
    artifact: {
      value: 'OS/ARCH[/VARIANT]=PATH',
      help: 'a file or folder for one kind of host, such as linux/x64=build/',
      isMultiple: true,
    },
    image: {
      value: '[VARIANT[/ARCH]=]NAME@sha256:HEX',
      help: 'an image for workloads, by digest; for one variant, or for all others',
      isMultiple: true,
    },
    out: { value: 'DIR', help: 'folder for the release; must not hold one yet', isRequired: true },
    notes: { value: 'FILE', help: 'text of the release notes' },
    'delta-from': {
      value: 'OLD_DIR',
      help: 'folder of an older release; makes a delta from each artifact for the same host',
      isMultiple: true,
    },
  },
  notes: [
    'The same input gives the same bytes. SOURCE_DATE_EPOCH (seconds) sets the time of the release,',
    'so that the manifest too is the same. A delta takes minutes for 100 MiB, and some memory; it is',
    'left out when it is not clearly smaller than the artifact.',
  ],
  run: async (given, terminal) => {
    const wanted = await readWanted(given, terminal);
    const folder = given.text('out');
    if (existsSync(join(folder, MANIFEST_FILE))) {
      throw new FleetError('local_file_failed', `${folder} holds a release already`, {
        context: { fix: 'Take another folder; a packed release never changes.' },
      });
    }
    await mkdir(folder, { recursive: true });
    const written: string[] = [];
    try {
      const artifacts: Artifact[] = [];
      for (const source of wanted.sources) {
        written.push(join(folder, fileOf(wanted, source)));
        artifacts.push(await packOne(wanted, source, { folder, terminal }));
      }
      const files = { folder, base: wanted.base, artifacts, written };
      const deltas = await makeDeltas(wanted.older, files, terminal);
      const told = deltas.length === 0 ? {} : { deltas };
      const bytes = Buffer.from(manifestBytes({ ...wanted.base, artifacts, ...told }));
      const parsed = parseManifest(bytes);
      if (!parsed.ok) throw usageError(parsed.error.message);
      written.push(join(folder, MANIFEST_FILE));
      await writeNew(join(folder, MANIFEST_FILE), bytes, 0o644);
      await syncFolder(folder);
    } catch (error) {
      // Half a release must not be mistaken for one.
      for (const path of written) await rm(path, { force: true });
      throw error;
    }
    terminal.out(`${join(folder, MANIFEST_FILE)}\n`);
  },
};

/** One `--artifact`, taken apart and looked through. */
interface Source {
  readonly host: Pick<Artifact, 'os' | 'arch' | 'variant'>;
  readonly path: string;
  readonly tree: Tree;
}

interface Wanted {
  readonly base: Omit<Manifest, 'artifacts'>;
  readonly sources: readonly Source[];
  /** What deltas are to lead from. */
  readonly older: readonly ReleaseFolder[];
  readonly modifiedAtMs: number;
}

/** Everything that can be refused is refused here, before the first byte is written. */
async function readWanted(given: Given, terminal: Terminal): Promise<Wanted> {
  const epochMs = sourceDateMs(terminal);
  const file = given.optional('project');
  const project = file === undefined ? null : await readProject(file);
  const base = await baseOf(given, project, epochMs ?? terminal.now());
  const named = given.list('artifact');
  const artifacts = named.length > 0 ? named : (project?.artifacts ?? []);
  if (artifacts.length === 0 && base.image === undefined && base.images === undefined) {
    throw usageError('`release pack` needs --artifact, --image or --project');
  }
  const hosts = new Set<string>();
  const sources: Source[] = [];
  for (const text of artifacts) {
    const { host, path } = hostAndPath(text);
    const name = `${host.os}/${host.arch}/${host.variant}`;
    if (hosts.has(name)) throw usageError(`two artifacts for ${name}`);
    hosts.add(name);
    sources.push({ host, path, tree: await readTree(path) });
  }
  const older = await readOlder(given.list('delta-from'), base);
  return { base, sources, older, modifiedAtMs: epochMs ?? 0 };
}

/** What is given on the command line goes before what the project says. */
async function baseOf(
  given: Given,
  project: ReleaseProject | null,
  nowMs: number,
): Promise<Wanted['base']> {
  const notes = given.optional('notes') ?? project?.notes;
  const days = project?.expiresAfterDays;
  const { compatibility } = project ?? {};
  const named = given.list('image').map(imageOf);
  const { image, images } = named.length === 0 ? (project ?? {}) : sorted(named);
  return {
    schema: 'bellwether.manifest.v1',
    product: given.read('product', ProductName) ?? project?.product ?? given.text('product'),
    version: given.need('version', Version),
    channel: given.read('channel', Channel) ?? project?.channel ?? given.need('channel', Channel),
    sequence: given.need('sequence', Sequence),
    released_at: new Date(nowMs).toISOString(),
    ...(notes === undefined ? {} : { notes: await readFile(notes, 'utf8') }),
    ...(days === undefined ? {} : { expires_at: new Date(nowMs + days * DAY_MS).toISOString() }),
    ...(compatibility === undefined ? {} : { compatibility }),
    ...(image === undefined ? {} : { image }),
    ...(images === undefined ? {} : { images: [...images] }),
  };
}

function sourceDateMs(terminal: Terminal): number | null {
  const text = terminal.env['SOURCE_DATE_EPOCH'] ?? '';
  if (text === '') return null;
  if (!/^\d{1,11}$/.test(text)) throw usageError('SOURCE_DATE_EPOCH is not a number of seconds');
  return Number(text) * 1000;
}

/** One `--image`: the variant and architecture it is for, where it says so. */
function imageOf(text: string): Image | PlatformImage {
  const [, words, reference = '', digest] = /^(?:([^=@]*)=)?([^@]*)@(.+)$/s.exec(text) ?? [];
  const image = Image.safeParse({ reference, digest });
  const [variant, arch, ...rest] = words?.split('/') ?? [];
  const whole =
    words === undefined ? image : PlatformImage.safeParse({ ...image.data, variant, arch });
  if (!image.success || !whole.success || rest.length > 0) {
    throw usageError(
      `--image ${text} is not [VARIANT[/ARCH]=]NAME@sha256:HEX`,
      'An image is named by its digest, without a tag; its name begins with its registry.',
    );
  }
  return whole.data;
}

function sorted(named: readonly (Image | PlatformImage)[]): Pick<Manifest, 'image' | 'images'> {
  const images = named.filter((one) => 'variant' in one);
  const [image, ...more] = named.filter((one) => !('variant' in one));
  if (more.length > 0) throw usageError('two --image are for all variants');
  return {
    ...(image === undefined ? {} : { image }),
    ...(images.length === 0 ? {} : { images }),
  };
}

const Host = z.strictObject({ os: Os, arch: Arch, variant: Variant });

function hostAndPath(text: string): Pick<Source, 'host' | 'path'> {
  const [, words, path] = /^([^=]*)=(.+)$/s.exec(text) ?? [];
  const [os, arch, variant = 'default', ...rest] = (words ?? '').split('/');
  const host = Host.safeParse({ os, arch, variant });
  if (path === undefined || rest.length > 0 || !host.success) {
    throw usageError(
      `--artifact ${text} is not OS/ARCH[/VARIANT]=PATH`,
      `Systems are ${Os.options.join(', ')}; architectures are ${Arch.options.join(', ')}.`,
    );
  }
  return { host: host.data, path };
}

function fileOf({ base }: Wanted, { host }: Source): string {
  const variant = host.variant === 'default' ? '' : `-${host.variant}`;
  return `${base.product}-${base.version}-${host.os}-${host.arch}${variant}.tar.gz`;
}

async function packOne(
  wanted: Wanted,
  source: Source,
  { folder, terminal }: { readonly folder: string; readonly terminal: Terminal },
): Promise<Artifact> {
  const file = fileOf(wanted, source);
  const partial = join(folder, `.${file}.partial`);
  const progress = progressOf(terminal, `packing ${file}`, source.tree.bytes);
  try {
    await rm(partial, { force: true });
    const { sha256, size, content } = await writeArchive({
      tree: source.tree,
      to: partial,
      modifiedAtMs: wanted.modifiedAtMs,
      onRead: (bytes) => {
        progress.at(bytes);
      },
    });
    await rename(partial, join(folder, file));
    progress.done(`packed ${file}: ${bytesInWords(size)}`);
    return { ...source.host, format: 'tar.gz', file, size, sha256, content };
  } catch (error) {
    progress.stop();
    await rm(partial, { force: true });
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
