import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeAuthority, type TestAuthority } from '../../../../test/support/certificates.js';
import { makeTempDir, silentLog } from '../../../../test/support/databases.js';
import { startPostgres, type PostgresServer } from '../../../../test/support/postgres.js';
import { loadConfig } from '../config/index.js';
import { openDatabase, postgresAddress } from './index.js';

let ours: TestAuthority;
let strangers: TestAuthority;
let server: PostgresServer;
const dir = makeTempDir();
const file = (name: string, text: string): string => {
  const path = join(dir.path, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};

beforeAll(async () => {
  ours = makeAuthority();
  strangers = makeAuthority();
  server = await startPostgres({ password: 'p@ss:w/rd', tls: ours.issue('DNS:localhost') });
}, 120_000);
afterAll(async () => {
  await server.stop();
  ours.remove();
  strangers.remove();
  dir.remove();
});

/** What a manager with this environment does: `ok` with TLS or without, or why it does not start. */
async function start(options: {
  readonly host?: string;
  readonly query?: string;
  readonly password?: string;
  readonly ca?: TestAuthority;
  readonly passwordFile?: string;
}): Promise<string> {
  const { host = 'localhost', query = '', password = 'p%40ss%3Aw%2Frd' } = options;
  const login = options.passwordFile === undefined ? `bellwether:${password}` : 'bellwether';
  const config = loadConfig({
    DATABASE_URL: `postgres://${login}@${host}:${server.port}/postgres${query}`,
    BELLWETHER_DATABASE_CA_FILE: options.ca?.caFile,
    BELLWETHER_DATABASE_PASSWORD_FILE: options.passwordFile,
  });
  const address = postgresAddress(config);
  try {
    const database = await openDatabase({
      ...address,
      url: address?.url ?? null,
      dataDir: '',
      log: silentLog,
    });
    const row = await database.read.get<{ ssl: boolean }>(
      'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    await database.close();
    return row?.ssl === true ? 'TLS' : 'plain';
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    expect(code).toBe('config_invalid');
    expect(message).not.toMatch(/p@ss|p%40ss|wr0ng/);
    return message;
  }
}

describe('PostgreSQL with TLS and a password', () => {
  it.each([
    ['an authority alone', ''],
    ['verify-full', '?sslmode=verify-full'],
    ['require, which asks for as much', '?sslmode=require'],
    ['verify-ca', '?sslmode=verify-ca'],
  ])('is used with %s', async (_, query) => {
    expect(await start({ ca: ours, query })).toBe('TLS');
  });

  it('takes authority and mode out of the address too, and the password out of a file', async () => {
    const query = `?sslmode=verify-full&sslrootcert=${encodeURIComponent(ours.caFile)}`;
    const passwordFile = file('password', 'p@ss:w/rd\n');
    expect(await start({ query, passwordFile })).toBe('TLS');
  });

  it.each(['', '?sslmode=verify-full', '?sslmode=require', '?sslmode=verify-ca'])(
    'is not used when another authority is given (%s)',
    async (query) => {
      expect(await start({ ca: strangers, query })).toMatch(
        /^DATABASE_URL: .+ cannot be used \(.+\); set BELLWETHER_DATABASE_CA_FILE to the authority/,
      );
    },
  );

  it('is not used when no authority is given: Node does not trust ours', async () => {
    expect(await start({ query: '?sslmode=verify-full' })).toMatch(
      /set BELLWETHER_DATABASE_CA_FILE/,
    );
  });

  it('is used by another name than its certificate has only with verify-ca', async () => {
    const host = '127.0.0.1';
    expect(await start({ host, ca: ours })).toMatch(/certificate is for another name/);
    expect(await start({ host, ca: ours, query: '?sslmode=verify-ca' })).toBe('TLS');
  });

  it('is not used without TLS, nor with a wrong password', async () => {
    expect(await start({ query: '?sslmode=disable' })).toMatch(
      /check host, database, user, password/,
    );
    expect(await start({ ca: ours, password: 'wr0ng' })).toMatch(/password authentication failed/);
  });
});

describe('an address of PostgreSQL', () => {
  const problem = (env: Record<string, string>): string => {
    try {
      loadConfig(env);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  it.each(['prefer', 'allow', 'no-verify', ''])('may not ask for sslmode=%s', (mode) => {
    expect(problem({ DATABASE_URL: `postgres://a@b/c?sslmode=${mode}` })).toMatch(
      /^DATABASE_URL: /,
    );
  });

  it('may have nothing that would be overlooked', () => {
    for (const query of ['application_name=x', 'sslmode=require&sslmode=disable', 'sslcert=x']) {
      expect(problem({ DATABASE_URL: `postgres://a@b/c?${query}` })).toMatch(/^DATABASE_URL: /);
    }
    expect(problem({ DATABASE_URL: 'postgres:///c?host=/run/postgresql' })).toBe('');
  });

  it('fits to the files that are given', () => {
    const url = 'postgres://a:b@c/d';
    expect(problem({ BELLWETHER_DATABASE_CA_FILE: '/x' })).toMatch(/DATABASE_URL is needed too/);
    expect(problem({ DATABASE_URL: url, BELLWETHER_DATABASE_PASSWORD_FILE: '/x' })).toMatch(
      /in DATABASE_URL already/,
    );
    expect(
      problem({ DATABASE_URL: `${url}?sslmode=disable`, BELLWETHER_DATABASE_CA_FILE: '/x' }),
    ).toMatch(/take sslmode=disable out/);
  });

  it.each([
    ['missing', null],
    ['empty', ''],
    ['of two lines', 'a\nb'],
  ])('needs a file with the password that is not %s', async (name, text) => {
    const passwordFile = text === null ? join(dir.path, 'none') : file(name, text);
    expect(await start({ ca: ours, passwordFile })).toMatch(/^BELLWETHER_DATABASE_PASSWORD_FILE: /);
  });
});
