import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { FleetError } from '../../core/kernel/index.js';
import { AUDIT_KEY_FILE, SEGMENTS_DIR } from '../audit/index.js';
import type { TableReader } from '../platform/index.js';
import { keptFile, namesIn } from './archive.js';
import { isKept, type KeptFile, type Manifest } from './manifest.js';
import type { Progress } from './progress.js';

const MASTER_KEY_FILE = 'master.key';
const BLOBS_DIR = join('blobs', 'sha256');
/** Keys, and those that earlier versions left to be taken over. */
const KEY_FILES = [AUDIT_KEY_FILE, 'audit-key.json', 'second-factor.key'];

export interface KeptFiles {
  readonly files: readonly KeptFile[];
  readonly leftOut: Manifest['left_out'];
  /** In words: what should be there and is not. */
  readonly missing: readonly string[];
}

/**
 * Copies what the data directory holds besides the database: keys, sealed segments of the audit log that the
 * tables name, artifacts. To be called after the tables were read: what they name is there by then, and what
 * came later does no harm.
 */
export async function keepFiles(options: {
  readonly dataDir: string;
  readonly folder: string;
  readonly reader: TableReader;
  readonly withMasterKey: boolean;
  /** False: artifacts lie in a bucket. */
  readonly withArtifacts: boolean;
  readonly progress: Progress;
}): Promise<KeptFiles> {
  const { dataDir, folder, reader, progress } = options;
  const files: KeptFile[] = [];
  const missing: string[] = [];
  const keep = async (path: string): Promise<boolean> => {
    const kept = await copied(join(dataDir, path), keptFile(folder, path));
    if (kept !== null) files.push({ path, ...kept });
    return kept !== null;
  };
  progress.begin('copying keys and sealed segments');
  const leftOut: Manifest['left_out'] = [];
  if (!options.withMasterKey || !(await keep(MASTER_KEY_FILE))) leftOut.push('master_key');
  let hasAuditKey = false;
  for (const name of KEY_FILES) hasAuditKey = (await keep(name)) || hasAuditKey;
  if (!hasAuditKey) leftOut.push('audit_key');
  for (const name of await segmentsIn(reader)) {
    for (const path of [`${SEGMENTS_DIR}/${name}`, `${SEGMENTS_DIR}/${name}.checkpoint`]) {
      if (!(await keep(path))) missing.push(path);
    }
  }
  if (!options.withArtifacts) return { files, leftOut: [...leftOut, 'artifacts'], missing };
  progress.begin('copying artifacts');
  const kept = new Set<string>();
  for (const sha256 of await artifactsIn(dataDir)) {
    const path = `blobs/sha256/${sha256.slice(0, 2)}/${sha256}`;
    if (!(await keep(path))) continue;
    if (files.at(-1)?.sha256 === sha256) kept.add(sha256);
  }
  for await (const sha256 of artifactsOf(reader)) {
    if (!kept.has(sha256)) missing.push(`the artifact ${sha256}`);
  }
  // One that is not what its name says serves nobody.
  const sound = files.filter(({ path, sha256 }) => !path.startsWith('blobs/') || kept.has(sha256));
  return { files: sound, leftOut, missing };
}

async function segmentsIn(reader: TableReader): Promise<string[]> {
  const rows = await reader.sql.all<{ file: string }>(
    'SELECT file FROM audit_segments ORDER BY first_id',
  );
  // Rows name the place where they were written; the directory may have moved since.
  return rows.map(({ file }) => basename(file));
}

async function artifactsIn(dataDir: string): Promise<string[]> {
  const found: string[] = [];
  const root = join(dataDir, BLOBS_DIR);
  for (const start of ((await namesIn(root)) ?? []).sort()) {
    const names = /^[0-9a-f]{2}$/.test(start) ? await namesIn(join(root, start)) : null;
    found.push(...(names ?? []).filter((name) => isKept(`blobs/sha256/${start}/${name}`)).sort());
  }
  return found;
}

async function* artifactsOf(reader: TableReader): AsyncGenerator<string> {
  const table = (await reader.tables()).find(({ name }) => name === 'release_blobs');
  if (table === undefined) return;
  const at = table.columns.findIndex(({ name }) => name === 'sha256');
  const seen = new Set<string>();
  for await (const rows of reader.rows(table)) {
    for (const row of rows) {
      const sha256 = String(row[at]);
      if (!seen.has(sha256)) yield sha256;
      seen.add(sha256);
    }
  }
}

/** Null when it is not there. For its owner alone, and durable. */
async function copied(
  from: string,
  to: string,
): Promise<{ readonly bytes: number; readonly sha256: string } | null> {
  if ((await stat(from).catch(() => null)) === null) return null;
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    await pipeline(
      createReadStream(from, { highWaterMark: 256 * 1024 }),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          bytes += chunk.length;
          yield chunk;
        }
      },
      createWriteStream(to, { mode: 0o600, flags: 'wx', flush: true }),
    );
  } catch (error) {
    // The collector took it since the folder was read.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Reads every kept file, and writes it below `to` unless that is null. Throws `backup_damaged`. */
export async function bringFiles(
  folder: string,
  manifest: Manifest,
  to: string | null,
  progress: Progress,
): Promise<void> {
  progress.begin(to === null ? 'checking files' : 'copying files');
  for (const { path, bytes, sha256 } of manifest.files) {
    const from = keptFile(folder, path);
    const found = to === null ? await digestOf(from) : await copied(from, join(to, path));
    if (found?.bytes === bytes && found.sha256 === sha256) continue;
    throw new FleetError('backup_damaged', `${path} is ${found === null ? 'missing' : 'changed'}`);
  }
}

async function digestOf(path: string): Promise<{ bytes: number; sha256: string } | null> {
  if ((await stat(path).catch(() => null)) === null) return null;
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}
