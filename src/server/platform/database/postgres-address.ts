import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { authorityIn, isUntrusted, secretIn, type Config } from '../config/index.js';

/** Where PostgreSQL is, as the operator told it. */
export interface PostgresAddress {
  /** `postgres://user:password@host:port/database?sslmode=verify-full`. */
  readonly url: string;
  /** A file that holds the password and nothing else; null: it is in the address, or there is none. */
  readonly passwordFile: string | null;
  /** Certificates (PEM) of whom to trust; null: whom Node trusts. */
  readonly caFile: string | null;
}

type PostgresTls = Pick<ConnectionOptions, 'servername' | 'checkServerIdentity'> & {
  readonly ca?: string;
};

/** Null: the database is SQLite. */
export const postgresAddress = (
  config: Pick<Config, 'databaseUrl' | 'databasePasswordFile' | 'databaseCaFile'>,
): PostgresAddress | null =>
  config.databaseUrl === null
    ? null
    : {
        url: config.databaseUrl,
        passwordFile: config.databasePasswordFile,
        caFile: config.databaseCaFile,
      };

/** What both the driver and TypeORM connect with. */
export interface PostgresLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  /** False: without TLS. */
  readonly ssl: false | PostgresTls;
}

const PORT = 5_432;

/**
 * How an `sslmode` is taken. Whoever stands between must not be able to choose, so `prefer` and `allow` are
 * refused; and a certificate that nobody checks proves nothing, so `require` asks for all that
 * `verify-full` does, which is more than libpq would.
 */
export const SSL_MODES = {
  disable: 'none',
  require: 'name',
  'verify-ca': 'authority',
  'verify-full': 'name',
} as const;

/**
 * Reads address and files. Throws FleetError `config_invalid` when a file cannot be used; the password is in
 * no message.
 */
export function loginOf({ url, passwordFile, caFile }: PostgresAddress): PostgresLogin {
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  const host = searchParams.get('host') ?? decodeURIComponent(hostname).replace(/^\[(.*)\]$/, '$1');
  const user = decodeURIComponent(username);
  const authority = caFile ?? searchParams.get('sslrootcert');
  const mode = searchParams.get('sslmode') ?? (authority === null ? 'disable' : 'verify-full');
  const checks = SSL_MODES[mode as keyof typeof SSL_MODES];
  const given = password === '' ? undefined : decodeURIComponent(password);
  return {
    host,
    port: Number(port || PORT),
    user,
    password:
      passwordFile === null ? given : secretIn(passwordFile, 'BELLWETHER_DATABASE_PASSWORD_FILE'),
    database: decodeURIComponent(pathname.slice(1)) || user,
    ssl: checks === 'none' ? false : tlsOf(host, checks, authority),
  };
}

const tlsOf = (host: string, checks: 'name' | 'authority', caFile: string | null): PostgresTls => ({
  ...(caFile === null ? {} : { ca: authorityIn(caFile, 'BELLWETHER_DATABASE_CA_FILE') }),
  ...(isIP(host) === 0 ? { servername: host } : {}),
  ...(checks === 'authority' ? { checkServerIdentity: () => undefined } : {}),
});

/** What to do about an error of TLS; null: it was none. */
export function tlsAdvice(code: string): string | null {
  if (isUntrusted(code)) {
    return 'set BELLWETHER_DATABASE_CA_FILE to the authority that issued its certificate';
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'its certificate is for another name: reach it by a name that is in it';
  }
  return code === 'CERT_HAS_EXPIRED' ? 'its certificate has expired: renew it' : null;
}
