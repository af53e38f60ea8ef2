import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { SelfDriver } from './self.js';

let dir: ReturnType<typeof makeTempDir>;
let restarts = 0;

/** A process of the agent: it is what was `current` when it took over. */
const started = async (): Promise<{ driver: SelfDriver; isFirst: boolean }> => {
  const driver = new SelfDriver(dir.path, () => (restarts += 1));
  return { driver, isFirst: await driver.adopt() };
};
const point = (version: string): void => {
  rmSync(join(dir.path, 'current'), { force: true });
  symlinkSync(`versions/${version}`, join(dir.path, 'current'));
};

beforeEach(() => {
  dir = makeTempDir();
  restarts = 0;
  point('1.0.0');
});
afterEach(() => dir.remove());

it('runs on when it is told to stop, or to start what it is already', async () => {
  const { driver } = await started();
  await driver.stop();
  await driver.start();
  expect(restarts).toBe(0);
  expect(driver.status()).toEqual({ running: true, pid: process.pid, restarts: 0 });
});

it('ends, once, when another version is to run', async () => {
  const { driver } = await started();
  point('1.1.0');
  await driver.start();
  await driver.start();
  expect(restarts).toBe(1);
  expect(driver.status().running).toBe(false);
});

it('counts each start of a version but the first as an end of it', async () => {
  expect((await started()).isFirst).toBe(true);
  expect((await started()).isFirst).toBe(false);
  point('1.1.0');
  expect((await started()).isFirst).toBe(true);
  point('1.0.0');
  expect((await started()).isFirst).toBe(true);
});

it('has nothing to start where nothing is installed', async () => {
  rmSync(join(dir.path, 'current'));
  const { driver, isFirst } = await started();
  expect(isFirst).toBe(true);
  await driver.start();
  expect(restarts).toBe(0);
});
