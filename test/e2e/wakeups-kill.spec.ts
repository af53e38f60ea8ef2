import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BullMqWakeups } from '../../src/server/platform/queue/bullmq.js';
import { buildPrograms } from '../support/built.js';
import { silentLog } from '../support/databases.js';
import { freshPrefix, redisUrl } from '../support/redis.js';

/** Lock, two checks for stalled jobs, and what a busy machine adds. */
const TAKEN_OVER_MS_MAX = 10_000;

/** Prints each id it is woken for, and is never done with it. */
const WORKER = `
const [module, url, prefix] = process.argv.slice(1);
const { BullMqWakeups } = await import(module);
const wakeups = new BullMqWakeups({ url, prefix, now: Date.now, log: { warn() {}, info() {} } });
wakeups.onWake((id) => new Promise(() => console.log(id)));
wakeups.arm('rol_a', 0);
`;

describe('a manager that is killed while it handles a wake-up', () => {
  let programs: ReturnType<typeof buildPrograms>;
  const children: ChildProcess[] = [];
  beforeAll(() => {
    programs = buildPrograms();
  });
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    programs.remove();
  });

  it('is relieved by another within seconds, and not while it lives', async () => {
    const prefix = freshPrefix();
    const module = pathToFileURL(join(programs.path, 'server/platform/queue/bullmq.js')).href;
    const words = ['--input-type=module', '-e', WORKER, module, redisUrl(), prefix];
    const child = spawn(process.execPath, words, {
      cwd: join(programs.path, '..', '..'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const [woken] = (await once(createInterface(child.stdout), 'line')) as [string];
    expect(woken).toBe('rol_a');

    const wakeups = new BullMqWakeups({
      url: redisUrl(),
      prefix,
      now: () => Date.now(),
      log: silentLog,
    });
    const rings: number[] = [];
    const rung = Promise.withResolvers<null>();
    wakeups.onWake(async () => {
      rings.push(performance.now());
      rung.resolve(null);
    });
    try {
      // Longer than a lock lasts: it is renewed by the one that lives.
      await new Promise((resolve) => setTimeout(resolve, 6_000));
      expect(rings).toEqual([]);
      const killedAt = performance.now();
      child.kill('SIGKILL');
      await rung.promise;
      expect(performance.now() - killedAt).toBeLessThan(TAKEN_OVER_MS_MAX);
      expect(rings).toHaveLength(1);
    } finally {
      await wakeups.close();
    }
  });
});
