import type { Logger } from 'pino';
import { redisOf, type RedisConfig } from '../redis/login.js';
import type { Clock } from '../tokens.js';
import { InProcessWakeups } from './in-process.js';
import type { Wakeups } from './wakeups.port.js';

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
  const redis = redisOf(config);
  if (redis === null) return new InProcessWakeups(now, log);
  // Loaded only here: a manager without Redis need not pay for it at its start.
  const { BullMqWakeups } = await import('./bullmq.js');
  return new BullMqWakeups({ ...redis, now, log });
}
