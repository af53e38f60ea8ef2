import { createHash } from 'node:crypto';
import { constants, createReadStream, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Header } from 'tar-stream';
import { ENTRIES_MAX, modeOf, safePath } from './extract.js';
import { MARKER } from './install-root.js';
import type { KeptArchive } from './kept-archives.js';

/** What differs is told for so many files; more of them are one cause. */
const TOLD_MAX = 20;

/** What the archive says lies at a path. */
type Signed =
  | { readonly is: 'file'; readonly sha256: string; readonly mode: number }
  | { readonly is: 'folder' }
  | { readonly is: 'link'; readonly target: string };

async function digestOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * Compares an installed tree with the archive that was kept of it: the digest of the archive's content is
 * that of the signed manifest, and what lies in the tree is what it brought, with the same bytes, modes
 * and links, and nothing besides. Answers what differs, for so many files; nothing, when all is as it was
 * signed. Changes nothing, and holds the names of a version in memory, not its content.
 */
export async function compareWithArchive(kept: KeptArchive, tree: string): Promise<string[]> {
  let signed: ReadonlyMap<string, Signed>;
  let sha256: string;
  try {
    ({ signed, sha256 } = await readArchive(kept));
  } catch (error) {
    return [`${kept.path} is damaged: ${(error as Error).message}`];
  }
  // What an archive says that nobody signed says nothing about the tree.
  if (sha256 !== kept.sha256) return [`${kept.path} is not what was signed`];
  const problems: string[] = [];
  for (const [at, wanted] of signed) {
    if (problems.length >= TOLD_MAX) return problems;
    const problem = await problemAt(join(tree, at), wanted);
    if (problem !== null) problems.push(`${join(tree, at)} ${problem}`);
  }
  return [...problems, ...(await addedTo(tree, signed, TOLD_MAX - problems.length))];
}

async function readArchive(kept: KeptArchive): Promise<{
  readonly signed: ReadonlyMap<string, Signed>;
  readonly sha256: string;
}> {
  const signed = new Map<string, Signed>();
  const content = createHash('sha256');
  const { extract: tarExtract } = await import('tar-stream');
  const archive = tarExtract();
  const plain = kept.format === 'tar' ? new PassThrough() : createGunzip();
  const counted = async function* (stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of stream) {
      content.update(chunk);
      yield chunk;
    }
  };
  const done = pipeline(createReadStream(kept.path), plain, counted, archive);
  done.catch(() => undefined);
  for await (const entry of archive) {
    const at = safePath(entry.header.name);
    const sha256 = await digestOf(entry as AsyncIterable<Buffer>);
    if (at === '') continue;
    const one = signedBy(entry.header, sha256, signed);
    if (one !== null) signed.set(at, one);
    for (let up = dirname(at); up !== '.' && !signed.has(up); up = dirname(up)) {
      signed.set(up, { is: 'folder' });
    }
    if (signed.size > ENTRIES_MAX) throw new Error(`it holds more than ${ENTRIES_MAX} entries`);
  }
  await done;
  return { signed, sha256: content.digest('hex') };
}

/** Null for what is not unpacked. */
function signedBy(
  { type, linkname, mode }: Header,
  sha256: string,
  before: ReadonlyMap<string, Signed>,
): Signed | null {
  switch (type) {
    case 'directory':
      return { is: 'folder' };
    case 'symlink':
      return { is: 'link', target: linkname };
    case 'link':
      return before.get(safePath(linkname)) ?? null;
    case 'file':
    case 'contiguous-file':
      return { is: 'file', sha256, mode: modeOf(mode) };
    default:
      return null;
  }
}

async function problemAt(path: string, wanted: Signed): Promise<string | null> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return 'is missing';
  if (!isOfKind(found, wanted)) return `was changed: it is no ${wanted.is} any more`;
  switch (wanted.is) {
    case 'folder':
      return null;
    case 'link':
      return (await readlink(path)) === wanted.target ? null : 'was changed: it leads elsewhere';
    case 'file': {
      if ((await digestOfFile(path)) !== wanted.sha256) return 'was changed';
      const mode = found.mode & 0o7777;
      if (mode === wanted.mode) return null;
      return `was changed: its mode is ${mode.toString(8)}, not ${wanted.mode.toString(8)}`;
    }
  }
}

const isOfKind = (found: Stats, { is }: Signed): boolean => {
  if (is === 'folder') return found.isDirectory();
  return is === 'link' ? found.isSymbolicLink() : found.isFile();
};

/** Null when it cannot be read. A link that took the place of the file is not followed. */
async function digestOfFile(path: string): Promise<string | null> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(() => null);
  if (file === null) return null;
  return digestOf(file.createReadStream() as AsyncIterable<Buffer>).catch(() => null);
}

/** What no archive brought; of a folder that was added itself, nothing more is said. */
async function addedTo(
  tree: string,
  signed: ReadonlyMap<string, Signed>,
  toldMax: number,
): Promise<string[]> {
  const added: string[] = [];
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await readdir(join(tree, folder), { withFileTypes: true })) {
      const at = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (signed.has(at)) {
        if (entry.isDirectory()) folders.push(at);
      } else if (at !== MARKER) {
        if (added.length >= toldMax) return added;
        added.push(`${join(tree, at)} was added: no release brought it`);
      }
    }
  }
  return added;
}
