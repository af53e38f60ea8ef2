import { authorityIn, secretIn, type Config } from '../config/index.js';

/** What there is to know besides the address of Redis. */
export interface RedisLogin {
  /** In place of the one in the address. */
  readonly password: string | null;
  /** `host:port` of whom to ask where Redis is; none: the address says it. */
  readonly sentinels: readonly string[];
  readonly sentinelPassword: string | null;
}

export const NO_LOGIN: RedisLogin = { password: null, sentinels: [], sentinelPassword: null };

/** A Redis, as the operator told it. */
export interface RedisServer {
  readonly url: string;
  /** Whom to trust when it speaks TLS; null: whom Node trusts. */
  readonly ca: string | null;
  readonly login: RedisLogin;
  /** Before every key and channel. */
  readonly prefix: string;
}

export type RedisConfig = Pick<
  Config,
  | 'redisUrl'
  | 'redisPrefix'
  | 'redisCaFile'
  | 'redisPasswordFile'
  | 'redisSentinels'
  | 'redisSentinelPasswordFile'
>;

/**
 * Reads the files. Null: there is no Redis. Throws FleetError `config_invalid` when one cannot be used; the
 * password is in no message.
 */
export function redisOf(config: RedisConfig): RedisServer | null {
  const { redisUrl: url, redisPrefix: prefix, redisCaFile } = config;
  if (url === null) return null;
  return {
    url,
    ca: redisCaFile === null ? null : authorityIn(redisCaFile, 'BELLWETHER_REDIS_CA_FILE'),
    login: loginIn(config),
    prefix,
  };
}

function loginIn(config: RedisConfig): RedisLogin {
  const secretOf = (file: string | null, variable: string): string | null =>
    file === null ? null : secretIn(file, variable);
  return {
    password: secretOf(config.redisPasswordFile, 'BELLWETHER_REDIS_PASSWORD_FILE'),
    sentinels: config.redisSentinels,
    sentinelPassword: secretOf(
      config.redisSentinelPasswordFile,
      'BELLWETHER_REDIS_SENTINEL_PASSWORD_FILE',
    ),
  };
}
