import type { Config } from '../config/index.js';
import { secretIn } from '../database/index.js';

/** What there is to know besides the address of Redis. */
export interface RedisLogin {
  /** In place of the one in the address. */
  readonly password: string | null;
  /** `host:port` of whom to ask where Redis is; none: the address says it. */
  readonly sentinels: readonly string[];
  readonly sentinelPassword: string | null;
}

export const NO_LOGIN: RedisLogin = { password: null, sentinels: [], sentinelPassword: null };

type RedisFiles = Pick<
  Config,
  'redisPasswordFile' | 'redisSentinels' | 'redisSentinelPasswordFile'
>;

/** Reads the files. Throws FleetError `config_invalid` when one cannot be used; the password is in no message. */
export function redisLogin(config: RedisFiles): RedisLogin {
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
