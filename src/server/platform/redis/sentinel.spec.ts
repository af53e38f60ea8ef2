import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Socket } from 'node:net';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeAuthority, type TestAuthority } from '../../../../test/support/certificates.js';
import { makeTempDir } from '../../../../test/support/databases.js';
import { eventually } from '../../../../test/support/fleet.js';
import {
  MASTER_NAME,
  PASSWORD,
  SENTINEL_PASSWORD,
  startWatchedRedis,
  type WatchedRedis,
} from '../../../../test/support/redis/sentinels.js';
import { loadConfig } from '../index.js';
import { openWakeups } from '../queue/index.js';
import { redisOptions } from './connections.js';

const OUT = 'Redis is out of reach: until it is back, the sweep leads rollouts on';

let authority: TestAuthority;
const dir = makeTempDir();
const file = (name: string, text: string): string => {
  const path = join(dir.path, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const cleanUps: (() => Promise<unknown>)[] = [];
beforeAll(() => {
  authority = makeAuthority();
});
afterAll(() => {
  authority.remove();
  dir.remove();
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function watched(isTls: boolean): Promise<WatchedRedis> {
  const files = authority.issue('DNS:localhost', 'IP:127.0.0.1');
  const redis = await startWatchedRedis(isTls ? { ...files, caFile: authority.caFile } : undefined);
  cleanUps.push(() => redis.stop());
  return redis;
}

const envOf = (redis: Pick<WatchedRedis, 'sentinels'>, isTls: boolean): Record<string, string> => ({
  REDIS_URL: `${isTls ? 'rediss' : 'redis'}://${MASTER_NAME}`,
  BELLWETHER_REDIS_PASSWORD_FILE: file('redis', `${PASSWORD}\n`),
  BELLWETHER_REDIS_SENTINELS: redis.sentinels.join(','),
  BELLWETHER_REDIS_SENTINEL_PASSWORD_FILE: file('sentinel', SENTINEL_PASSWORD),
  ...(isTls ? { BELLWETHER_REDIS_CA_FILE: authority.caFile } : {}),
});

async function open(env: Readonly<Record<string, string>>) {
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const wakeups = await openWakeups(loadConfig(env), { now: () => Date.now() }, log);
  cleanUps.push(() => wakeups.close());
  const rings: string[] = [];
  wakeups.onWake((id) => {
    rings.push(id);
    return Promise.resolve();
  });
  const told = () => lines.map((line) => JSON.parse(line) as { msg: string; reason?: string });
  return { wakeups, rings, told, text: () => lines.join('') };
}

const rung = (rings: readonly string[], ids: readonly string[]): Promise<void> =>
  vi.waitFor(() => expect([...rings].sort()).toEqual([...ids].sort()), { timeout: 60_000 });

describe('alarms in a Redis that sentinels watch', () => {
  it.each([
    ['with passwords', false],
    ['with passwords and TLS', true],
  ])(
    'ring on after its master died, %s',
    async (_, isTls) => {
      const redis = await watched(isTls);
      const { wakeups, rings, told, text } = await open(envOf(redis, isTls));
      wakeups.arm('rol_before', 0);
      await rung(rings, ['rol_before']);
      expect(told()).toEqual([]);
      const old = await redis.master();
      // One sentinel less: two still agree, and the first in the list does not answer.
      await redis.killSentinel(0);
      await redis.killMaster();
      await eventually(async () => expect(await redis.master()).not.toBe(old), 60_000);
      wakeups.arm('rol_after', 0);
      await rung(rings, ['rol_before', 'rol_after']);
      // Told once, and its end too, however many attempts there were.
      expect(told().filter(({ msg }) => msg === OUT)).toHaveLength(1);
      await eventually(async () => {
        await Promise.resolve();
        expect(told().at(-1)?.msg).toBe('Redis is back');
      });
      expect(text()).not.toContain(PASSWORD);
      expect(text()).not.toContain(SENTINEL_PASSWORD);
    },
    180_000,
  );

  it('do not ring when a sentinel refuses us; that is told once, without the password', async () => {
    const redis = await watched(false);
    const env = {
      ...envOf(redis, false),
      BELLWETHER_REDIS_SENTINEL_PASSWORD_FILE: file('wrong', 'wr0ng-0ne'),
    };
    const { wakeups, rings, told, text } = await open(env);
    wakeups.arm('rol_a', 0);
    await vi.waitFor(() => expect(told()).toMatchObject([{ msg: OUT }]), { timeout: 30_000 });
    expect(told()[0]?.reason).toMatch(/WRONGPASS/);
    expect(text()).not.toContain('wr0ng-0ne');
    expect(rings).toEqual([]);
  }, 120_000);

  it('wait for sentinels that are all away, and for a name that none knows', async () => {
    const redis = await watched(false);
    const unknown = { ...envOf(redis, false), REDIS_URL: 'redis://theirs' };
    const away = { ...envOf(redis, false), BELLWETHER_REDIS_SENTINELS: '127.0.0.1:1,[::1]:1' };
    for (const [env, reason] of [
      [unknown, /no sentinel knows a master of the name theirs/],
      [away, /ECONNREFUSED|EADDRNOTAVAIL/],
    ] as const) {
      const { wakeups, told } = await open(env);
      wakeups.arm('rol_a', 0);
      await vi.waitFor(() => expect(told()).toMatchObject([{ msg: OUT }]), { timeout: 30_000 });
      expect(told()[0]?.reason).toMatch(reason);
      // Ends soon, although it waits for nothing but an answer.
      await wakeups.close();
    }
  }, 120_000);

  it('go over sockets of which every error is heard', async () => {
    const redis = await watched(true);
    const ca = authority.caFile;
    const config = loadConfig(envOf(redis, true));
    const login = {
      password: PASSWORD,
      sentinels: config.redisSentinels,
      sentinelPassword: SENTINEL_PASSWORD,
    };
    const client = new Redis(
      redisOptions(`rediss://${MASTER_NAME}`, readFileSync(ca, 'utf8'), login),
    );
    const errors: string[] = [];
    client.on('error', (error: Error) => errors.push(error.message));
    try {
      expect(await client.ping()).toBe('PONG');
      const { stream } = client as unknown as { readonly stream: Socket };
      for (const text of ['first', 'second', 'third']) stream.emit('error', new Error(text));
      expect(errors).toEqual(['first']);
      expect(await client.ping()).toBe('PONG');
    } finally {
      client.disconnect();
    }
  }, 120_000);
});
