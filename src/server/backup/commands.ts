import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import {
  fillPostgres,
  fillSqlite,
  holdDataDir,
  MIGRATION_NAMES,
  postgresAddress,
  prepareDataDir,
  readPostgres,
  readSqlite,
  SQLITE_FILE,
  VERSION,
  type Config,
  type TableReader,
  type TableWriter,
} from '../platform/index.js';
import {
  makeWhole,
  namesIn,
  readManifest,
  readTable,
  syncFolder,
  writeManifest,
  writeTable,
} from './archive.js';
import { bringFiles, keepFiles, type KeptFiles } from './kept-files.js';
import { BACKUP_FORMAT, type Manifest } from './manifest.js';
import { counted, pour, type Poured, type Source } from './pour.js';
import { Progress, type ProgressOutput } from './progress.js';

/** Where a restore puts things before they take their places. */
const RESTORING_DIR = '.restoring';
/** In an empty directory these may be: of the lock, of an earlier try, of a file system. */
const NOTHING = new Set(['manager.lock', 'manager.lock-journal', RESTORING_DIR, 'lost+found']);
/** Of the database that was moved away: no manager opens it by mistake. */
const MOVED_SUFFIX = '.moved-to-postgres';

export interface Surroundings {
  readonly config: Config;
  readonly now: () => number;
  /** Where progress is told. */
  readonly output: ProgressOutput;
}

export interface BackedUp extends Pick<KeptFiles, 'leftOut' | 'missing'> {
  readonly folder: string;
  readonly tables: number;
  readonly rows: number;
  readonly files: number;
}

/**
 * Writes a backup of this installation into a new folder, whole or not at all; the manager may run. What it
 * holds is one state of the database, and the files that this state names.
 */
export async function backUp(
  { config, now, output }: Surroundings,
  folder: string,
  options: { readonly withMasterKey: boolean },
): Promise<BackedUp> {
  const dataDir = resolve(config.dataDir);
  const reader = await openReader(config);
  try {
    const migrations = await reader.migrations();
    requireKnown(migrations);
    return await makeWhole(resolve(folder), async (beside) => {
      const madeAt = new Date(now()).toISOString();
      const tables = await reader.tables();
      const progress = new Progress(output, await countOf(reader));
      const told: Manifest['tables'] = [];
      for (const table of tables) {
        progress.begin(`writing ${table.name}`);
        const passing = counted(reader.rows(table), progress);
        await writeTable(beside, table, passing.rows);
        const { name, columns, key } = table;
        told.push({ name, columns: [...columns], key: [...key], ...passing.tally() });
      }
      const { files, leftOut, missing } = await keepFiles({
        dataDir,
        folder: beside,
        reader,
        withMasterKey: options.withMasterKey,
        withArtifacts: config.s3 === null,
        progress,
      });
      await writeManifest(beside, {
        format: BACKUP_FORMAT,
        product: 'bellwether',
        version: VERSION,
        made_at: madeAt,
        store: reader.kind,
        migrations: [...migrations],
        tables: told,
        files: [...files],
        left_out: leftOut,
      });
      progress.end();
      const rows = told.reduce((sum, table) => sum + table.rows, 0);
      return { folder, tables: told.length, rows, files: files.length, leftOut, missing };
    });
  } finally {
    await reader.close();
  }
}

/**
 * Reads a backup whole and tries it: every digest, every row into a database of its own, the audit log, the
 * seals. That database lies in the directory for temporary files, and goes. Nothing else is written.
 */
