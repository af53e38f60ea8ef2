import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { allHear } from '../../../../test/support/several/buses.js';
import { silentLog } from '../../../../test/support/databases.js';
import { freshPrefix, startRedis, type RedisServer } from '../../../../test/support/redis.js';
import { meters } from '../telemetry/index.js';
import { RedisBus } from './redis.js';
import { IDS_MAX, MESSAGE_BYTES_MAX, read, write } from './topics.js';

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Two managers on a Redis of their own, and what the second one hears. */
async function pair(more: { readonly heardPerSecondMax?: number } = {}) {
  const redis = await startRedis();
  cleanUps.push(() => redis.stop());
  const options = { url: redis.url, ca: null, prefix: freshPrefix(), log: silentLog, ...more };
  const [one, two] = [0, 1].map((index) => {
    const bus = new RedisBus(options);
    bus.answerTo(`mgr_${index}`);
    cleanUps.push(() => bus.close());
    return bus;
  }) as [RedisBus, RedisBus];
  await allHear([one, two]);
  const heard: string[] = [];
  two.hear('nodes', ({ ids }) => heard.push(...ids));
  return { redis, one, two, heard, channel: `${options.prefix}:bus:all` };
}

async function says(redis: RedisServer, channel: string, texts: readonly string[]): Promise<void> {
  const stranger = new Redis(redis.url);
  for (const text of texts) await stranger.publish(channel, text);
  stranger.disconnect();
}

const droppedOf = (series: ReturnType<typeof meters.seriesOf>): number =>
  series
    .filter(({ labels }) => labels.includes('dropped'))
    .reduce((sum, { value }) => sum + value, 0);

const nodes = (ids: unknown, more: object = {}): string =>
  JSON.stringify({ v: 1, from: 'mgr_x', topic: 'nodes', body: { ids }, ...more });

describe('a Redis that others write to', () => {
  it('is listened to only for what a manager would say', async () => {
    const { redis, heard, channel } = await pair();
    const many = Array.from({ length: IDS_MAX + 1 }, (_, i) => `nod_${i}`);
    await says(redis, channel, [
      '',
      'null',
      '[]',
      '{',
      '{"v":1}',
      nodes(['nod_a'], { v: 2 }),
      nodes(['nod_a'], { topic: 'shutdown' }),
      nodes(['nod_a'], { topic: '__proto__' }),
      nodes(['nod_a'], { topic: 'constructor' }),
      nodes(['nod_a'], { from: 7 }),
      nodes('nod_a'),
      nodes([]),
      nodes([7]),
      nodes([`nod_a'; DROP TABLE nodes`]),
      nodes(many),
      nodes([`nod_${'x'.repeat(MESSAGE_BYTES_MAX)}`]),
      nodes(['nod_last']),
    ]);
    await expect.poll(() => heard).toEqual(['nod_last']);
  });

  it('is not listened to without a limit, and honest managers are heard again after it', async () => {
    const { redis, one, heard, channel } = await pair({ heardPerSecondMax: 50 });
    const stranger = new Redis(redis.url);
    const flood = stranger.pipeline();
    for (let i = 0; i < 20_000; i += 1) flood.publish(channel, nodes(['nod_flood']));
    await flood.exec();
    stranger.disconnect();
    await expect
      .poll(async () => {
        one.tell('nodes', { ids: ['nod_honest'] });
        await sleep(100);
        return heard.includes('nod_honest');
      })
      .toBe(true);
    expect(heard.filter((id) => id === 'nod_flood').length).toBeLessThan(20_000);
  });
});

describe('an outage of Redis', () => {
  it('costs what was told meanwhile, and no more', async () => {
    const { redis, one, heard } = await pair();
    await redis.stop();
    for (let i = 0; i < 5_000; i += 1) one.tell('nodes', { ids: ['nod_lost'] });
    await redis.start();
    await expect
      .poll(async () => {
        one.tell('nodes', { ids: ['nod_again'] });
        await sleep(100);
        return heard.includes('nod_again');
      })
      .toBe(true);
    expect(heard.filter((id) => id === 'nod_lost').length).toBeLessThan(5_000);
  });

  it('that answers nothing fills no memory, and closing does not wait for it', async () => {
    const { redis, one } = await pair();
    redis.freeze();
    const dropped = (): number => droppedOf(meters.seriesOf('bellwether_bus_messages_total'));
    const before = dropped();
    for (let i = 0; i < 3_000; i += 1) one.tell('nodes', { ids: ['nod_stuck'] });
    await sleep(50);
    for (let i = 0; i < 3_000; i += 1) one.tell('nodes', { ids: ['nod_stuck'] });
    expect(dropped() - before).toBeGreaterThan(3_000);
    await one.close();
    redis.resume();
  });
});

describe('what is written to the wire', () => {
  it('is read as it was said', () => {
    const body = { ids: ['nod_a', 'cmd_b'] };
    expect(read(write('mgr_a', 'commands', body))).toEqual({
      from: 'mgr_a',
      topic: 'commands',
      body,
    });
    const most = {
      ids: Array.from({ length: IDS_MAX }, (_, i) => `nod_${String(i).padStart(64, '0')}`),
    };
    expect(read(write('mgr_a', 'nodes', most))?.body).toEqual(most);
  });
});
