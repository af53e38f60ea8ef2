import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../../../test/support/databases.js';
import { startTestManager } from '../../../../test/support/manager.js';
import { freshPrefix, redisUrl, startRedis } from '../../../../test/support/redis.js';
import { loadConfig } from '../index.js';
import { BullMqWakeups } from './bullmq.js';
import { InProcessWakeups, openWakeups } from './index.js';

const clock = { now: (): number => Date.now() };

describe('the wake-ups of a manager', () => {
  it('are timers of its process, unless Redis is configured', async () => {
    const timers = await openWakeups(loadConfig({}), clock, silentLog);
    expect(timers).toBeInstanceOf(InProcessWakeups);
    const env = { REDIS_URL: redisUrl(), BELLWETHER_REDIS_PREFIX: freshPrefix() };
    const inRedis = await openWakeups(loadConfig(env), clock, silentLog);
    expect(inRedis).toBeInstanceOf(BullMqWakeups);
    await inRedis.close();
  });

  it('are on the queue of its prefix', async () => {
    const redis = await startRedis();
    const env = { REDIS_URL: redis.url, BELLWETHER_REDIS_PREFIX: 'north' };
    const { stop } = await startTestManager(env);
    try {
      // What a queue writes first is what it is made of.
      for (let waited = 0; waited < 5_000; waited += 50) {
        if ((await redis.command('EXISTS', 'north:wakeups:meta')) === 1) break;
        await sleep(50);
      }
      expect(await redis.command('EXISTS', 'north:wakeups:meta')).toBe(1);
    } finally {
      await stop();
      await redis.stop();
    }
  });

  it('do not keep it from starting, serving and stopping when Redis is away', async () => {
    const redis = await startRedis();
    await redis.stop();
    const manager = await startTestManager({ REDIS_URL: redis.url });
    expect((await manager.call('nodes.list')).status).toBe(200);
    const startedAt = performance.now();
    await manager.stop();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});
