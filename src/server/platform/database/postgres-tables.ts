import pg from 'pg';
import { DataSource } from 'typeorm';
import { MIGRATIONS } from '../../../../migrations/index.js';
import { FleetError } from '../../../core/kernel/index.js';
import { errorCode } from './engine.js';
import { asPostgresProblem } from './open.js';
import { loginOf, type PostgresAddress } from './postgres-address.js';
import { getTypeParser, MIGRATION_LOCK, sourceOf, sqlOf } from './postgres-engine.js';
import type { Sql } from './sql.js';
import { onConflict } from './sqlite-tables.js';
import {
  bytesOf,
  checkedRow,
  columnList,
  quoted,
  ROWS_BYTES_MAX,
  ROWS_MAX,
  withoutNul,
  type Column,
  type ColumnKind,
  type Row,
  type Table,
  type TableReader,
  type TableWriter,
} from './table-rows.js';

const CONNECT_TIMEOUT_MS = 5_000;
const KINDS: Readonly<Record<string, ColumnKind>> = {
  text: 'text',
  bigint: 'integer',
  integer: 'integer',
  bytea: 'bytes',
};
const ARRAY_OF: Readonly<Record<ColumnKind, string>> = {
  text: 'text[]',
  integer: 'bigint[]',
  bytes: 'bytea[]',
};

/** The first rows are fetched few at a time: nobody knows yet how large they are. */
const FIRST_FETCH = 16;

async function connect(address: PostgresAddress): Promise<pg.Client> {
  const client = new pg.Client({
    ...loginOf(address),
    application_name: 'bellwether-backup',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    types: { getTypeParser },
  });
  // The statement under way fails by itself; without a listener the process would end.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    throw asPostgresProblem(address, error);
  }
}

/** The state of this database at this moment, also while managers write to it: one snapshot is read. */
export async function readPostgres(address: PostgresAddress): Promise<TableReader> {
  const client = await connect(address);
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  return new PostgresTables(client);
}

/** Reads what one connection sees. */
class PostgresTables implements TableReader {
  readonly kind = 'postgres';
  readonly sql: Sql;

  constructor(protected readonly client: pg.Client) {
    this.sql = sqlOf(client);
  }

  async migrations(): Promise<readonly string[]> {
    const known = await this.sql.get<{ name: string | null }>(
      `SELECT to_regclass(quote_ident(current_schema()) || '.migrations')::text AS name`,
    );
    if ((known?.name ?? null) === null) return [];
    const rows = await this.sql.all<{ name: string }>('SELECT name FROM migrations ORDER BY id');
    return rows.map(({ name }) => name);
  }

  async tables(): Promise<readonly Table[]> {
    const columns = await this.sql.all<{ table: string; name: string; type: string }>(
      `SELECT c.table_name AS table, c.column_name AS name, c.data_type AS type
       FROM information_schema.columns c JOIN information_schema.tables t
         ON t.table_schema = c.table_schema AND t.table_name = c.table_name
       WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
         AND c.table_name <> 'migrations'`,
    );
    const keys = await this.sql.all<{ table: string; name: string }>(
      `SELECT k.table_name AS table, k.column_name AS name
       FROM information_schema.table_constraints t JOIN information_schema.key_column_usage k
         ON k.constraint_schema = t.constraint_schema AND k.constraint_name = t.constraint_name
        AND k.table_name = t.table_name
       WHERE t.table_schema = current_schema() AND t.constraint_type = 'PRIMARY KEY'
       ORDER BY k.table_name, k.ordinal_position`,
    );
    const names = [...new Set(columns.map(({ table }) => table))].sort();
    return names.map((name) => ({
      name,
      columns: columns
        .filter(({ table }) => table === name)
        .map((column): Column => {
          const kind = KINDS[column.type];
          if (kind === undefined) throw new Error(`${name}.${column.name} is of an unknown type`);
          return { name: column.name, kind };
        })
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
      key: keys.filter(({ table }) => table === name).map((key) => key.name),
    }));
  }

  async count(table: Table): Promise<number> {
    const row = await this.sql.get<{ n: number }>(
      `SELECT COUNT(*) AS n FROM ${quoted(table.name)}`,
    );
    return row?.n ?? 0;
  }

  async *rows(table: Table): AsyncGenerator<readonly Row[]> {
    const order = table.key.map((name) => {
      const isText = table.columns.some((one) => one.name === name && one.kind === 'text');
      return isText ? `${quoted(name)} COLLATE "C"` : quoted(name);
    });
    await this.client.query(
      `DECLARE bellwether_rows NO SCROLL CURSOR FOR
       SELECT ${columnList(table)} FROM ${quoted(table.name)} ORDER BY ${order.join(', ')}`,
    );
    let count = FIRST_FETCH;
    for (;;) {
      const text = `FETCH ${count} FROM bellwether_rows`;
      const { rows } = await this.client.query<Row[]>({ text, rowMode: 'array' });
      const checked = (rows as unknown as Row[]).map((row) => checkedRow(table, row));
      if (checked.length > 0) yield checked;
      if (checked.length < count) break;
      const bytes = checked.reduce((sum, row) => sum + bytesOf(row), 0);
      count = nextFetch(checked.length, bytes);
    }
    await this.client.query('CLOSE bellwether_rows');
  }