export async function checkBackup(
  { output }: Pick<Surroundings, 'output'>,
  folder: string,
): Promise<Poured> {
  const manifest = await readManifest(folder);
  const scratch = await mkdtemp(join(tmpdir(), 'bellwether-check-'));
  try {
    const target = await fillSqlite(scratch, requireKnown(manifest.migrations));
    const progress = progressOf(manifest, output);
    try {
      await bringFiles(folder, manifest, null, progress);
      return await pour(sourceOf(folder, manifest), target, { progress, ...age(manifest) });
    } finally {
      progress.end();
      await target.close();
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * Brings a backup into an empty data directory and, when one is configured, an empty PostgreSQL; whole, or
 * nothing is there. Throws `target_not_empty` when there is something already.
 */
export async function restore(
  { config, output }: Surroundings,
  folder: string,
): Promise<Poured & { readonly leftOut: Manifest['left_out'] }> {
  const manifest = await readManifest(folder);
  const migrations = requireKnown(manifest.migrations);
  const dataDir = prepareDataDir(config.dataDir);
  const lock = holdDataDir(dataDir);
  const progress = progressOf(manifest, output);
  try {
    await requireEmpty(dataDir);
    const beside = join(dataDir, RESTORING_DIR);
    await rm(beside, { recursive: true, force: true });
    await mkdir(beside, { mode: 0o700 });
    try {
      await bringFiles(folder, manifest, beside, progress);
      const target = await openTarget(config, beside, migrations);
      const poured = await filled(target, () =>
        pour(sourceOf(folder, manifest), target, { progress, ...age(manifest) }),
      );
      await takePlaces(beside, dataDir);
      return { ...poured, leftOut: manifest.left_out };
    } finally {
      await rm(beside, { recursive: true, force: true });
    }
  } finally {
    progress.end();
    lock.release();
  }
}

/**
 * Moves a manager that stands still from SQLite to an empty PostgreSQL, all or nothing; a run that was killed
 * is simply run again. Keys, sealed segments and artifacts stay in the data directory. Afterwards the SQLite
 * file has another name, so that no manager goes on with it by mistake.
 */
export async function moveToPostgres({ config, output }: Surroundings): Promise<Poured> {
  if (config.databaseUrl === null) {
    throw new FleetError('config_invalid', 'DATABASE_URL: say which PostgreSQL to move to');
  }
  const dataDir = prepareDataDir(config.dataDir);
  const lock = holdDataDir(dataDir);
  try {
    const reader = await readSqlite(dataDir);
    let poured: Poured;
    try {
      poured = await movedRows(config, reader, output);
    } finally {
      await reader.close();
    }
    for (const suffix of ['-wal', '-shm', '']) {
      const path = join(dataDir, `${SQLITE_FILE}${suffix}`);
      await rename(path, join(dataDir, `${SQLITE_FILE}${MOVED_SUFFIX}${suffix}`)).catch(
        (error: unknown) => {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        },
      );
    }
    await syncFolder(dataDir);
    return poured;
  } finally {
    lock.release();
  }
}

async function movedRows(
  config: Config,
  reader: TableReader,
  output: ProgressOutput,
): Promise<Poured> {
  const migrations = await reader.migrations();
  if (migrations.join() !== MIGRATION_NAMES.join()) {
    throw new FleetError(
      'schema_differs',
      'the SQLite database is of another version of Bellwether; start this version on it once',
    );
  }
  const total = (await countOf(reader)) * 2;
  const target = await openTarget(config, '', migrations);
  const progress = new Progress(output, total);
  const tables = await reader.tables();
  try {
    return await filled(target, () =>
      pour({ migrations, tables, told: null, rows: (table) => reader.rows(table) }, target, {
        progress,
        isCurrent: true,
      }),
    );
  } finally {
    progress.end();
  }
}

/** Commits what `work` filled. However it ends, the connection is closed. */
async function filled(target: TableWriter, work: () => Promise<Poured>): Promise<Poured> {
  try {
    const poured = await work();
    await target.commit();
    return poured;
  } finally {
    await target.close();
  }
}

const openReader = async (config: Config): Promise<TableReader> => {
  const address = postgresAddress(config);
  return address === null ? readSqlite(resolve(config.dataDir)) : readPostgres(address);
};

const openTarget = async (
  config: Config,
  dataDir: string,
  migrations: readonly string[],
): Promise<TableWriter> => {
  const address = postgresAddress(config);
  return address === null ? fillSqlite(dataDir, migrations) : fillPostgres(address, migrations);
};

/** What this version can make tables of: its own migrations, or the first of them. */
function requireKnown(migrations: readonly string[]): readonly string[] {
  const isKnown = migrations.every((name, at) => MIGRATION_NAMES[at] === name);
  if (isKnown && migrations.length > 0) return migrations;
  throw new FleetError(
    'schema_differs',
    'this was made by a newer or another version of Bellwether; take that version for it',
  );
}

const age = ({ migrations }: Manifest): { readonly isCurrent: boolean } => ({
  isCurrent: migrations.length === MIGRATION_NAMES.length,
});

async function countOf(reader: TableReader): Promise<number> {
  let count = 0;
  for (const table of await reader.tables()) count += await reader.count(table);
  return count;
}

function sourceOf(folder: string, manifest: Manifest): Source {
  return {
    migrations: manifest.migrations,
    tables: manifest.tables,
    told: new Map(manifest.tables.map((table) => [table.name, table])),
    rows: (table) => readTable(folder, table),
  };
}

/** Each row is brought, and read back. */
const progressOf = ({ tables }: Manifest, output: ProgressOutput): Progress =>
  new Progress(output, tables.reduce((sum, { rows }) => sum + rows, 0) * 2);

async function requireEmpty(dataDir: string): Promise<void> {
  const names = ((await namesIn(dataDir)) ?? []).filter((name) => !NOTHING.has(name));
  if (names.length === 0) return;
  throw new FleetError(
    'target_not_empty',
    `${dataDir} is not empty: it has ${names.sort().slice(0, 5).join(', ')}; a restore overwrites nothing`,
  );
}

/** The database last: until it is there, nothing of this is in use. */
async function takePlaces(beside: string, dataDir: string): Promise<void> {
  const names = ((await namesIn(beside)) ?? []).sort(
    (a, b) => Number(a.startsWith(SQLITE_FILE)) - Number(b.startsWith(SQLITE_FILE)),
  );
  for (const name of names) await rename(join(beside, name), join(dataDir, name));
  await syncFolder(dataDir);
}
