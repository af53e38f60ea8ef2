import type { Logger } from 'pino';
import type { Config } from '../config/index.js';
import { redisOf } from '../redis/login.js';
import type { Bus } from './bus.port.js';
import { LocalBus } from './local.js';

/**
 * Over Redis when there can be several managers, that is on PostgreSQL, and Redis is configured; else there is
 * nobody to tell. Does not wait for Redis. Throws FleetError `config_invalid` as `openWakeups` does.
 */
export async function openBus(config: Config, log: Logger): Promise<Bus> {
  const redis = config.databaseUrl === null ? null : redisOf(config);
  if (redis === null) return new LocalBus();
  const { RedisBus } = await import('./redis.js');
  return new RedisBus({ ...redis, log });
}
