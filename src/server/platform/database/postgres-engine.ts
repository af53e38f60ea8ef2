import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { MIGRATIONS } from '../../../../migrations/index.js';
import { errorCode, type Engine, type EngineTx } from './engine.js';
import { loginOf, type PostgresAddress } from './postgres-address.js';
import type { Sql, SqlValue } from './sql.js';
import { Turns } from './turns.js';

/** Several managers may share one server with the usual limit of 100 connections. */
const POOL_SIZE = 12;
/** The rest is for reads: transactions wait for each other's rows, and what only reads must not wait with them. */
const TRANSACTIONS_MAX = 8;
const CONNECT_TIMEOUT_MS = 5_000;
/** After so much silence a connection is asked whether anybody is there; Linux gives up ten seconds later. */
const KEEPALIVE_AFTER_MS = 10_000;

/** When a manager, or the server, is taken for gone. */
export interface Limits {
  /**
   * A manager that stands still in the middle of a transaction is cut off by the server: all others wait for what it has locked.
   * A busy one comes round within some seconds.
   */
  readonly idleMs: number;
  /**
   * A statement that gets no answer is given up, and its connection with it: a network that drops what is sent is noticed by
   * TCP after a quarter of an hour only. No statement of ours takes seconds.
   */
  readonly answerMs: number;
}
const LIMITS: Limits = { idleMs: 15_000, answerMs: 60_000 };

/** Any number, as long as every Bellwether takes the same: one migrates, the others wait. */
export const MIGRATION_LOCK = 7_301_958;

/** The class of all our other advisory locks. */
const LOCKS = 7_301_959;

const INT8_OID = 20;
const NUMERIC_OID = 1_700;

/** `bigint` and `sum(bigint)` come as numbers, as on SQLite; ours stay far below 2^53. */
function asNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new RangeError(`the number ${text} from the database is too large`);
  }
  return value;
}

type ParserOf = (oid: number, format?: 'text' | 'binary') => (text: string) => unknown;

export const getTypeParser = ((oid: number, format?: 'text' | 'binary') =>
  oid === INT8_OID || oid === NUMERIC_OID
    ? asNumber
    : (pg.types.getTypeParser as ParserOf)(
        oid,
        format,
      )) as ParserOf as typeof pg.types.getTypeParser;

const translations = new Map<string, string>();

/** `?` to `$1`, `$2`, …; kept, since the texts are few. */
export function numbered(sql: string): string {
  let text = translations.get(sql);
  if (text === undefined) {
    let position = 0;
    text = sql.replace(/\?/g, () => `$${(position += 1)}`);
    if (translations.size >= 2_000) translations.clear();
    translations.set(sql, text);
  }
  return text;
}

/** PostgreSQL takes no NUL in a text. A node that writes one into its events must not be stuck with them. */
const storable = (value: SqlValue): SqlValue =>
  typeof value === 'string' && value.includes('\u0000')
    ? value.replaceAll('\u0000', '\ufffd')
    : value;

type Queryable = Pick<pg.ClientBase, 'query'>;

/** A query of `pg`; its types do not know of a limit for one alone. */
interface Limited extends pg.QueryConfig {
  readonly query_timeout?: number;
}

/** Statements wait for their answer for as long as it takes when no limit is given. */
export const sqlOf = (client: Queryable, answerMs?: number): Sql => {
  const limit = answerMs === undefined ? {} : { query_timeout: answerMs };
  const query = async (text: string, params: readonly SqlValue[] = []): Promise<pg.QueryResult> => {
    const asked: Limited = { text: numbered(text), values: params.map(storable), ...limit };
    return await client.query(asked);
  };
  return {
    all: async <Row>(sql: string, params?: readonly SqlValue[]) =>
      (await query(sql, params)).rows as Row[],
    get: async <Row>(sql: string, params?: readonly SqlValue[]) =>
      (await query(sql, params)).rows[0] as Row | undefined,
    run: async (sql, params) => (await query(sql, params)).rowCount ?? 0,
  };
};

