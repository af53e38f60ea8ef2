import { createReadStream } from 'node:fs';
import { chmod, link, mkdir, open, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Header } from 'tar-stream';
import { FleetError } from '../../core/kernel/index.js';
import { createFile, syncDirectory } from '../durable-files.js';
import { collector } from './collect.js';
import type { Faults } from './faults.js';
import { MARKER, type InstallRoot } from './install-root.js';

/** Limits against archives made to harm; a large program has some thousand files. */
export const ENTRIES_MAX = 100_000;
const NAME_BYTES_MAX = 255;
const PATH_BYTES_MAX = 4_096;
/** Programs shrink to a third or so; a hundredfold is a bomb. 64 MiB is free for small archives. */
const UNPACKED_FACTOR_MAX = 20;
const UNPACKED_FREE_BYTES = 64 * 1024 * 1024;

export interface Extraction {
  readonly root: InstallRoot;
  readonly archive: string;
  readonly archiveBytes: number;
  /** `tar`: the content alone, as a delta makes it. */
  readonly format: 'tar.gz' | 'tar';
  readonly version: string;
  /** Goes into the marker, for the day when state.json is lost. */
  readonly marker: {
    readonly version: string;
    readonly channel: string;
    readonly sequence: number;
    readonly state_schema: number | null;
    readonly sha256?: string;
  };
  readonly faults: Faults;
}

const bad = (message: string): FleetError => new FleetError('upgrade_extract_failed', message);

/**
 * A name inside the archive, made safe: relative, no `..`, nothing empty. Throws on what is not
 * plainly a path below the version.
 */
export function safePath(name: string): string {
  const clean = name.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
  if (clean === '' || clean === '.') return '';
  if (name.startsWith('/') || name.includes('\\') || name.includes('\0')) {
    throw bad(`absolute or odd path in the archive: ${JSON.stringify(name.slice(0, 100))}`);
  }
  if (Buffer.byteLength(clean) > PATH_BYTES_MAX) throw bad('a path in the archive is too long');
  for (const part of clean.split('/')) {
    if (part === '' || part === '.' || part === '..') {
      throw bad(`path in the archive leaves its place: ${JSON.stringify(name.slice(0, 100))}`);
    }
    if (Buffer.byteLength(part) > NAME_BYTES_MAX) throw bad('a name in the archive is too long');
  }
  if (clean === MARKER) throw bad(`the archive may not bring ${MARKER}`);
  return clean;
}

/**
 * Where a symbolic link inside the archive leads must be inside the version too. It may go up at
 * its beginning only: behind the name of another link, `..` would start from where that one leads.
 */
export function safeLink(at: string, target: string): string {
  const resolved = posix.normalize(posix.join(posix.dirname(at), target));
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const firstDown = parts.findIndex((part) => part !== '..');
  const goesUpLater = firstDown >= 0 && parts.includes('..', firstDown);
  const leadsOut = target.startsWith('/') || resolved === '..' || resolved.startsWith('../');
  if (target === '' || leadsOut || goesUpLater) {
    throw bad(`link in the archive leads out: ${JSON.stringify(at.slice(0, 100))}`);
  }
  return target;
}

/**
 * Unpacks into `versions/<v>.partial` and renames it to `versions/<v>`; a half version is never
 * there. Idempotent: what is there under that name and in nobody's use is replaced. Throws
 * FleetError `upgrade_extract_failed`; file system errors pass through.
 */
