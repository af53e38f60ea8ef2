import { setTimeout as sleep } from 'node:timers/promises';
import { pino, type Logger } from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../../../test/support/databases.js';
import {
  freshPrefix,
  redisUrl,
  startRedis,
  type RedisServer,
} from '../../../../test/support/redis.js';
import { BullMqWakeups } from './bullmq.js';

const HOUR_MS = 3_600_000;
/** Far above what a reconnect takes. */
const BACK_MS_MAX = 10_000;

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Opened {
  readonly wakeups: BullMqWakeups;
  readonly rings: string[];
}

/** One manager's wake-ups; with the same prefix they are on one queue. */
function open(
  given: {
    readonly url?: string;
    readonly prefix?: string;
    readonly log?: Logger;
    readonly work?: (id: string) => Promise<void>;
  } = {},
): Opened {
  const { url = redisUrl(), prefix = freshPrefix(), log = silentLog, work } = given;
  const wakeups = new BullMqWakeups({ url, prefix, log, now: () => Date.now() });
  const rings: string[] = [];
  wakeups.onWake(async (id) => {
    rings.push(id);
    await work?.(id);
  });
  cleanUps.push(() => wakeups.close());
  return { wakeups, rings };
}

async function ownRedis(given: Parameters<typeof startRedis>[0] = {}): Promise<RedisServer> {
  const redis = await startRedis(given);
  cleanUps.push(() => redis.stop());
  return redis;
}

function keptLog(): { readonly log: Logger; lines(): string[]; text(): string } {
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  return {
    log,
    lines: () => lines.map((line) => (JSON.parse(line) as { msg: string }).msg),
    text: () => lines.join(''),
  };
}

const rung = (rings: readonly string[], count: number): Promise<void> =>
  vi.waitFor(() => expect(rings).toHaveLength(count), { timeout: BACK_MS_MAX, interval: 20 });

const OUT = 'Redis is out of reach: until it is back, the sweep leads rollouts on';

describe('two managers on one queue', () => {
  it('ring each alarm in exactly one of them', async () => {
    const prefix = freshPrefix();
    const work = (): Promise<void> => sleep(2);
    const [one, other] = [open({ prefix, work }), open({ prefix, work })];
    const ids = Array.from({ length: 200 }, (_, index) => `rol_${index}`);
    ids.forEach((id, index) => (index % 2 === 0 ? one : other).wakeups.arm(id, Date.now() + index));
    await vi.waitFor(() => expect(one.rings.length + other.rings.length).toBe(200), 10_000);
    await sleep(300);
    expect([...one.rings, ...other.rings].sort()).toEqual(ids.sort());
    expect(Math.min(one.rings.length, other.rings.length)).toBeGreaterThan(0);
  });

  it('never wake one id twice at once, and lose nothing by it', async () => {
    const prefix = freshPrefix();
    const gate = Promise.withResolvers<null>();
    let running = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await gate.promise;
      running -= 1;
    };
    const [one, other] = [open({ prefix, work }), open({ prefix, work })];
    const all = (): string[] => [...one.rings, ...other.rings];
    one.wakeups.arm('rol_a', 0);
    await vi.waitFor(() => expect(all()).toHaveLength(1));
    // Whichever of them is woken: both ask for more meanwhile.
    one.wakeups.arm('rol_a', 0);
    other.wakeups.arm('rol_a', 0);
    await sleep(700);
    expect(all()).toHaveLength(1);
    gate.resolve(null);
    await vi.waitFor(() => expect(all().length).toBeGreaterThanOrEqual(2));
    await sleep(700);
    expect(all().length).toBeLessThanOrEqual(3);
    expect(most).toBe(1);
  });

  it('move and disarm the alarms of each other', async () => {
    const prefix = freshPrefix();
    const [one, other] = [open({ prefix }), open({ prefix })];
    one.wakeups.arm('rol_a', Date.now() + HOUR_MS);
    // Time enough for both to arrive, and for the second manager to come before it rings.
    const ringsAt = Date.now() + 5_000;
    one.wakeups.arm('rol_b', ringsAt);
    await sleep(1_500);
    other.wakeups.arm('rol_a', Date.now());
    other.wakeups.disarm('rol_b');
    await sleep(ringsAt + 1_000 - Date.now());
    expect([...one.rings, ...other.rings]).toEqual(['rol_a']);
  });

  it('with other prefixes know nothing of each other', async () => {
    const [one, other] = [open(), open()];
    one.wakeups.arm('rol_a', 0);
    await rung(one.rings, 1);
    await sleep(200);
    expect(other.rings).toEqual([]);
  });
});

