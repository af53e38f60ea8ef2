import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { afterEach, describe, inject } from 'vitest';
import { openDatabase, type Database } from '../../src/server/platform/database/index.js';

/** Opens a fresh, migrated database of its own; closed and removed after the test. */
export type OpenTestDatabase = () => Promise<Database>;

export const silentLog = pino({ level: 'silent' });

let count = 0;

async function onServer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject('postgresUrl') });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** An empty database on the PostgreSQL of this run. */
export async function makePostgresDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  count += 1;
  const name = `test_${process.pid}_${Date.now().toString(36)}_${count}`;
  await onServer(`CREATE DATABASE ${name}`);
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => onServer(`DROP DATABASE ${name} WITH (FORCE)`) };
}

/** One statement on a database, past everything of ours. */
export async function queryOn(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as unknown[];
  } finally {
    await client.end();
  }
}

export function makeTempDir(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'bellwether-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/**
 * Describes the same behaviour on SQLite and on PostgreSQL: both must pass the same specs. Each
 * call of `openTestDatabase` gives a database that nobody else uses.
 */
export function describeOnBothDatabases(
  name: string,
  body: (openTestDatabase: OpenTestDatabase, kind: 'sqlite' | 'postgres') => void,
): void {
  for (const kind of ['sqlite', 'postgres'] as const) {
    describe(`${name} (${kind})`, () => {
      const cleanUps: (() => Promise<void> | void)[] = [];
      afterEach(async () => {
        for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
      });
      body(async () => {
        const dir = makeTempDir();
        cleanUps.push(() => dir.remove());
        let url: string | null = null;
        if (kind === 'postgres') {
          const made = await makePostgresDatabase();
          cleanUps.push(() => made.drop());
          url = made.url;
        }
        const database = await openDatabase({ url, dataDir: dir.path, log: silentLog });
        cleanUps.push(() => database.close());
        return database;
      }, kind);
    });
  }
}
