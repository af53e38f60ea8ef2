import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { invalidConfig, type Config } from '../config/index.js';
import type { Clock } from '../tokens.js';
import { InProcessWakeups } from './in-process.js';
import type { Wakeups } from './wakeups.port.js';

/**
 * On Redis when it is configured, else in this process. Does not wait for Redis: a manager starts
 * without it and says so, and the sweep does what alarms would have done. Throws FleetError
 * `config_invalid` when the certificates that it should trust cannot be read.
 */
export async function openWakeups(
  config: Pick<Config, 'redisUrl' | 'redisPrefix' | 'redisCaFile'>,
  clock: Clock,
  log: Logger,
): Promise<Wakeups> {
  const now = (): number => clock.now();
  const { redisUrl: url, redisPrefix: prefix, redisCaFile } = config;
  if (url === null) return new InProcessWakeups(now, log);
  const ca = redisCaFile === null ? null : authorityIn(redisCaFile);
  // Loaded only here: a manager without Redis need not pay for it at its start.
  const { BullMqWakeups } = await import('./bullmq.js');
  return new BullMqWakeups({ url, ca, prefix, now, log });
}

/** TLS would take a file without a certificate in silence, and then trust nobody. */
function authorityIn(file: string): string {
  try {
    const pem = readFileSync(file, 'utf8');
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    const problem = `${file} is no readable file with a certificate in PEM`;
    throw invalidConfig([`BELLWETHER_REDIS_CA_FILE: ${problem}`], error);
  }
}
