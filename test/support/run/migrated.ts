import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { inject } from 'vitest';
import { openDatabase, SQLITE_FILE } from '../../../src/server/platform/database/index.js';
import { inRun, keepInRun } from './folder.js';

const log = pino({ level: 'silent' });
const TEMPLATE = 'migrated';

/** One statement on the PostgreSQL of this run. */
export async function onServer(sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: inject('postgresUrl') });
  await client.connect();
  try {
    return (await client.query(sql)).rows as unknown[];
  } finally {
    await client.end();
  }
}

/** The address of a database on the PostgreSQL of this run. */
export function urlOfDatabase(name: string): string {
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  return url.href;
}

let template: Promise<string> | null = null;

/** The database to copy where a spec is not about migrations: what these gave, once for a whole run. */
export function migratedTemplate(): Promise<string> {
  template ??= makeTemplate();
  return template;
}

async function makeTemplate(): Promise<string> {
  const isThere = async (): Promise<boolean> =>
    (await onServer(`SELECT 1 FROM pg_database WHERE datname = '${TEMPLATE}'`)).length > 0;
  if (await isThere()) return TEMPLATE;
  const draft = `${TEMPLATE}_${process.pid}`;
  await onServer(`CREATE DATABASE ${draft}`);
  await migrate(urlOfDatabase(draft));
  try {
    await onServer(`ALTER DATABASE ${draft} RENAME TO ${TEMPLATE}`);
  } catch (error) {
    // Another process was faster.
    if (!(await isThere())) throw error;
    await onServer(`DROP DATABASE ${draft}`);
  }
  return TEMPLATE;
}

/** Puts the SQLite file into a data directory that a manager would make there at its first start. */
export async function putMigratedSqlite(dataDir: string): Promise<void> {
  const shared = inRun('sqlite');
  if (shared === null) return;
  if (!shared.isMade) await migrate(null, shared.path);
  const from = shared.isMade ? shared.path : keepInRun('sqlite', shared.path);
  copyFileSync(join(from, SQLITE_FILE), join(dataDir, SQLITE_FILE));
}

async function migrate(
  url: string | null,
  dataDir = mkdtempSync(join(tmpdir(), 'bellwether-test-')),
) {
  const database = await openDatabase({ url, dataDir, log });
  await database.close();
  if (url !== null) rmSync(dataDir, { recursive: true });
}
