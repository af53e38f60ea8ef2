import { accessSync, constants, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { FleetError } from '../../../core/kernel/index.js';
import { invalidConfig } from '../config/index.js';
import { Database } from './database.js';
import { errorCode } from './engine.js';
import { tlsAdvice, type PostgresAddress } from './postgres-address.js';
import { openPostgres } from './postgres-engine.js';
import { lockDataDir, openSqlite } from './sqlite-engine.js';

/** Several addresses of one host fail with an empty message: then the code says more. */
const textOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)) || errorCode(error);

/** Makes the data directory if it is missing. Throws `config_invalid` when it cannot be written. */
export function prepareDataDir(dataDir: string): string {
  const path = resolve(dataDir);
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw invalidConfig(
      [
        `BELLWETHER_DATA_DIR: the directory ${path} cannot be written (${errorCode(error)}); ` +
          'give the manager its own directory, or change its owner',
      ],
      error,
    );
  }
  return path;
}

/**
 * Opens the database and brings it to the newest schema. `url` null means SQLite in `dataDir`,
 * which is then held by this process alone. Throws FleetError `config_invalid` when it cannot be
 * opened; no password is in the message.
 */
export async function openDatabase(options: {
  readonly url: string | null;
  readonly passwordFile?: string | null;
  readonly caFile?: string | null;
  readonly dataDir: string;
  readonly log: Logger;
}): Promise<Database> {
  const { url, passwordFile = null, caFile = null, log } = options;
  if (url === null) return await onSqlite(options.dataDir, log);
  return await onPostgres({ url, passwordFile, caFile }, log);
}

/** Holds the directory for this process alone. Throws `config_invalid` when another one has it. */
export function holdDataDir(path: string): { release(): void } {
  try {
    return lockDataDir(path);
  } catch (error) {
    const problem =
      errorCode(error) === 'SQLITE_BUSY'
        ? `another manager is using ${path}; stop it, or give this one its own directory`
        : `the directory ${path} cannot be used (${textOf(error)}); look at its owner and its disk`;
    throw invalidConfig([`BELLWETHER_DATA_DIR: ${problem}`], error);
  }
}

async function onSqlite(dataDir: string, log: Logger): Promise<Database> {
  const path = prepareDataDir(dataDir);
  const lock = holdDataDir(path);
  try {
    const engine = await openSqlite(path);
    const held = lock;
    const closing = engine.close.bind(engine);
    engine.close = async () => {
      await closing();
      held.release();
    };
    return new Database(engine, log);
  } catch (error) {
    lock.release();
    throw invalidConfig(
      [
        `BELLWETHER_DATA_DIR: the database in ${path} cannot be opened (${textOf(error)}); ` +
          'look at the disk, or restore a backup',
      ],
      error,
    );
  }
}

async function onPostgres(address: PostgresAddress, log: Logger): Promise<Database> {
  try {
    const engine = await openPostgres(address, (error) => {
      log.warn({ err: error }, 'an idle database connection was lost');
    });
    return new Database(engine, log);
  } catch (error) {
    throw asPostgresProblem(address, error);
  }
}

/** Why a start or a command ends here: `config_invalid`, without the password. */
export function asPostgresProblem({ url }: PostgresAddress, error: unknown): unknown {
  if (error instanceof FleetError) return error;
  const advice =
    tlsAdvice(errorCode(error)) ??
    'check host, database, user, password and that the user may create tables';
  const { host } = new URL(url);
  return invalidConfig(
    [`DATABASE_URL: PostgreSQL at ${host} cannot be used (${textOf(error)}); ${advice}`],
    error,
  );
}