  async close(): Promise<void> {
    await this.client.end();
  }
}

/** At most twice as many as before, and no more than fit if they go on like this. */
export const nextFetch = (rows: number, bytes: number): number =>
  Math.max(1, Math.min(ROWS_MAX, rows * 2, Math.floor((rows * ROWS_BYTES_MAX) / bytes)));

/**
 * Makes the tables of these migrations in an empty database, and fills them in one transaction. No manager can
 * start on it meanwhile: it waits. Throws `target_not_empty` when there is anything in it but what the
 * migrations themselves put there.
 */
export async function fillPostgres(
  address: PostgresAddress,
  migrations: readonly string[],
): Promise<TableWriter> {
  const client = await connect(address);
  try {
    // Goes with the connection.
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const found = new PostgresTables(client);
    await requireNothingBut(found, migrations);
    await migrate(address, migrations);
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
    const tables = await found.tables();
    const names = tables.map(({ name }) => quoted(name)).join(', ');
    await client.query(`LOCK TABLE ${names} IN EXCLUSIVE MODE`);
    await requireUntouched(found, tables);
    const filling = new PostgresFilling(client);
    await filling.begin();
    return filling;
  } catch (error) {
    await client.end();
    throw asPostgresProblem(address, error);
  }
}

const notEmpty = (what: string): FleetError =>
  new FleetError('target_not_empty', `the PostgreSQL database is not empty: ${what}`);

/** Tables of others are left alone, and so is a Bellwether of another version. */
async function requireNothingBut(found: TableReader, migrations: readonly string[]): Promise<void> {
  const known = await found.migrations();
  if (known.length > 0 && known.join() !== migrations.join()) {
    throw notEmpty('it has the tables of another version of Bellwether');
  }
  if (known.length > 0) return;
  const row = await found.sql.get<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = current_schema() ORDER BY table_name LIMIT 1`,
  );
  if (row !== undefined) throw notEmpty(`it has a table ${row.name}`);
}

async function migrate(address: PostgresAddress, migrations: readonly string[]): Promise<void> {
  const wanted = MIGRATIONS.filter((one) => migrations.includes(new one().name));
  const source = new DataSource({ ...sourceOf(address, () => undefined), migrations: wanted });
  await source.initialize();
  try {
    await source.runMigrations();
  } finally {
    await source.destroy();
  }
}

/**
 * What is empty as long as no manager was ever on the database. Its first start writes a key and a token; rows
 * that migrations put into other tables are no loss.
 */
const OF_MANAGERS = ['api_tokens', 'audit_entries', 'master_keys', 'nodes', 'setup_token', 'users'];

async function requireUntouched(found: TableReader, tables: readonly Table[]): Promise<void> {
  for (const { name } of tables.filter((table) => OF_MANAGERS.includes(table.name))) {
    const row = await found.sql.get(`SELECT 1 AS one FROM ${quoted(name)} LIMIT 1`);
    if (row !== undefined) throw notEmpty(`there are rows in ${name}`);
  }
}

class PostgresFilling extends PostgresTables implements TableWriter {
  #restore: readonly string[] = [];

  /** Rows come in any order, so what one says of another is checked at the end, by making it anew. */
  async begin(): Promise<void> {
    const links = await this.sql.all<{ table: string; name: string; text: string }>(
      `SELECT conrelid::regclass::text AS table, conname AS name, pg_get_constraintdef(oid) AS text
       FROM pg_constraint
       WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY 1, 2`,
    );
    for (const { table, name } of links) {
      await this.client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${quoted(name)}`);
    }
    this.#restore = links.map(
      ({ table, name, text }) => `ALTER TABLE ${table} ADD CONSTRAINT ${quoted(name)} ${text}`,
    );
  }

  async insert(table: Table, rows: readonly Row[]): Promise<void> {
    const lists = table.columns.map((_, at) =>
      rows.map((row) => withoutNul(table, row)[at] ?? null),
    );
    const names = columnList(table);
    const places = table.columns.map(({ kind }, at) => `$${at + 1}::${ARRAY_OF[kind]}`).join(', ');
    try {
      await this.client.query({
        name: `insert ${table.name}`,
        text: `INSERT INTO ${quoted(table.name)} (${names}) SELECT * FROM unnest(${places})
               ${onConflict(table)}`,
        values: lists,
      });
    } catch (error) {
      // 22003: a number that an `integer` cannot hold. SQLite's has 64 bits.
      if (errorCode(error) !== '22003') throw error;
      const told = `${table.name}: a number that PostgreSQL cannot keep`;
      throw new FleetError('value_not_storable', told, { cause: error });
    }
  }

  async finish(): Promise<void> {
    for (const text of this.#restore) await this.client.query(text);
  }

  async commit(): Promise<void> {
    const { command } = await this.client.query('COMMIT');
    if (command !== 'COMMIT') throw new Error('the transaction was rolled back');
    // Not needed to be right; without it the first hours would be slow.
    await this.client.query('ANALYZE').catch(() => undefined);
  }
}
