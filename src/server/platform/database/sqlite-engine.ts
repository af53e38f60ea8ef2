import { join } from 'node:path';
import BetterSqlite3, { type Statement } from 'better-sqlite3';
import { DataSource } from 'typeorm';
import { MIGRATIONS } from '../../../../migrations/index.js';
import { errorCode, type Engine, type EngineTx } from './engine.js';
import type { Sql, SqlValue } from './sql.js';
import { Turns } from './turns.js';
import { RowInserts } from './sqlite-rows.js';

/** How long a statement waits for a lock: only a backup tool could hold one, briefly. */
const BUSY_TIMEOUT_MS = 5_000;
/** Far above the number of SQL texts that we have; it only bounds texts built from lists. */
const STATEMENTS_MAX = 500;

export const SQLITE_FILE = 'bellwether.db';
const LOCK_FILE = 'manager.lock';

/** Statements of one connection, prepared once and kept. */
export class SqliteConnection implements Sql {
  readonly #raw: BetterSqlite3;
  readonly #statements = new Map<string, Statement>();
  /** One for each table that rows are put into in bulk. */
  readonly #inserts = new Map<string, RowInserts>();

  constructor(raw: BetterSqlite3) {
    this.#raw = raw;
  }

  async all<Row>(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    const statement = this.#prepared(sql);
    if (statement.reader) return statement.all(...bound(params)) as Row[];
    statement.run(...bound(params));
    return [];
  }

  async get<Row>(sql: string, params: readonly SqlValue[] = []): Promise<Row | undefined> {
    // Not `Statement.get`: it stops at the first row, and so would a RETURNING half way.
    const rows = await this.all<Row>(sql, params);
    return rows[0];
  }

  async run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    const statement = this.#prepared(sql);
    if (statement.reader) return statement.all(...bound(params)).length;
    return statement.run(...bound(params)).changes;
  }

  async insertRows(
    into: string,
    rows: readonly (readonly SqlValue[])[],
    alike: readonly number[] = [],
  ): Promise<void> {
    const [first] = rows;
    if (first === undefined) return;
    const key = `${into} ${alike.join(' ')}`;
    const inserts = this.#inserts.get(key) ?? new RowInserts(into, first.length, alike);
    this.#inserts.set(key, inserts);
    for (const { sql, params } of inserts.of(rows)) this.#prepared(sql).run(params);
  }

  #prepared(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#raw.prepare(sql);
    const oldest = this.#statements.keys().next().value;
    if (this.#statements.size >= STATEMENTS_MAX && oldest !== undefined) {
      this.#statements.delete(oldest);
    }
    this.#statements.set(sql, statement);
    return statement;
  }
}

const bound = (params: readonly SqlValue[]): unknown[] =>
  params.map((value) =>
    value instanceof Uint8Array && !Buffer.isBuffer(value)
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : value,
  );

/**
 * Takes the data directory for this process, or throws the SQLITE_BUSY of another one. The lock is
 * an open exclusive transaction on an empty file: the kernel frees it when the process dies, in
 * whatever way, so a crash never leaves a stale lock behind.
 */
export function lockDataDir(dataDir: string): { release(): void } {
  const raw = new BetterSqlite3(join(dataDir, LOCK_FILE), { timeout: 0 });
  try {
    raw.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    raw.close();
    throw error;
  }
  return { release: () => void raw.close() };
}

/** Opens and migrates the file. Two connections: one that writes, one that can only read. */
export async function openSqlite(dataDir: string): Promise<Engine> {
  const path = join(dataDir, SQLITE_FILE);
  let writer: BetterSqlite3 | undefined;
  const source = new DataSource({
    type: 'better-sqlite3',
    database: path,
    migrations: MIGRATIONS,
    migrationsTransactionMode: 'each',
    timeout: BUSY_TIMEOUT_MS,
    prepareDatabase: (raw: BetterSqlite3) => {
      raw.pragma('journal_mode = WAL');
      // FULL: what was acknowledged to a node survives a power cut.
      raw.pragma('synchronous = FULL');
      writer = raw;
    },
  });
  await source.initialize();
  try {
    await source.runMigrations();
    if (writer === undefined) throw new Error('TypeORM opened no SQLite connection');
    writer.pragma('foreign_keys = ON');
    return new SqliteEngine(
      source,
      writer,
      new BetterSqlite3(path, { readonly: true, timeout: BUSY_TIMEOUT_MS }),
    );
  } catch (error) {
    await source.destroy();
    throw error;
  }
}

/** A full, failing, read-only or locked disk: the request was right, the world was not. */
const OUTAGE = /^SQLITE_(FULL|IOERR|READONLY|BUSY|CANTOPEN)/;

class SqliteEngine implements Engine {
  readonly kind = 'sqlite';
  readonly read: Sql;
  readonly #source: DataSource;
  readonly #raw: BetterSqlite3;
  readonly #rawReader: BetterSqlite3;
  readonly #writer: SqliteConnection;
  /** One writer. */
  readonly #turns = new Turns(1);

  constructor(source: DataSource, writer: BetterSqlite3, reader: BetterSqlite3) {
    this.#source = source;
    this.#raw = writer;
    this.#rawReader = reader;
    this.#writer = new SqliteConnection(writer);
    this.read = new SqliteConnection(reader);
  }

  async begin(): Promise<EngineTx> {
    const done = await this.#turns.take();
    const connection = this.#writer;
    const raw = this.#raw;
    try {
      await connection.run('BEGIN IMMEDIATE');
    } catch (error) {
      done();
      throw error;
    }
    return {
      all: (sql, params) => connection.all(sql, params),
      get: (sql, params) => connection.get(sql, params),
      run: (sql, params) => connection.run(sql, params),
      insertRows: (into, rows, alike) => connection.insertRows(into, rows, alike),
      commit: async () => {
        // A failed COMMIT leaves the transaction open and the turn taken: `rollback` follows.
        await connection.run('COMMIT');
        done();
      },
      rollback: async () => {
        try {
          // A full disk rolls back by itself; then there is nothing left to do.
          if (raw.inTransaction) raw.exec('ROLLBACK');
        } catch {
          // The connection is beyond use; the next BEGIN will say so.
        } finally {
          done();
        }
      },
    };
  }

  /** There is one process, and it has lines of its own. */
  async lock(): Promise<() => Promise<void>> {
    return () => Promise.resolve();
  }

  isRetryable(): boolean {
    return false;
  }

  isOutage(error: unknown): boolean {
    return OUTAGE.test(errorCode(error));
  }

  async close(): Promise<void> {
    // The reader first: the last connection to go writes the WAL back, and it must be able to.
    this.#rawReader.close();
    await this.#source.destroy();
  }
}