describe('an alarm in Redis', () => {
  it('outlives the manager that armed it', async () => {
    const prefix = freshPrefix();
    const { wakeups } = open({ prefix });
    wakeups.arm('rol_a', Date.now() + 800);
    await wakeups.close();
    await rung(open({ prefix }).rings, 1);
  });

  it('holds its id and nothing else, not even what went wrong, and is removed after it', async () => {
    const redis = await ownRedis();
    let left = 1;
    const work = async (): Promise<void> => {
      left -= 1;
      if (left === 0) throw new Error('the password is s3cret');
    };
    const { wakeups, rings } = open({ url: redis.url, prefix: 'fleet', work });
    wakeups.arm('rol_a', 0);
    await rung(rings, 1);
    await sleep(200);
    const job = (await redis.command('HGETALL', 'fleet:wakeups:rol_a')) as string[];
    expect(job[job.indexOf('data') + 1]).toBe('{}');
    expect(job.join('\n')).not.toContain('s3cret');
    await rung(rings, 2);
    await sleep(200);
    const keys = (await redis.command('KEYS', '*')) as string[];
    expect(keys.filter((key) => key.includes('rol_'))).toEqual([]);
    expect(keys.filter((key) => !key.startsWith('fleet:'))).toEqual([]);
  });
});

describe('when Redis goes away', () => {
  it('alarms ring again after it is back, and the outage is told once', async () => {
    const redis = await ownRedis();
    const { log, lines } = keptLog();
    const { wakeups, rings } = open({ url: redis.url, log });
    wakeups.arm('rol_a', 0);
    await rung(rings, 1);
    await redis.stop();
    await sleep(1_500);
    wakeups.arm('rol_b', 0);
    await sleep(500);
    expect(rings).toEqual(['rol_a']);
    await redis.start();
    await rung(rings, 2);
    expect(rings).toEqual(['rol_a', 'rol_b']);
    await vi.waitFor(() => expect(lines()).toEqual([OUT, 'Redis is back']));
  });

  it('arming takes no time and bounded memory, and what was armed last counts', async () => {
    const redis = await ownRedis();
    const { wakeups, rings } = open({ url: redis.url });
    wakeups.arm('rol_0', 0);
    await rung(rings, 1);
    await redis.stop();
    const startedAt = performance.now();
    for (let n = 0; n < 100_000; n += 1) wakeups.arm(`rol_${n}`, Date.now() + HOUR_MS);
    wakeups.arm('rol_7', 0);
    wakeups.disarm('rol_8');
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(wakeups.unsent).toBeLessThanOrEqual(10_000);
    await redis.start();
    await rung(rings, 2);
    expect(rings[1]).toBe('rol_7');
    await vi.waitFor(() => expect(wakeups.unsent).toBe(0), 10_000);
  });

  it('a manager starts without it, and its alarms ring when it comes', async () => {
    const redis = await ownRedis();
    await redis.stop();
    const { log, lines } = keptLog();
    const { wakeups, rings } = open({ url: redis.url, log });
    wakeups.arm('rol_a', 0);
    await sleep(1_000);
    expect(lines()).toEqual([OUT]);
    await redis.start();
    await rung(rings, 1);
  });

  it('a wiped one costs what was armed, and nothing after it', async () => {
    const redis = await ownRedis();
    const gate = Promise.withResolvers<null>();
    let most = 0;
    let running = 0;
    const { wakeups, rings } = open({
      url: redis.url,
      work: async (id) => {
        if (id !== 'rol_slow') return;
        running += 1;
        most = Math.max(most, running);
        await gate.promise;
        running -= 1;
      },
    });
    wakeups.arm('rol_slow', 0);
    await rung(rings, 1);
    wakeups.arm('rol_lost', Date.now() + 500);
    await sleep(100);
    await redis.command('FLUSHALL');
    wakeups.arm('rol_b', Date.now() + 100);
    await rung(rings, 2);
    await sleep(700);
    expect(rings).toEqual(['rol_slow', 'rol_b']);
    // Its lock is gone with the rest; what is asked for it now still waits for its end.
    wakeups.arm('rol_slow', 0);
    await sleep(500);
    gate.resolve(null);
    await rung(rings, 3);
    expect(most).toBe(1);
  });
});

