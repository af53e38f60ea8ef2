import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServiceDriver } from '../../src/agent/supervisor/index.js';

/** One service that a driver may be opened for, again and again, as agents come and go. */
export interface DriverBench {
  readonly root: string;
  /** Makes a shell program what `current` holds. */
  install(program: string): void;
  open(stopTimeoutSecs: number): ServiceDriver;
  remove(): Promise<void>;
}

const FOREVER = 'while :; do sleep 0.02; done';
/** Later than the slowest driver sees what happened by itself. */
const SEEN_MS = 8_000;

export function isAlive(pid: number): boolean {
  try {
    // A zombie is as good as gone.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

async function until<T>(check: () => T | null | false, withinMs = SEEN_MS): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = check();
    if (found !== null && found !== false) return found;
    if (performance.now() > deadline) throw new Error('it did not come to that');
    await sleep(20);
  }
}

/** What every driver promises to the updater. */
export function describeDriver(name: string, make: () => DriverBench): void {
  describe(`a service driver (${name})`, () => {
    let bench: DriverBench;
    const drivers: ServiceDriver[] = [];
    beforeEach(() => {
      bench = make();
    });
    afterEach(async () => {
      for (const driver of drivers.splice(0)) driver.release();
      await bench.open(0.2).stop();
      await bench.remove();
    });

    const open = (stopTimeoutSecs = 5): { driver: ServiceDriver; ends: string[] } => {
      const driver = bench.open(stopTimeoutSecs);
      const ends: string[] = [];
      driver.onExit((how) => ends.push(how));
      drivers.push(driver);
      return { driver, ends };
    };
    const pidOf = (driver: ServiceDriver): Promise<number> =>
      until(() => (driver.status().running ? driver.status().pid : null));
    const pidIn = (file: string): number | null => {
      const path = join(bench.root, file);
      return existsSync(path) && statSync(path).size > 0 ? Number(readFileSync(path)) : null;
    };

    it('starts it once, however often it is asked to', async () => {
      bench.install(`echo $$ >> "$(dirname "$0")/../../starts"; ${FOREVER}`);
      const { driver, ends } = open();
      await driver.start();
      const pid = await pidOf(driver);
      await driver.start();
      await sleep(500);
      expect([driver.status(), ends]).toEqual([{ running: true, pid, restarts: 0 }, []]);
      expect(readFileSync(join(bench.root, 'starts'), 'utf8').trim().split('\n')).toHaveLength(1);
    });

    it('ends it by SIGTERM, calls that no end by itself, and can be asked twice', async () => {
      bench.install(`trap 'echo asked > "$(dirname "$0")/../../asked"; exit 0' TERM; ${FOREVER}`);
      const { driver, ends } = open();
      await driver.start();
      const pid = await pidOf(driver);
      await sleep(200);
      await driver.stop();
      expect([isAlive(pid), driver.status()]).toEqual([
        false,
        { running: false, pid: null, restarts: 0 },
      ]);
      expect(existsSync(join(bench.root, 'asked'))).toBe(true);
      await driver.stop();
      await sleep(1_500);
      expect([ends, driver.status().running]).toEqual([[], false]);
    });

    it('ends by force, after its time-out and not before, what ignores SIGTERM', async () => {
      bench.install(`trap '' TERM; ${FOREVER}`);
      const { driver } = open(0.6);
      await driver.start();
      const pid = await pidOf(driver);
      await sleep(200);
      const startedAt = performance.now();
      await driver.stop();
      const tookMs = performance.now() - startedAt;
      expect(isAlive(pid)).toBe(false);
      expect(tookMs).toBeGreaterThan(550);
      expect(tookMs).toBeLessThan(5_000);
    });

    it('leaves nothing behind that the service started', async () => {
      bench.install(
        `(trap '' TERM; exec sleep 600) & echo $! > "$(dirname "$0")/../../child"; exec sleep 600`,
      );
      const { driver } = open(0.6);
      await driver.start();
      const child = await until(() => pidIn('child'));
      await driver.stop();
      await until(() => !isAlive(child));
    });

    it('tells an end once, counts it, and has it run again', async () => {
      bench.install(FOREVER);
      const { driver, ends } = open();
      await driver.start();
      const pid = await pidOf(driver);
      process.kill(pid, 'SIGKILL');
      const next = await until(() => {
        const now = driver.status();
        return now.running && now.pid !== pid ? now.pid : null;
      });
      await sleep(1_500);
      expect(ends).toHaveLength(1);
      expect(driver.status()).toEqual({ running: true, pid: next, restarts: 1 });
    });

    it('tells every end of one that ends again and again', async () => {
      bench.install('sleep 0.3; exit 3');
      const { driver, ends } = open();
      await driver.start();
      await until(() => ends.length >= 3, 20_000);
      expect(driver.status().restarts).toBe(ends.length);
    });

    it('adopts what an earlier agent left, and sees it end', async () => {
      bench.install(FOREVER);
      const before = open();
      await before.driver.start();
      const pid = await pidOf(before.driver);
      before.driver.release();
      expect(isAlive(pid)).toBe(true);
      const { driver, ends } = open();
      expect(await driver.adopt()).toBe(true);
      expect([await pidOf(driver), ends]).toEqual([pid, []]);
      process.kill(pid, 'SIGKILL');
      await until(() => driver.status().running && driver.status().pid !== pid);
      expect([ends.length, driver.status().restarts, before.ends]).toEqual([1, 1, []]);
    });

    it('adopts nothing where nothing runs', async () => {
      bench.install(FOREVER);
      expect(await open().driver.adopt()).toBe(false);
    });

    it('does not hide an end while no agent ran', async () => {
      bench.install(FOREVER);
      const before = open();
      await before.driver.start();
      const pid = await pidOf(before.driver);
      before.driver.release();
      process.kill(pid, 'SIGKILL');
      await until(() => !isAlive(pid));
      await sleep(700);
      const { driver, ends } = open();
      // Either nothing is there to take over, or what is there is said to be another.
      const wasAdopted = await driver.adopt();
      expect(ends).toHaveLength(wasAdopted ? 1 : 0);
    });
  });
}
