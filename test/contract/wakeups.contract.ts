import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { Wakeups } from '../../src/server/platform/queue/index.js';

/** How late an alarm may ring in these specs: far above what any adapter needs. */
const LATE_MS_MAX = 1_500;
const DAY_MS = 86_400_000;

interface Ring {
  readonly id: string;
  readonly at: number;
}

/** Waits until so many alarms have rung, and a moment longer for one too many. */
async function rung(rings: readonly Ring[], count: number, withinMs = LATE_MS_MAX): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (rings.length < count && performance.now() < deadline) await sleep(5);
  await sleep(50);
  expect(rings).toHaveLength(count);
}

/**
 * What every adapter of the wake-up port promises. `open` gives one that nothing else uses; it runs
 * on the real clock.
 */
export function describeWakeups(name: string, open: () => Promise<Wakeups> | Wakeups): void {
  describe(`wake-ups (${name})`, () => {
    const opened: Wakeups[] = [];
    afterEach(async () => {
      for (const wakeups of opened.splice(0)) await wakeups.close();
    });

    /** Notes each ring, then does what the spec wants of it. */
    const start = async (work: (id: string) => Promise<void> = () => Promise.resolve()) => {
      const wakeups = await open();
      opened.push(wakeups);
      const rings: Ring[] = [];
      wakeups.onWake((id) => {
        rings.push({ id, at: Date.now() });
        return work(id);
      });
      return { wakeups, rings, ids: () => rings.map((ring) => ring.id) };
    };

    it('ring at their time, not before, and once', async () => {
      const { wakeups, rings } = await start();
      const at = Date.now() + 200;
      wakeups.arm('rol_a', at);
      await sleep(100);
      expect(rings).toEqual([]);
      await rung(rings, 1);
      expect(rings[0]).toMatchObject({ id: 'rol_a' });
      expect(rings[0]?.at).toBeGreaterThanOrEqual(at);
      expect(rings[0]?.at).toBeLessThan(at + LATE_MS_MAX);
    });

    it('ring at once when their time has passed', async () => {
      const { wakeups, rings } = await start();
      wakeups.arm('rol_a', Date.now() - DAY_MS);
      wakeups.arm('rol_b', 0);
      await rung(rings, 2);
    });

    it('do not ring early however far away they are', async () => {
      const { wakeups, rings } = await start();
      // Beyond 2^31 ms, where a timer of Node would wrap to "now".
      wakeups.arm('rol_a', Date.now() + 40 * DAY_MS);
      await sleep(200);
      expect(rings).toEqual([]);
    });

    it('of several ids ring in the order of their times', async () => {
      const { wakeups, rings, ids } = await start();
      const now = Date.now();
      wakeups.arm('rol_c', now + 450);
      wakeups.arm('rol_a', now + 50);
      wakeups.arm('rol_b', now + 250);
      await rung(rings, 3);
      expect(ids()).toEqual(['rol_a', 'rol_b', 'rol_c']);
    });

    it('for one id are one: the same again changes nothing', async () => {
      const { wakeups, rings } = await start();
      const at = Date.now() + 100;
      for (let round = 0; round < 20; round += 1) wakeups.arm('rol_a', at);
      await rung(rings, 1);
    });

    it('can be moved to an earlier time', async () => {
      const { wakeups, rings } = await start();
      const now = Date.now();
      wakeups.arm('rol_a', now + DAY_MS);
      wakeups.arm('rol_a', now + 50);
      await rung(rings, 1);
    });

    it('can be moved to a later time', async () => {
      const { wakeups, rings } = await start();
      const at = Date.now() + 400;
      wakeups.arm('rol_a', Date.now() + 100);
      wakeups.arm('rol_a', at);
      await rung(rings, 1);
      expect(rings[0]?.at).toBeGreaterThanOrEqual(at);
    });

    it('that were disarmed do not ring, and can be armed again', async () => {
      const { wakeups, rings } = await start();
      wakeups.arm('rol_a', Date.now() + 100);
      wakeups.disarm('rol_a');
      wakeups.disarm('rol_never_armed');
      await sleep(250);
      expect(rings).toEqual([]);
      wakeups.arm('rol_a', Date.now());
      await rung(rings, 1);
    });

    it('can be armed again by the one who is woken', async () => {
      let left = 3;
      const { wakeups, rings } = await start((id) => {
        left -= 1;
        if (left > 0) wakeups.arm(id, Date.now() + 20);
        return Promise.resolve();
      });
      wakeups.arm('rol_a', Date.now());
      await rung(rings, 3);
    });

    it('never wake one id twice at once, lose nothing by it, and do not hold up other ids', async () => {
      const gate = Promise.withResolvers<null>();
      let running = 0;
      let most = 0;
      const { wakeups, rings, ids } = await start(async (id) => {
        if (id !== 'rol_a') return;
        running += 1;
        most = Math.max(most, running);
        await gate.promise;
        running -= 1;
      });
      wakeups.arm('rol_a', Date.now());
      await rung(rings, 1);
      wakeups.arm('rol_a', Date.now());
      wakeups.arm('rol_b', Date.now());
      await rung(rings, 2);
      expect(ids()).toEqual(['rol_a', 'rol_b']);
      gate.resolve(null);
      await rung(rings, 3);
      expect(ids()).toEqual(['rol_a', 'rol_b', 'rol_a']);
      expect(most).toBe(1);
    });

    it('ring again after a failure, each time later, until it is mended', async () => {
      let left = 2;
      const { wakeups, rings } = await start((id) => {
        if (id !== 'rol_a' || left === 0) return Promise.resolve();
        left -= 1;
        return Promise.reject(new Error('the database is away'));
      });
      wakeups.arm('rol_a', Date.now());
      wakeups.arm('rol_b', Date.now());
      await rung(rings, 4, 3_000 + 2 * LATE_MS_MAX);
      const [first, second, third] = rings.filter(({ id }) => id === 'rol_a').map(({ at }) => at);
      // A timer may be a millisecond ahead of the clock.
      expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(990);
      expect((third ?? 0) - (second ?? 0)).toBeGreaterThanOrEqual(1_990);
    });

    it('armed anew after a failure ring at the new time', async () => {
      let left = 1;
      const { wakeups, rings } = await start((id) => {
        left -= 1;
        if (left < 0) return Promise.resolve();
        wakeups.arm(id, Date.now() + 50);
        return Promise.reject(new Error('the database is away'));
      });
      wakeups.arm('rol_a', Date.now());
      await rung(rings, 2, 700);
      await sleep(1_200);
      expect(rings).toHaveLength(2);
    });

    it('when closed wait for what runs, and nothing rings afterwards', async () => {
      const gate = Promise.withResolvers<null>();
      const { wakeups, rings } = await start(async (id) => {
        if (id === 'rol_a') await gate.promise;
      });
      wakeups.arm('rol_a', Date.now());
      await rung(rings, 1);
      wakeups.arm('rol_b', Date.now() + 150);
      let isClosed = false;
      const closing = wakeups.close().then(() => (isClosed = true));
      await sleep(100);
      expect(isClosed).toBe(false);
      gate.resolve(null);
      await closing;
      wakeups.arm('rol_c', Date.now());
      await sleep(300);
      expect(rings.map(({ id }) => id)).toEqual(['rol_a']);
    });

    it('when closed do not try again what failed meanwhile', async () => {
      const gate = Promise.withResolvers<null>();
      const { wakeups, rings } = await start(async () => {
        await gate.promise;
        throw new Error('the database is closed');
      });
      wakeups.arm('rol_a', Date.now());
      await rung(rings, 1);
      const closing = wakeups.close();
      gate.resolve(null);
      await closing;
      await sleep(1_300);
      expect(rings).toHaveLength(1);
    });

    it('can be closed twice', async () => {
      const { wakeups } = await start();
      await wakeups.close();
      await wakeups.close();
    });
  });
}
