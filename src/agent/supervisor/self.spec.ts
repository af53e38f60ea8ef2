import { chmodSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { resetStarts, unitIn } from './own-unit.js';
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

it('has the starts of its unit counted anew before it ends, so that the next one has all of them', async () => {
  const done: string[] = [];
  const driver = new SelfDriver(
    dir.path,
    () => done.push('ended'),
    () => Promise.resolve(void done.push('reset')),
  );
  await driver.adopt();
  point('1.1.0');
  await driver.start();
  expect(done).toEqual(['reset', 'ended']);
});

it('asks systemctl for that, and does without where it fails', async () => {
  const systemctl = join(dir.path, 'systemctl');
  writeFileSync(systemctl, `#!/bin/sh\necho "$*" >> "${dir.path}/asked"\nexit 1\n`);
  chmodSync(systemctl, 0o755);
  await resetStarts('bellwether-agent.service', systemctl);
  const asked = readFileSync(join(dir.path, 'asked'), 'utf8');
  expect(asked).toBe('--no-ask-password reset-failed -- bellwether-agent.service\n');
  await resetStarts('bellwether-agent.service', '/nonexistent');
});

it.each([
  ['0::/system.slice/bellwether-agent.service\n', 'bellwether-agent.service'],
  ['12:pids:/user.slice\n1:name=systemd:/system.slice/edge@1.service\n', 'edge@1.service'],
  ['0::/user.slice/user-0.slice/session-1.scope\n', null],
  ['', null],
])('knows its unit by its cgroup', (text, unit) => {
  expect(unitIn(text)).toBe(unit);
});
