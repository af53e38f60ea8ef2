import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { BullMqWakeups } from '../../src/server/platform/queue/bullmq.js';
import { InProcessWakeups } from '../../src/server/platform/queue/index.js';
import { silentLog } from '../support/databases.js';
import { freshPrefix, redisUrl } from '../support/redis.js';
import { describeWakeups } from './wakeups.contract.js';

describeWakeups('in process', () => new InProcessWakeups(() => Date.now(), silentLog));

describeWakeups('BullMQ', () => {
  const now = (): number => Date.now();
  return new BullMqWakeups({ url: redisUrl(), prefix: freshPrefix(), now, log: silentLog });
});

it('wake-ups in process follow the clock they were given, not their timers', async () => {
  let offsetMs = 0;
  const wakeups = new InProcessWakeups(() => Date.now() + offsetMs, silentLog);
  const rings: string[] = [];
  wakeups.onWake(async (id) => void rings.push(id));
  wakeups.arm('rol_a', Date.now() + 100);
  // Somebody sets the clock back: the timer ends before the time has come.
  offsetMs = -200;
  await sleep(200);
  expect(rings).toEqual([]);
  await sleep(250);
  expect(rings).toEqual(['rol_a']);
  await wakeups.close();
});

it('wake-ups in process take one handler', () => {
  const wakeups = new InProcessWakeups(() => Date.now(), silentLog);
  wakeups.onWake(() => Promise.resolve());
  expect(() => wakeups.onWake(() => Promise.resolve())).toThrow(/twice/);
});
