import type { Logger } from 'pino';
import type { Config } from '../config/index.js';
import { authorityIn } from '../redis/authority.js';
import { redisLogin } from '../redis/login.js';
import type { Bus } from './bus.port.js';
import { LocalBus } from './local.js';

/**
 * Over Redis when there can be several managers, that is on PostgreSQL, and Redis is configured; else there is
 * nobody to tell. Does not wait for Redis. Throws FleetError `config_invalid` as `openWakeups` does.
 */
export async function openBus(config: Config, log: Logger): Promise<Bus> {
  const { databaseUrl, redisUrl: url, redisPrefix: prefix, redisCaFile } = config;
  if (url === null || databaseUrl === null) return new LocalBus();
  const ca = authorityIn(redisCaFile);
  const login = redisLogin(config);
  const { RedisBus } = await import('./redis.js');
  return new RedisBus({ url, ca, login, prefix, log });
}
