import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress, createZstdDecompress } from 'node:zlib';
import { FleetError } from '../../core/kernel/index.js';
import {
  lineOfRow,
  rowOfLine,
  ROWS_BYTES_MAX,
  ROWS_MAX,
  type Row,
  type Table,
} from '../platform/index.js';
import { MANIFEST_BYTES_MAX, MANIFEST_FILE, parseManifest, type Manifest } from './manifest.js';

/** The longest row that is read: a rollout of some hundred thousand nodes stays far below. */
const LINE_BYTES_MAX = 256 * 1024 * 1024;

const tableFile = (folder: string, table: Pick<Table, 'name'>): string =>
  join(folder, 'tables', `${table.name}.ndjson.zst`);

/** Where a kept file of the data directory lies in a backup. */
export const keptFile = (folder: string, path: string): string => join(folder, 'data', path);

/** Writes the rows into their file, for its owner alone, and durable. */
export async function writeTable(
  folder: string,
  table: Table,
  rows: AsyncIterable<readonly Row[]>,
): Promise<void> {
  const path = tableFile(folder, table);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const lines = async function* (): AsyncGenerator<string> {
    for await (const some of rows) yield some.map(lineOfRow).join('');
  };
  await pipeline(
    Readable.from(lines(), { objectMode: true, highWaterMark: 2 }),
    createZstdCompress(),
    createWriteStream(path, { mode: 0o600, flags: 'wx', flush: true }),
  );
}

/** The rows of a table as they were written, some at a time. Throws `backup_damaged`. */
export async function* readTable(folder: string, table: Table): AsyncGenerator<readonly Row[]> {
  const file = createReadStream(tableFile(folder, table));
  const plain = file.pipe(createZstdDecompress());
  // What goes wrong with the file is told where the text is read.
  file.on('error', (error) => plain.destroy(error));
  let rows: Row[] = [];
  let bytes = 0;
  try {
    for await (const line of linesOf(plain)) {
      rows.push(rowOfLine(table, line));
      bytes += line.length;
      if (rows.length < ROWS_MAX && bytes < ROWS_BYTES_MAX) continue;
      yield rows;
      rows = [];
      bytes = 0;
    }
  } catch (error) {
    // What was written here had fitted its table.
    const isLine = error instanceof FleetError && error.code === 'value_not_storable';
    if (error instanceof FleetError && !isLine) throw error;
    const told = `the file of the table ${table.name} cannot be read`;
    throw new FleetError('backup_damaged', told, { cause: error });
  } finally {
    file.destroy();
    plain.destroy();
  }
  if (rows.length > 0) yield rows;
}

async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      yield Buffer.concat(parts).toString('utf8');
      [parts, length, start] = [[], 0, end + 1];
    }
    parts.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > LINE_BYTES_MAX) throw new FleetError('backup_damaged', 'a line has no end');
  }
  if (length > 0) throw new FleetError('backup_damaged', 'the last line was cut off');
}

/** Behind everything else: a folder without it is no backup. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const file = await open(join(folder, MANIFEST_FILE), 'wx', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(manifest, null, 1)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Throws `backup_damaged` when there is none, or not one of ours. */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST_FILE);
  const about = await stat(path).catch(() => null);
  if (about === null) {
    throw new FleetError('backup_damaged', `${folder} is no backup: it has no ${MANIFEST_FILE}`);
  }
  if (about.size > MANIFEST_BYTES_MAX) {
    throw new FleetError('backup_damaged', `${path} is larger than any manifest`);
  }
  return parseManifest(await readFile(path, 'utf8'));
}

/** What a killed run left; only if it is nothing else. */
const PARTS = new Set(['tables', 'data', MANIFEST_FILE]);

/**
 * Makes a folder as a whole or not at all: `work` fills one beside it, which then takes the name. Throws
 * `target_not_empty` when there is something already.
 */
export async function makeWhole<T>(
  folder: string,
  work: (beside: string) => Promise<T>,
): Promise<T> {
  await requireAbsent(folder);
  const beside = `${folder}.partial`;
  const left = await namesIn(beside);
  if (left?.some((name) => !PARTS.has(name)) === true) {
    throw new FleetError('target_not_empty', `${beside} is in the way; move it elsewhere`);
  }
  await rm(beside, { recursive: true, force: true });
  await mkdir(dirname(folder), { recursive: true });
  await mkdir(beside, { mode: 0o700 });
  try {
    const made = await work(beside);
    await rename(beside, folder);
    await syncFolder(dirname(folder));
    return made;
  } catch (error) {
    await rm(beside, { recursive: true, force: true });
    throw error;
  }
}

async function requireAbsent(folder: string): Promise<void> {
  if ((await stat(folder).catch(() => null)) === null) return;
  throw new FleetError(
    'target_not_empty',
    `${folder} is there already; a backup overwrites nothing`,
  );
}

/** Null when there is no such folder. */
export async function namesIn(folder: string): Promise<string[] | null> {
  return readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