export async function extract(wanted: Extraction): Promise<void> {
  const { root, version } = wanted;
  const place = root.versionPath(version);
  const partial = `${place}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { mode: 0o755 });
  try {
    await unpack(wanted, partial);
    wanted.faults.hit('after-extract');
    await createFile(join(partial, MARKER), `${JSON.stringify(wanted.marker)}\n`, 0o644);
    await rm(place, { recursive: true, force: true });
    await rename(partial, place);
    await syncDirectory(dirname(place));
    wanted.faults.hit('after-rename-version');
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw asExtractError(error);
  }
}

function asExtractError(error: unknown): unknown {
  if (error instanceof FleetError) return error;
  const { code } = error as { code?: string };
  if (code === 'ENOSPC' || code === 'EDQUOT') return error;
  return new FleetError('upgrade_extract_failed', 'the archive is damaged or cannot be unpacked', {
    cause: error,
  });
}

/** As much as an archive of this size may hold. */
export const unpackedBytesMax = ({
  archiveBytes,
  format,
}: Pick<Extraction, 'archiveBytes' | 'format'>): number =>
  format === 'tar' ? archiveBytes : archiveBytes * UNPACKED_FACTOR_MAX + UNPACKED_FREE_BYTES;

async function unpack(wanted: Extraction, into: string): Promise<void> {
  const bytesMax = unpackedBytesMax(wanted);
  const seen = new Set<string>();
  const links: { at: string; target: string }[] = [];
  const folders = new Set<string>([into]);
  let entries = 0;
  // Loaded when it is needed: an agent at rest holds none of it.
  const { extract: tarExtract } = await import('tar-stream');
  const archive = tarExtract();
  const packed = createReadStream(wanted.archive);
  const content = wanted.format === 'tar' ? new PassThrough() : createGunzip();
  const done = pipeline(packed, content, (stream) => upTo(bytesMax, stream), archive);
  // A refusal ends the loop below first; the pipeline then fails as its consequence.
  done.catch(() => undefined);
  for await (const entry of archive) {
    const { header } = entry;
    entries += 1;
    if (entries > ENTRIES_MAX) throw bad(`more than ${ENTRIES_MAX} entries`);
    const at = safePath(header.name);
    if (at === '') {
      entry.resume();
      continue;
    }
    if (seen.has(at)) throw bad(`the archive holds ${JSON.stringify(at.slice(0, 100))} twice`);
    seen.add(at);
    await place(header, { entry: entry as Placing['entry'], into, at, links, folders });
  }
  await done;
  // Links last, so that no file is ever written through one.
  for (const { at, target } of links) await symlink(target, join(into, at));
  for (const folder of folders) await syncDirectory(folder);
}

/** Counts all that comes out, headers and padding too: each of them can be made to swell. */
async function* upTo(bytesMax: number, stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const collect = collector();
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw bad(`unpacks to more than ${bytesMax} bytes`);
    yield chunk;
    collect(chunk.length);
  }
}

interface Placing {
  readonly entry: AsyncIterable<Buffer> & { resume(): void };
  readonly into: string;
  readonly at: string;
  readonly links: { at: string; target: string }[];
  readonly folders: Set<string>;
}

async function place(header: Header, { entry, into, at, links, folders }: Placing): Promise<void> {
  const path = join(into, at);
  if (!folders.has(dirname(path))) await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  for (let up = dirname(path); up.length > into.length; up = dirname(up)) folders.add(up);
  // The library says null where its types do not.
  const { type, linkname: linked } = header as { type: string | null; linkname: string | null };
  const linkname = linked ?? '';
  switch (type) {
    case 'directory':
      await mkdir(path, { recursive: true, mode: 0o755 });
      folders.add(path);
      entry.resume();
      return;
    case 'symlink':
      links.push({ at, target: safeLink(at, linkname) });
      entry.resume();
      return;
    case 'link':
      await link(join(into, safePath(linkname)), path);
      entry.resume();
      return;
    case 'file':
    case 'contiguous-file':
      await writeEntry(path, entry, header.mode);
      return;
    default:
      throw bad(`${type ?? 'unknown'} entries are not unpacked: ${at.slice(0, 100)}`);
  }
}

async function writeEntry(path: string, entry: AsyncIterable<Buffer>, mode: number): Promise<void> {
  const file = await open(path, 'wx', 0o644);
  try {
    for await (const chunk of entry) await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
  await chmod(path, modeOf(mode));
}

/** Of a mode only "may be run" is taken: no setuid, no setgid, nothing for others to write. */
export const modeOf = (mode: number): number => ((mode & 0o100) === 0 ? 0o644 : 0o755);
