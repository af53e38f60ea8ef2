import type { Logger } from 'pino';
import type { Config } from '../config/index.js';
import { authorityIn } from '../redis/authority.js';
import { redisLogin } from '../redis/login.js';
import type { Clock } from '../tokens.js';
import { InProcessWakeups } from './in-process.js';
import type { Wakeups } from './wakeups.port.js';

type RedisConfig = Parameters<typeof redisLogin>[0] &
  Pick<Config, 'redisUrl' | 'redisPrefix' | 'redisCaFile'>;

/**
 * On Redis when it is configured, else in this process. Does not wait for Redis: a manager starts
 * without it and says so, and the sweep does what alarms would have done. Throws FleetError
 * `config_invalid` when the certificates that it should trust cannot be read.
 */
export async function openWakeups(
  config: RedisConfig,
  clock: Clock,
  log: Logger,
): Promise<Wakeups> {
  const now = (): number => clock.now();
  const { redisUrl: url, redisPrefix: prefix, redisCaFile } = config;
  if (url === null) return new InProcessWakeups(now, log);
  const ca = authorityIn(redisCaFile);
  const login = redisLogin(config);
  // Loaded only here: a manager without Redis need not pay for it at its start.
  const { BullMqWakeups } = await import('./bullmq.js');
  return new BullMqWakeups({ url, ca, login, prefix, now, log });
}
