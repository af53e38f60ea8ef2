import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeAuthority, type TestAuthority } from '../../../../test/support/certificates.js';
import { makeTempDir } from '../../../../test/support/databases.js';
import { startTestManager } from '../../../../test/support/manager.js';
import { startRedis, type RedisServer } from '../../../../test/support/redis.js';
import { loadConfig } from '../index.js';
import { openWakeups } from '../queue/index.js';

const BACK_MS_MAX = 10_000;
const OUT = 'Redis is out of reach: until it is back, the sweep leads rollouts on';

let ours: TestAuthority;
let strangers: TestAuthority;
const cleanUps: (() => Promise<unknown>)[] = [];
beforeAll(() => {
  ours = makeAuthority();
  strangers = makeAuthority();
});
afterAll(() => {
  ours.remove();
  strangers.remove();
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A Redis that speaks TLS and nothing else, with a certificate of our authority. */
async function redisWith(name: string): Promise<RedisServer> {
  const { certFile, keyFile } = ours.issue(name);
  const tls = { certFile, keyFile, caFile: ours.caFile };
  const redis = await startRedis({ password: 's3cret', tls });
  cleanUps.push(() => redis.stop());
  return redis;
}

/** The wake-ups of a manager that is configured so, and what it logs. */
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
  vi.waitFor(() => expect(rings).toEqual(ids), { timeout: BACK_MS_MAX, interval: 20 });

describe('wake-ups in a Redis over TLS', () => {
  it('ring when its authority is given, also after it was away', async () => {
    const redis = await redisWith('DNS:localhost');
    expect(redis.url).toMatch(/^rediss:\/\/:s3cret@localhost:/);
    const env = { REDIS_URL: redis.url, BELLWETHER_REDIS_CA_FILE: ours.caFile };
    const { wakeups, rings, told } = await open(env);
    wakeups.arm('rol_late', Date.now() + 700);
    wakeups.arm('rol_never', Date.now() + 700);
    wakeups.arm('rol_now', 0);
    wakeups.disarm('rol_never');
    await rung(rings, ['rol_now', 'rol_late']);
    expect(told()).toEqual([]);
    await redis.stop();
    await vi.waitFor(() => expect(told().map(({ msg }) => msg)).toEqual([OUT]));
    await redis.start();
    wakeups.arm('rol_after', 0);
    await rung(rings, ['rol_now', 'rol_late', 'rol_after']);
    expect(told().map(({ msg }) => msg)).toEqual([OUT, 'Redis is back']);
  });

  it('ring by an address too, when the certificate names it', async () => {
    const redis = await redisWith('IP:127.0.0.1');
    const url = redis.url.replace('localhost', '127.0.0.1');
    const { wakeups, rings } = await open({
      REDIS_URL: url,
      BELLWETHER_REDIS_CA_FILE: ours.caFile,
    });
    wakeups.arm('rol_a', 0);
    await rung(rings, ['rol_a']);
  });

  it.each([
    ['no authority is given', () => undefined],
    ['another authority is given', () => strangers.caFile],
  ])('do not ring when %s: that is told once, with what to do and no secret', async (_, caFile) => {
    const redis = await redisWith('DNS:localhost');
    const file = caFile();
    const { wakeups, rings, told, text } = await open({
      REDIS_URL: redis.url,
      ...(file === undefined ? {} : { BELLWETHER_REDIS_CA_FILE: file }),
    });
    wakeups.arm('rol_a', 0);
    // Several attempts, each of which is refused.
    await sleep(1_500);
    expect(told()).toMatchObject([{ msg: OUT }]);
    expect(told()[0]?.reason).toMatch(
      /^its certificate is not trusted \(.+\): set BELLWETHER_REDIS_CA_FILE to the authority/,
    );
    expect(text()).not.toContain('s3cret');
    expect(rings).toEqual([]);
    // It never got as far as a login.
    await vi.waitFor(async () => {
      // One of the attempts may just be under way.
      const stats = String(await redis.command('INFO', 'clients'));
      expect(stats).toContain('connected_clients:1\r');
    });
    expect(String(await redis.command('ACL', 'LOG'))).toBe('');
  });

  it('do not ring when the certificate is of another host', async () => {
    const redis = await redisWith('DNS:other.example');
    const { wakeups, rings, told, text } = await open({
      REDIS_URL: redis.url,
      BELLWETHER_REDIS_CA_FILE: ours.caFile,
    });
    wakeups.arm('rol_a', 0);
    await sleep(1_000);
    expect(told()).toMatchObject([{ msg: OUT }]);
    expect(told()[0]?.reason).toMatch(/other\.example/);
    expect(text()).not.toContain('s3cret');
    expect(rings).toEqual([]);
  });
});

describe('the authority of Redis', () => {
  it('is a file with a certificate: a manager without it does not start', async () => {
    const dir = makeTempDir();
    const [empty, junk] = [join(dir.path, 'empty.pem'), join(dir.path, 'junk.pem')];
    writeFileSync(empty, '');
    writeFileSync(junk, '-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n');
    try {
      for (const file of [join(dir.path, 'missing.pem'), dir.path, empty, junk]) {
        const started = startTestManager({
          REDIS_URL: 'rediss://127.0.0.1:1',
          BELLWETHER_REDIS_CA_FILE: file,
        });
        await expect(started).rejects.toMatchObject({
          code: 'config_invalid',
          message: expect.stringMatching(/^BELLWETHER_REDIS_CA_FILE: .+PEM/) as string,
        });
      }
    } finally {
      dir.remove();
    }
  });
});