describe('a Redis that is set up wrongly', () => {
  it('by an eviction policy is told in the log, once, and not on the console', async () => {
    const redis = await ownRedis({ settings: ['--maxmemory-policy', 'allkeys-lru'] });
    const onConsole = vi.spyOn(console, 'warn').mockReturnValue();
    const { log, lines } = keptLog();
    const { wakeups, rings } = open({ url: redis.url, log });
    wakeups.arm('rol_a', 0);
    await rung(rings, 1);
    expect(lines()).toEqual([
      'Redis may evict wake-ups when its memory is full; set maxmemory-policy to noeviction',
    ]);
    expect(onConsole).not.toHaveBeenCalled();
    onConsole.mockRestore();
  });

  it('by another password never sees the wrong one in the log', async () => {
    const redis = await ownRedis({ password: 'right' });
    const { log, lines, text } = keptLog();
    const { wakeups, rings } = open({ url: redis.url.replace(':right@', ':wr0ng-s3cret@'), log });
    wakeups.arm('rol_a', 0);
    await sleep(1_500);
    expect(lines()).toEqual([OUT]);
    expect(text()).toContain('WRONGPASS');
    expect(text()).not.toContain('wr0ng-s3cret');
    expect(rings).toEqual([]);
    const right = open({ url: redis.url });
    right.wakeups.arm('rol_a', 0);
    await rung(right.rings, 1);
  });

  it('by too little memory is asked once a second, told once, and used again when it has room', async () => {
    const redis = await ownRedis();
    const { log, lines } = keptLog();
    const { wakeups, rings } = open({ url: redis.url, log });
    wakeups.arm('rol_a', 0);
    await rung(rings, 1);
    await redis.command('CONFIG', 'SET', 'maxmemory', '1');
    wakeups.arm('rol_b', 0);
    const before = process.cpuUsage();
    await sleep(2_500);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(800);
    expect(lines()).toEqual(['Redis refused a step of the wake-ups']);
    await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    wakeups.arm('rol_c', 0);
    await rung(rings, 2);
    expect(rings[1]).toBe('rol_c');
  });
});

describe('closing', () => {
  it('waits for what runs, and takes seconds at most without Redis or with a frozen one', async () => {
    for (const harm of ['stop', 'freeze'] as const) {
      const redis = await ownRedis();
      const gate = Promise.withResolvers<null>();
      const { wakeups, rings } = open({
        url: redis.url,
        work: () => gate.promise.then(() => undefined),
      });
      wakeups.arm('rol_a', 0);
      await rung(rings, 1);
      await redis[harm]();
      wakeups.arm('rol_b', 0);
      let isClosed = false;
      const closing = wakeups.close().then(() => (isClosed = true));
      await sleep(300);
      expect(isClosed).toBe(false);
      gate.resolve(null);
      const startedAt = performance.now();
      await closing;
      expect(performance.now() - startedAt).toBeLessThan(7_000);
    }
  });
});
