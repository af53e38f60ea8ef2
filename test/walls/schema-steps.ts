import BetterSqlite3 from 'better-sqlite3';
import pg from 'pg';
import { makePostgresDatabase } from '../support/databases.js';

/** A column as one version knows it. */
interface Column {
  readonly type: string;
  readonly mayBeNull: boolean;
  readonly hasDefault: boolean;
}

/** What a database has: columns as `table.column`, and what makes it refuse rows. */
export interface Schema {
  readonly columns: ReadonlyMap<string, Column>;
  /** Unique indexes, triggers, checks and links between tables, each with the table that it is on. */
  readonly guards: ReadonlyMap<string, string>;
}

/** The part of TypeORM's migrations that ours use. */
export interface Migration {
  readonly name: string;
  up(runner: never): Promise<void>;
}

const tableOf = (column: string): string => column.slice(0, column.indexOf('.'));

/** What the version before a migration could not live with, in words. Nothing: both can run side by side. */
export function breaksOf(before: Schema, after: Schema): string[] {
  const tables = new Set([...before.columns.keys()].map(tableOf));
  const breaks: string[] = [];
  for (const [name, was] of before.columns) {
    const is = after.columns.get(name);
    if (is === undefined) breaks.push(`${name} is gone`);
    else if (is.type !== was.type) breaks.push(`${name} is ${is.type}, was ${was.type}`);
    else if (was.mayBeNull && !is.mayBeNull) breaks.push(`${name} may no longer be null`);
    else if (was.hasDefault && !is.hasDefault) breaks.push(`${name} has no default any more`);
  }
  for (const [name, { mayBeNull, hasDefault }] of after.columns) {
    const isNew = !before.columns.has(name) && tables.has(tableOf(name));
    if (isNew && !mayBeNull && !hasDefault) breaks.push(`${name} is new and has to be given`);
  }
  for (const [guard, table] of after.guards) {
    if (tables.has(table) && !before.guards.has(guard)) breaks.push(`${guard} is new on ${table}`);
  }
  return breaks.sort();
}

/** The breaks of each migration that has some, run one after the other on an empty SQLite. */
export async function stepsOnSqlite(
  migrations: readonly Migration[],
): Promise<Record<string, string[]>> {
  const raw = new BetterSqlite3(':memory:');
  const all = (sql: string): Record<string, unknown>[] =>
    raw.prepare(sql).all() as Record<string, unknown>[];
  const query = (sql: string): Promise<void> => {
    raw.exec(sql);
    return Promise.resolve();
  };
  const read = (): Promise<Schema> => {
    const columns = all(
      `SELECT t.name AS tbl, c.name AS name, c.type AS type, c."notnull" AS filled,
         c.dflt_value AS given, c.pk AS pk
       FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'`,
    ).map((row): [string, Column] => [
      `${String(row['tbl'])}.${String(row['name'])}`,
      {
        // A number that is the row id itself is the same to whoever writes it.
        type: String(row['type']).toLowerCase().replace('bigint', 'integer'),
        mayBeNull: row['filled'] === 0 && row['pk'] === 0,
        hasDefault: row['given'] !== null,
      },
    ]);
    const guards = all(
      `SELECT name, tbl_name AS tbl FROM sqlite_master
       WHERE type = 'trigger' OR (type = 'index' AND sql LIKE 'CREATE UNIQUE%')`,
    );
    return Promise.resolve({
      columns: new Map(columns),
      guards: new Map(guards.map((row) => [String(row['name']), String(row['tbl'])])),
    });
  };
  try {
    return await stepped(migrations, 'better-sqlite3', query, read);
  } finally {
    raw.close();
  }
}

/** The same on an empty PostgreSQL. */
export async function stepsOnPostgres(
  migrations: readonly Migration[],
): Promise<Record<string, string[]>> {
  const made = await makePostgresDatabase();
  const client = new pg.Client({ connectionString: made.url });
  await client.connect();
  const all = async (sql: string): Promise<Record<string, unknown>[]> =>
    (await client.query(sql)).rows as Record<string, unknown>[];
  const read = async (): Promise<Schema> => {
    const columns = await all(
      `SELECT table_name, column_name, data_type, is_nullable, column_default
       FROM information_schema.columns WHERE table_schema = 'public'`,
    );
    const guards = await all(
      `SELECT i.indexname AS name, i.tablename AS tbl FROM pg_indexes i
         WHERE i.schemaname = 'public' AND i.indexdef LIKE 'CREATE UNIQUE%'
       UNION SELECT tgname::text, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal
       UNION SELECT conname::text, conrelid::regclass::text FROM pg_constraint
         WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace`,
    );
    return {
      columns: new Map(
        columns.map((row): [string, Column] => [
          `${String(row['table_name'])}.${String(row['column_name'])}`,
          {
            type: String(row['data_type']),
            mayBeNull: row['is_nullable'] === 'YES',
            hasDefault: row['column_default'] !== null,
          },
        ]),
      ),
      guards: new Map(guards.map((row) => [String(row['name']), String(row['tbl'])])),
    };
  };
  try {
    return await stepped(migrations, 'postgres', all, read);
  } finally {
    await client.end();
    await made.drop();
  }
}

async function stepped(
  migrations: readonly Migration[],
  type: string,
  query: (sql: string) => Promise<unknown>,
  read: () => Promise<Schema>,
): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  let before = await read();
  for (const migration of migrations) {
    await migration.up({ query, dataSource: { options: { type } } } as never);
    const after = await read();
    const breaks = breaksOf(before, after);
    if (breaks.length > 0) found[migration.name] = breaks;
    before = after;
  }
  return found;
}