/** PostgreSQL takes 65 535 values in a statement. */
const VALUES_PER_INSERT = 8_192;

/** As few statements as may be, and all of them at once: others mostly wait for what is locked. */
async function insertRows(
  sql: Sql,
  into: string,
  rows: readonly (readonly SqlValue[])[],
): Promise<void> {
  const [first] = rows;
  if (first === undefined) return;
  const one = `(${first.map(() => '?').join(', ')})`;
  const most = Math.max(1, Math.floor(VALUES_PER_INSERT / first.length));
  const sent: Promise<number>[] = [];
  for (let done = 0; done < rows.length; done += most) {
    const some = rows.slice(done, done + most);
    const text = `INSERT INTO ${into} VALUES ${Array.from(some, () => one).join(', ')}`;
    sent.push(sql.run(text, some.flat()));
  }
  await Promise.all(sent);
}

/** How TypeORM is to connect. It reads no `sslmode` out of an address, so it is given the parts. */
export function sourceOf(
  address: PostgresAddress,
  onPoolError: (error: unknown) => void,
): DataSourceOptions {
  const { user, ...login } = loginOf(address);
  return {
    type: 'postgres',
    host: login.host,
    port: login.port,
    username: user,
    ...(login.password === undefined ? {} : { password: login.password }),
    database: login.database,
    ssl: login.ssl,
    migrations: MIGRATIONS,
    migrationsTransactionMode: 'each',
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    poolSize: POOL_SIZE,
    applicationName: 'bellwether',
    // We ask for no extension: the right to create one is often not given.
    installExtensions: false,
    poolErrorHandler: onPoolError,
    extra: {
      types: { getTypeParser },
      // What is asked without waiting for the answer before goes to the server at once.
      pipeline: true,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEPALIVE_AFTER_MS,
    },
  };
}

/** Connects and migrates; a second manager that starts meanwhile waits for the first. */
export async function openPostgres(
  address: PostgresAddress,
  onPoolError: (error: unknown) => void,
  limits = LIMITS,
): Promise<Engine> {
  const source = new DataSource(sourceOf(address, onPoolError));
  await source.initialize();
  try {
    const pool = (source.driver as unknown as { readonly master: pg.Pool }).master;
    await migrate(source, pool);
    return new PostgresEngine(source, pool, limits);
  } catch (error) {
    await source.destroy();
    throw error;
  }
}

/**
 * A connection of its own. The pool listens for errors of idle connections only: without a
 * listener here, a server that goes away between two statements would end the process.
 */
async function borrow(pool: pg.Pool): Promise<{
  readonly client: pg.PoolClient;
  readonly giveBack: (state: 'sound' | 'broken') => void;
}> {
  const client = await pool.connect();
  // The statement under way, or the next one, fails by itself and tells whoever waits for it.
  const ignore = (): void => undefined;
  client.on('error', ignore);
  const giveBack = (state: 'sound' | 'broken'): void => {
    // A broken one keeps its listener: its last error may still be on the way.
    if (state === 'sound') client.off('error', ignore);
    client.release(state === 'broken');
  };
  return { client, giveBack };
}

async function migrate(source: DataSource, pool: pg.Pool): Promise<void> {
  const { client, giveBack } = await borrow(pool);
  try {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await source.runMigrations();
    await client.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
    giveBack('sound');
  } catch (error) {
    // The lock goes with its connection.
    giveBack('broken');
    throw error;
  }
}

/** A server that is there rolls back at once; else the end of the connection does. */
const ROLLBACK_TIMEOUT_MS = 5_000;

/** serialization_failure and deadlock_detected: the server undid everything, so ask again. */
const RETRYABLE = new Set(['40001', '40P01']);

