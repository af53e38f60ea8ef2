import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { afterEach, describe } from 'vitest';
import { openDatabase, type Database } from '../../src/server/platform/database/index.js';
import { migratedTemplate, onServer, putMigratedSqlite, urlOfDatabase } from './run/migrated.js';

/** Opens a fresh, migrated database of its own; closed and removed after the test. */
export type OpenTestDatabase = () => Promise<Database>;

export const silentLog = pino({ level: 'silent' });

let count = 0;

export interface TestPostgres {
  readonly url: string;
  drop(): Promise<void>;
}

/** An empty database on the PostgreSQL of this run. */
export function makePostgresDatabase(): Promise<TestPostgres> {
  return create(null);
}

/** One that a manager has already brought to the newest schema, for specs that are not about that. */
export async function makeMigratedPostgres(): Promise<TestPostgres> {
  return create(await migratedTemplate());
}

async function create(template: string | null): Promise<TestPostgres> {
  count += 1;
  const name = `test_${process.pid}_${Date.now().toString(36)}_${count}`;
  await onServer(`CREATE DATABASE ${name}${template === null ? '' : ` TEMPLATE ${template}`}`);
  return {
    url: urlOfDatabase(name),
    drop: async () => {
      await onServer(`DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
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
          const made = await makeMigratedPostgres();
          cleanUps.push(() => made.drop());
          url = made.url;
        } else await putMigratedSqlite(dir.path);
        const database = await openDatabase({ url, dataDir: dir.path, log: silentLog });
        cleanUps.push(() => database.close());
        return database;
      }, kind);
    });
  }
}
