import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, type Stats } from 'node:fs';
import { lstat, readdir, readlink, realpath } from 'node:fs/promises';
import { basename, join, posix, sep } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack as tarPack, type Pack } from 'tar-stream';
import { FleetError } from '../../core/kernel/index.js';

/** Best compression: an artifact is packed once and fetched by every node. */
const GZIP_LEVEL = 9;
const READ_CHUNK_BYTES = 1024 * 1024;

const refused = (path: string, why: string, cause?: unknown): FleetError =>
  new FleetError('release_pack_refused', `${path}: ${why}`, { cause });

/** Something that goes into the archive. */
interface Member {
  readonly name: string;
  readonly path: string;
  readonly stats: Stats;
  readonly linkTarget: string | null;
}

/** What will be packed, looked through before anything is written. */
export interface Tree {
  readonly members: readonly Member[];
  /** Bytes of all files, before compression. */
  readonly bytes: number;
}

/**
 * Looks through a file or folder. Everything is sorted by the bytes of its name, so that the order of
 * the file system does not matter. Throws `release_pack_refused` for what a node would not unpack:
 * sockets, devices, links that lead out or nowhere, names with control characters or backslashes.
 */
export async function readTree(path: string): Promise<Tree> {
  const stats = await lstat(path);
  const members: Member[] = [];
  if (stats.isDirectory()) {
    await readFolder({ root: await realpath(path), path, below: '' }, members);
    if (!members.some((member) => member.stats.isFile())) throw refused(path, 'holds no file');
  } else if (stats.isFile()) {
    checkName(basename(path), path);
    members.push({ name: basename(path), path, stats, linkTarget: null });
  } else {
    throw refused(path, 'is neither a file nor a folder');
  }
  const bytes = members.reduce((sum, { stats: { size } }) => sum + size, 0);
  return { members, bytes };
}

interface Folder {
  readonly root: string;
  readonly path: string;
  /** Its name in the archive, empty for the top. */
  readonly below: string;
}

async function readFolder({ root, path, below }: Folder, members: Member[]): Promise<void> {
  const names = await readdir(path);
  names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const entry of names) {
    const at = join(path, entry);
    checkName(entry, at);
    const name = below === '' ? entry : `${below}/${entry}`;
    const stats = await lstat(at);
    if (stats.isDirectory()) {
      members.push({ name, path: at, stats, linkTarget: null });
      await readFolder({ root, path: at, below: name }, members);
    } else if (stats.isSymbolicLink()) {
      members.push({ name, path: at, stats, linkTarget: await insideTarget(root, at, name) });
    } else if (stats.isFile()) {
      members.push({ name, path: at, stats, linkTarget: null });
    } else {
      throw refused(at, 'is a socket, pipe or device');
    }
  }
}

function checkName(name: string, path: string): void {
  // U+FFFD stands for bytes that were no UTF-8: another name would come out on the node.
  if (/[\u0000-\u001f\u007f\\\ufffd]/.test(name)) {
    throw refused(path, 'its name holds a control character, a backslash, or is not UTF-8');
  }
}

/**
 * Where a link leads, when that is inside the tree: both by its words (so judge nodes) and in truth,
 * through other links.
 */
async function insideTarget(root: string, path: string, name: string): Promise<string> {
  const target = await readlink(path);
  const byWords = posix.normalize(posix.join(posix.dirname(name), target));
  if (target.startsWith('/') || byWords === '..' || byWords.startsWith('../')) {
    throw refused(path, 'is a link that leads out of the tree');
  }
  const inTruth = await realpath(path).catch((error: unknown) => {
    throw refused(path, 'is a link that leads nowhere', error);
  });
  if (inTruth !== root && !inTruth.startsWith(root + sep)) {
    throw refused(path, 'is a link that leads out of the tree');
  }
  return target;
}

/** What the archive turned out to be. */
export interface Packed {
  readonly sha256: string;
  readonly size: number;
  /** The same before it was compressed. */
  readonly content: { readonly sha256: string; readonly size: number };
}

/**
 * Writes a tree as tar.gz to a new file. The same tree gives the same bytes: sorted, owned by 0:0,
 * one time for all, modes 0755 and 0644 by the owner's execute bit. (Across machines that holds for the
 * same build of Node: compression is zlib's.) The caller removes the file when this throws.
 */
export async function writeArchive(options: {
  readonly tree: Tree;
  readonly to: string;
  readonly modifiedAtMs: number;
  /** Hears how many bytes of files went in so far. */
  readonly onRead?: (bytes: number) => void;
}): Promise<Packed> {
  const { tree, to, modifiedAtMs, onRead } = options;
  const archive = tarPack({ highWaterMark: READ_CHUNK_BYTES });
  const [content, whole] = [tally(), tally()];
  const file = createWriteStream(to, { flags: 'wx', mode: 0o644, flush: true });
  const gzip = createGzip({ level: GZIP_LEVEL });
  const written = pipeline(archive, content.stream, gzip, whole.stream, file);
  // A refusal below destroys the archive; the pipeline then fails as its consequence.
  written.catch(() => undefined);
  let read = 0;
  try {
    for (const member of tree.members) {
      await add(archive, member, modifiedAtMs, (bytes) => onRead?.((read += bytes)));
    }
    archive.finalize();
  } catch (error) {
    archive.destroy(error as Error);
    await written.catch(() => undefined);
    throw error;
  }
  await written;
  return { ...whole.result(), content: content.result() };
}

/** Passes bytes on; knows their number and digest at the end. */
function tally(): { stream: Transform; result(): Packed['content'] } {
  const hash = createHash('sha256');
  let size = 0;
  const stream = new Transform({
    transform: (chunk: Buffer, _, done) => {
      hash.update(chunk);
      size += chunk.length;
      done(null, chunk);
    },
  });
  return { stream, result: () => ({ sha256: hash.digest('hex'), size }) };
}

async function add(
  archive: Pack,
  member: Member,
  modifiedAtMs: number,
  onRead: (bytes: number) => void,
): Promise<void> {
  const { stats, linkTarget } = member;
  const isExecutable = (stats.mode & 0o100) !== 0;
  const type: 'directory' | 'file' | 'symlink' = stats.isDirectory()
    ? 'directory'
    : stats.isFile()
      ? 'file'
      : 'symlink';
  const header = {
    name: stats.isDirectory() ? `${member.name}/` : member.name,
    mode: stats.isFile() && !isExecutable ? 0o644 : 0o755,
    mtime: new Date(modifiedAtMs),
    uid: 0,
    gid: 0,
    uname: '',
    gname: '',
    size: stats.isFile() ? stats.size : 0,
    type,
    ...(linkTarget === null ? {} : { linkname: linkTarget }),
  };
  if (!stats.isFile()) {
    await new Promise<void>((resolve, reject) => {
      archive.entry(header, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
    return;
  }
  const source = createReadStream(member.path, { highWaterMark: READ_CHUNK_BYTES });
  try {
    await pipeline(source, heard(onRead), archive.entry(header));
  } catch (error) {
    if ((error as { syscall?: string }).syscall !== undefined) throw error;
    throw refused(member.path, 'changed while it was packed', error);
  }
}

/** Passes a stream on, chunk for chunk, and tells the length of each. */
const heard = (onChunk: (bytes: number) => void) =>
  async function* passOn(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      onChunk(chunk.length);
      yield chunk;
    }
  };
