import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, inject, it } from 'vitest';
import { BullMqWakeups } from '../../src/server/platform/queue/bullmq.js';
import { InProcessWakeups } from '../../src/server/platform/queue/in-process.js';
import type { Wakeups } from '../../src/server/platform/queue/index.js';
import { silentLog } from '../support/databases.js';
import { compared, IS_QUICK, skipped } from './measure.js';

/** Due waves, each at a moment of its own: a queue that is idle between them, as it is in a manager. */
const WAVES = IS_QUICK ? 60 : 300;
const EVERY_MS = 40;
const AHEAD_MS = 500;

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;

/** How late each rang, in ms. */
async function lateness(
  arm: (id: string, atMs: number) => void,
  onRing: (heard: (id: string) => void) => void,
): Promise<number[]> {
  const due = new Map<string, number>();
  const late: number[] = [];
  onRing((id) => {
    late.push(Date.now() - (due.get(id) ?? Number.NaN));
  });
  for (let at = 0; at < WAVES; at += 1) {
    const id = `rol_${at}`;
    due.set(id, Date.now() + AHEAD_MS);
    arm(id, Date.now() + AHEAD_MS);
    await sleep(EVERY_MS);
  }
  for (let waited = 0; late.length < WAVES && waited < 100; waited += 1) await sleep(100);
  return late;
}

const ofOurs = (wakeups: Wakeups): Promise<number[]> =>
  lateness(
    (id, atMs) => {
      wakeups.arm(id, atMs);
    },
    (heard) => {
      wakeups.onWake(async (id) => {
        heard(id);
      });
    },
  );

describe('a wave that is due', () => {
  it('starts soon', { timeout: 300_000 }, async () => {
    const inProcess = new InProcessWakeups(() => Date.now(), silentLog);
    const alone = await ofOurs(inProcess);
    await inProcess.close();
    const url = inject('redisUrl');
    if (url === '') {
      skipped('wave_start', 'redis-server is not installed');
      return;
    }
    const connection = new Redis(url, { maxRetriesPerRequest: null });
    const queue = new Queue('bare', { connection, prefix: 'bench-bare' });
    let heard: (id: string) => void = () => undefined;
    const worker = new Worker('bare', async ({ name }) => heard(name), {
      connection,
      prefix: 'bench-bare',
    });
    await worker.waitUntilReady();
    const bare = await lateness(
      (id, atMs) => void queue.add(id, {}, { delay: atMs - Date.now() }),
      (then) => (heard = then),
    );
    const wakeups = new BullMqWakeups({
      ...{ url, prefix: 'bench-ours', log: silentLog, now: () => Date.now() },
    });
    const ours = await ofOurs(wakeups);
    for (const [what, share] of [
      ['median', 0.5],
      ['p99', 0.99],
    ] as const) {
      compared(`a due wave starts late by (${what})`, {
        ...(share === 0.99 ? { row: 'wave_start' } : {}),
        unit: 'ms',
        baseline: ['bare BullMQ job', quantile(bare, share)],
        measured: ['wake-ups on BullMQ', quantile(ours, share)],
      });
      compared(`the same without Redis (${what})`, {
        unit: 'ms',
        baseline: ['bare BullMQ job', quantile(bare, share)],
        measured: ['wake-ups in process', quantile(alone, share)],
      });
    }
    await wakeups.close();
    await worker.close();
    await queue.close();
    await connection.quit();
  });
});
