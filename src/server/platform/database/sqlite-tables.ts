import { join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { DataSource } from 'typeorm';
import { MIGRATIONS } from '../../../../migrations/index.js';
import { invalidConfig } from '../config/index.js';
import type { Sql } from './sql.js';
import { SqliteConnection, SQLITE_FILE } from './sqlite-engine.js';
import {
  bytesOf,
  checkedRow,
  columnList,
  quoted,
  ROWS_BYTES_MAX,
  ROWS_MAX,
  type Column,
  type ColumnKind,
  type Row,
  type Table,
  type TableReader,
  type TableWriter,
} from './table-rows.js';

const BUSY_TIMEOUT_MS = 5_000;
const KINDS: Readonly<Record<string, ColumnKind>> = {
  TEXT: 'text',
  BIGINT: 'integer',
  INTEGER: 'integer',
  BLOB: 'bytes',
};

/**
 * The state of the database in this directory at this moment, also while a manager writes to it: it is read in
 * one transaction. Throws `config_invalid` when there is none.
 */
export async function readSqlite(dataDir: string): Promise<TableReader> {
  const path = join(dataDir, SQLITE_FILE);
  let raw: BetterSqlite3;
  try {
    // Not read-only: after a power cut only who may write can take in what lies in the write-ahead log.
    raw = new BetterSqlite3(path, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    raw.pragma('query_only = ON');
    raw.exec('BEGIN');
    raw.prepare('SELECT 1 FROM sqlite_master LIMIT 1').all();
  } catch (error) {
    const problem = `there is no database in ${path} that could be read`;
    throw invalidConfig([`BELLWETHER_DATA_DIR: ${problem}`], error);
  }
  return new SqliteTables(raw, () => {
    raw.close();
    return Promise.resolve();
  });
}

/** Reads what one connection sees. */
class SqliteTables implements TableReader {
  readonly kind = 'sqlite';
  readonly sql: Sql;

  constructor(
    protected readonly raw: BetterSqlite3,
    readonly close: () => Promise<void>,
  ) {
    this.sql = new SqliteConnection(raw);
  }

  async migrations(): Promise<readonly string[]> {
    const known = await this.sql.all<{ name: string }>(
      `SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'migrations'`,
    );
    if (known.length === 0) return [];
    const rows = await this.sql.all<{ name: string }>('SELECT name FROM migrations ORDER BY id');
    return rows.map(({ name }) => name);
  }

  async tables(): Promise<readonly Table[]> {
    const rows = await this.sql.all<{ name: string }>(
      `SELECT name FROM sqlite_master
       WHERE type = 'table' AND name <> 'migrations' AND name NOT LIKE 'sqlite_%' ORDER BY name`,
    );
    return await Promise.all(rows.map(({ name }) => this.#table(name)));
  }

  async #table(name: string): Promise<Table> {
    const found = await this.sql.all<{ name: string; type: string; pk: number }>(
      `SELECT name, type, pk FROM pragma_table_info(?) ORDER BY name`,
      [name],
    );
    const columns = found.map((column): Column => {
      const kind = KINDS[column.type.toUpperCase()];
      if (kind === undefined) throw new Error(`${name}.${column.name} is of an unknown type`);
      return { name: column.name, kind };
    });
    const key = found.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk);
    return { name, columns, key: key.map((column) => column.name) };
  }

  async count(table: Table): Promise<number> {
    const row = await this.sql.get<{ n: number }>(
      `SELECT COUNT(*) AS n FROM ${quoted(table.name)}`,
    );
    return row?.n ?? 0;
  }

  async *rows(table: Table): AsyncGenerator<readonly Row[]> {
    const order = table.key.map(quoted).join(', ');
    const text = `SELECT ${columnList(table)} FROM ${quoted(table.name)} ORDER BY ${order}`;
    let rows: Row[] = [];
    let bytes = 0;
    for (const row of this.raw.prepare(text).raw().iterate() as Iterable<Row>) {
      rows.push(checkedRow(table, row));
      bytes += bytesOf(row);
      if (rows.length < ROWS_MAX && bytes < ROWS_BYTES_MAX) continue;
      yield rows;
      rows = [];
      bytes = 0;
    }
    if (rows.length > 0) yield rows;
  }
}

/**
 * Makes a database in an empty directory, with the tables that these migrations make. Nobody else may have
 * the directory meanwhile.
 */
export async function fillSqlite(
  dataDir: string,
  migrations: readonly string[],
): Promise<TableWriter> {
  let raw: BetterSqlite3 | undefined;
  const source = new DataSource({
    type: 'better-sqlite3',
    database: join(dataDir, SQLITE_FILE),
    migrations: MIGRATIONS.filter((one) => migrations.includes(new one().name)),
    migrationsTransactionMode: 'each',
    timeout: BUSY_TIMEOUT_MS,
    prepareDatabase: (opened: BetterSqlite3) => {
      opened.pragma('journal_mode = WAL');
      // Nothing in it counts before `commit` has returned.
      opened.pragma('synchronous = OFF');
      raw = opened;
    },
  });
  await source.initialize();
  try {
    await source.runMigrations();
    if (raw === undefined) throw new Error('TypeORM opened no SQLite connection');
    raw.pragma('foreign_keys = OFF');
    raw.exec('BEGIN IMMEDIATE');
    return new SqliteFilling(raw, () => source.destroy());
  } catch (error) {
    await source.destroy();
    throw error;
  }
}

class SqliteFilling extends SqliteTables implements TableWriter {
  insert(table: Table, rows: readonly Row[]): Promise<void> {
    const statement = this.raw.prepare(
      `INSERT INTO ${quoted(table.name)} (${columnList(table)})
       VALUES (${table.columns.map(() => '?').join(', ')}) ${onConflict(table)}`,
    );
    for (const row of rows) statement.run(row);
    return Promise.resolve();
  }

  async finish(): Promise<void> {
    const broken = await this.sql.all<{ table: string }>('PRAGMA foreign_key_check');
    if (broken.length > 0)
      throw new Error(`rows of ${broken[0]?.table} name rows that are not there`);
  }

  commit(): Promise<void> {
    this.raw.exec('COMMIT');
    this.raw.pragma('synchronous = FULL');
    this.raw.pragma('wal_checkpoint(TRUNCATE)');
    return Promise.resolve();
  }
}

/** A row that a migration put there is replaced: it is an older state of the same. */
export function onConflict({ columns, key }: Table): string {
  const others = columns.filter(({ name }) => !key.includes(name)).map(({ name }) => quoted(name));
  const set = others.map((name) => `${name} = excluded.${name}`).join(', ');
  return `ON CONFLICT (${key.map(quoted).join(', ')}) DO ${set === '' ? 'NOTHING' : `UPDATE SET ${set}`}`;
}