/** SQLSTATE classes 08, 53, 57 and 58 (connection, resources, operator, system), or no server; 25P03: it cut us off. */
const OUTAGE = /^((08|53|57|58)...|25006|25P03|ECONN.*|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/;
/** The driver gives these without a code. */
const LOST =
  /Connection terminated|timeout exceeded when trying to connect|not queryable|Query read timeout/;

/** Until the signal; ends by itself with the connection. */
async function beat(sql: Sql, everyMs: number, signal: AbortSignal): Promise<void> {
  try {
    for (;;) {
      await sleep(everyMs, undefined, { signal });
      await sql.get('SELECT 1 AS one');
    }
  } catch {
    // The lock is free, or gone with its connection: whoever frees it notices.
  }
}

class PostgresEngine implements Engine {
  readonly kind = 'postgres';
  readonly read: Sql;
  readonly #source: DataSource;
  readonly #pool: pg.Pool;
  readonly #limits: Limits;
  readonly #turns = new Turns(TRANSACTIONS_MAX);

  constructor(source: DataSource, pool: pg.Pool, limits: Limits) {
    this.#source = source;
    this.#pool = pool;
    this.#limits = limits;
    this.read = sqlOf(pool, limits.answerMs);
  }

  async begin(): Promise<EngineTx> {
    const done = await this.#turns.take();
    try {
      return await this.#begin(done);
    } catch (error) {
      done();
      throw error;
    }
  }

  async #begin(ended: () => void): Promise<EngineTx> {
    const { idleMs, answerMs } = this.#limits;
    const { client, giveBack: release } = await borrow(this.#pool);
    const sql = sqlOf(client, answerMs);
    const giveBack = (state: 'sound' | 'broken'): void => {
      release(state);
      ended();
    };
    try {
      // Both in one way to the server. Not a setting of the connection: a proxy between us may know no such setting.
      await sql.run(
        `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = ${idleMs}`,
      );
    } catch (error) {
      release('broken');
      throw error;
    }
    return {
      ...sql,
      insertRows: (into, rows) => insertRows(sql, into, rows),
      commit: async () => {
        const asked: Limited = { text: 'COMMIT', query_timeout: answerMs };
        const { command } = await client.query(asked);
        // PostgreSQL answers COMMIT of a broken transaction with ROLLBACK and no error.
        if (command !== 'COMMIT') throw new Error('the transaction was rolled back');
        giveBack('sound');
      },
      rollback: async () => {
        try {
          const asked: Limited = { text: 'ROLLBACK', query_timeout: ROLLBACK_TIMEOUT_MS };
          await client.query(asked);
          giveBack('sound');
        } catch {
          giveBack('broken');
        }
      },
    };
  }

  /**
   * It takes a connection of the pool for as long; when that is lost, so is the lock. Whoever holds it tells the server that it is
   * still there; of one that stands still the server takes it away (PostgreSQL 14 and newer).
   */
  async lock(key: number): Promise<() => Promise<void>> {
    const { idleMs, answerMs } = this.#limits;
    const { client, giveBack } = await borrow(this.#pool);
    const sql = sqlOf(client, answerMs);
    try {
      // As long as others need it: without a limit.
      await client.query('SELECT pg_advisory_lock($1, $2)', [LOCKS, key]);
      await sql.run(`SET idle_session_timeout = ${idleMs}`).catch(() => undefined);
    } catch (error) {
      giveBack('broken');
      throw error;
    }
    const holding = new AbortController();
    const beating = beat(sql, idleMs / 3, holding.signal);
    return async () => {
      holding.abort();
      await beating;
      await sql.run('RESET idle_session_timeout').catch(() => undefined);
      await sql.run('SELECT pg_advisory_unlock(?, ?)', [LOCKS, key]).then(
        () => giveBack('sound'),
        () => giveBack('broken'),
      );
    };
  }

  isRetryable(error: unknown): boolean {
    return RETRYABLE.has(errorCode(error));
  }

  isOutage(error: unknown): boolean {
    return OUTAGE.test(errorCode(error)) || LOST.test(String(error));
  }

  async close(): Promise<void> {
    await this.#source.destroy();
  }
}
