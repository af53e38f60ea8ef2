import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createBrotliCompress, createGunzip } from 'node:zlib';
import {
  BROTLI_WINDOW_BITS,
  DELTA_MAGIC,
  encodeDelta,
  matchContents,
} from '../../core/delta/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { artifactFor, type Artifact, type Delta, type Manifest } from '../../core/release/index.js';
import { usageError } from '../command.js';
import { bytesInWords, progressOf, type Progress, type Terminal } from '../terminal.js';
import { artifactPath, checkArtifact, readReleaseFolder, type ReleaseFolder } from './folder.js';

/** Both contents lie in memory while a delta is made; for more, the whole artifact has to do. */
const CONTENT_BYTES_MAX = 1024 ** 3;
/** A delta with a larger part of the artifact is not worth the work of applying it. */
const PART_MAX = 0.6;
/** Best compression: a delta is made once and fetched by every node. */
const BROTLI_QUALITY = 11;
/** Small enough that the progress moves. */
const WRITE_CHUNK_BYTES = 256 * 1024;

type Base = Pick<Manifest, 'product' | 'version'>;

/** The release that is being packed, so far. */
export interface Packing {
  readonly folder: string;
  readonly base: Base;
  readonly artifacts: readonly Artifact[];
  /** Every file is put here before it is written: who fails removes them. */
  readonly written: string[];
}

/** Reads the folders of `--delta-from`. Throws `cli_usage` for what no delta can lead from. */
export async function readOlder(
  folders: readonly string[],
  { product, version }: Base,
): Promise<readonly ReleaseFolder[]> {
  const older: ReleaseFolder[] = [];
  for (const folder of folders) {
    const release = await readReleaseFolder(folder);
    const { manifest } = release;
    if (manifest.product !== product) {
      throw usageError(
        `--delta-from ${folder} is a release of ${manifest.product}, not ${product}`,
      );
    }
    if (manifest.version === version || older.some((one) => isSameVersion(one, release))) {
      throw usageError(`--delta-from ${folder}: ${manifest.version} is there already`);
    }
    older.push(release);
  }
  return older;
}

const isSameVersion = (one: ReleaseFolder, other: ReleaseFolder): boolean =>
  one.manifest.version === other.manifest.version;

/**
 * Makes a delta to each artifact from the one for the same host in each older release; each that is
 * left out is told with the reason. Old artifacts are held against their manifest first. The same
 * releases give the same bytes (by the same build of Node, as with archives).
 */
export async function makeDeltas(
  older: readonly ReleaseFolder[],
  packing: Packing,
  terminal: Terminal,
): Promise<Delta[]> {
  const deltas: Delta[] = [];
  for (const to of packing.artifacts) {
    const origins = older.flatMap((release) => {
      const artifact = artifactFor(release.manifest, to);
      return artifact === undefined ? [] : [{ release, artifact }];
    });
    if (origins.length === 0) continue;
    const next = await contentOf(join(packing.folder, to.file));
    for (const origin of origins) {
      const delta = await makeOne(origin, { to, next, packing, terminal });
      if (delta === null) continue;
      const isDouble = deltas.some((one) => isFromSame(one, delta));
      if (isDouble) {
        await rm(join(packing.folder, delta.file), { force: true });
        terminal.err(`left out ${delta.file}: another one leads from the same content\n`);
      } else deltas.push(delta);
    }
  }
  return deltas;
}

const isFromSame = (one: Delta, other: Delta): boolean =>
  one.from_sha256 === other.from_sha256 &&
  one.os === other.os &&
  one.arch === other.arch &&
  one.variant === other.variant;

interface Origin {
  readonly release: ReleaseFolder;
  readonly artifact: Artifact;
}

interface Target {
  readonly to: Artifact;
  /** Null when it is too large. */
  readonly next: Buffer | null;
  readonly packing: Packing;
  readonly terminal: Terminal;
}

async function makeOne(origin: Origin, target: Target): Promise<Delta | null> {
  const { to, next, packing, terminal } = target;
  const file = fileOf(packing.base, origin.release.manifest.version, to);
  await checkArtifact(origin.release, origin.artifact);
  const old = await contentOf(artifactPath(origin.release, origin.artifact));
  if (old === null || next === null) {
    const most = bytesInWords(CONTENT_BYTES_MAX);
    terminal.err(`left out ${file}: deltas are made up to ${most} of unpacked content\n`);
    return null;
  }
  const path = join(packing.folder, file);
  packing.written.push(path);
  terminal.err(`making ${file} ...\n`);
  const progress = progressOf(terminal, `making ${file}`, next.length);
  try {
    const size = await writeDelta({ old, next, path: `${path}.partial`, progress });
    if (size > to.size * PART_MAX) {
      const sizes = `${bytesInWords(size)} of ${bytesInWords(to.size)}`;
      progress.done(`left out ${file}: not clearly smaller than the artifact, ${sizes}`);
      return null;
    }
    await rename(`${path}.partial`, path);
    const percent = ((100 * size) / to.size).toFixed(1);
    progress.done(`made ${file}: ${bytesInWords(size)}, ${percent} % of the artifact`);
    const { os, arch, variant } = to;
    return {
      ...{ os, arch, variant, format: 'bellwether.delta.v1' },
      from_version: origin.release.manifest.version,
      from_sha256: createHash('sha256').update(old).digest('hex'),
      ...{ file, size, sha256: await digestOf(path) },
    };
  } finally {
    progress.stop();
    await rm(`${path}.partial`, { force: true });
  }
}

function fileOf(base: Base, from: string, { os, arch, variant }: Artifact): string {
  const flavour = variant === 'default' ? '' : `-${variant}`;
  return `${base.product}-${from}-to-${base.version}-${os}-${arch}${flavour}.delta`;
}

/** What an archive holds when it is decompressed; null when that is more than is held in memory. */
async function contentOf(path: string): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  const isTooLarge = new Error('too large');
  const packed = createReadStream(path);
  try {
    await pipeline(packed, createGunzip(), async (stream: AsyncIterable<Buffer>) => {
      for await (const chunk of stream) {
        size += chunk.length;
        if (size > CONTENT_BYTES_MAX) throw isTooLarge;
        chunks.push(chunk);
      }
    });
  } catch (error) {
    if (error === isTooLarge) return null;
    const why = `${path}: is no tar.gz: ${(error as Error).message}`;
    throw new FleetError('release_pack_refused', why, { cause: error });
  }
  return Buffer.concat(chunks);
}

/** Writes a delta and answers its size. */
async function writeDelta(making: {
  readonly old: Buffer;
  readonly next: Buffer;
  readonly path: string;
  readonly progress: Progress;
}): Promise<number> {
  const { old, next, path, progress } = making;
  const sizes = { oldSize: old.length, newSize: next.length };
  let made = 0;
  const chunks = function* (): Generator<Uint8Array> {
    for (const bytes of encodeDelta(sizes, matchContents(old, next))) {
      for (let at = 0; at < bytes.length; at += WRITE_CHUNK_BYTES) {
        const chunk = bytes.subarray(at, at + WRITE_CHUNK_BYTES);
        made += chunk.length;
        progress.at(Math.min(made, next.length));
        yield chunk;
      }
    }
  };
  const brotli = createBrotliCompress({
    params: {
      [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: BROTLI_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: next.length,
    },
  });
  const file = createWriteStream(path, { flags: 'wx', mode: 0o644, flush: true });
  file.write(DELTA_MAGIC);
  await pipeline(chunks, brotli, file);
  return (await stat(path)).size;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
