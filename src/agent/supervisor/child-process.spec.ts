import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChildProcessDriver, ServiceConfig } from './index.js';

let root: string;
const drivers: ChildProcessDriver[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bellwether-service-'));
});
afterEach(async () => {
  for (const driver of drivers.splice(0)) await driver.stop();
  rmSync(root, { recursive: true, force: true });
});

/** Makes `program` what `current` holds. */
function install(program: string, version = '1.0.0'): void {
  const place = join(root, 'versions', version);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'run'), `#!/bin/sh\n${program}\n`);
  chmodSync(join(place, 'run'), 0o755);
  rmSync(join(root, 'current'), { force: true });
  symlinkSync(join('versions', version), join(root, 'current'));
}

function driverOf(change: Partial<ServiceConfig> = {}): ChildProcessDriver {
  const names = { name: 'edge', product: 'edge', root, exec: 'run' };
  const driver = new ChildProcessDriver(ServiceConfig.parse({ ...names, ...change }));
  drivers.push(driver);
  return driver;
}

function isAlive(pid: number): boolean {
  try {
    // A zombie is as good as gone.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

async function until<T>(check: () => T | null | false, withinMs = 10_000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = check();
    if (found !== null && found !== false) return found;
    if (performance.now() > deadline) throw new Error('it did not come to that');
    await sleep(20);
  }
}

const pidIn = (name: string): number | null => {
  const path = join(root, name);
  return existsSync(path) && statSync(path).size > 0 ? Number(readFileSync(path, 'utf8')) : null;
};
const log = (): string => readFileSync(join(root, 'log', 'service.log'), 'utf8');

describe('a service', () => {
  it('runs in the directory of its version, with its arguments, its environment and no other', async () => {
    install('echo "$(pwd -P) $1 $NAME [$HOME]"; exec sleep 600');
    const driver = driverOf({ args: ['first'], env: { NAME: 'edge' } });
    await driver.start();
    await until(() => log().includes(`${join(root, 'versions', '1.0.0')} first edge []`));
    expect(driver.status()).toMatchObject({ running: true, restarts: 0 });
  });

  it('is started once, however often that is asked for', async () => {
    install('exec sleep 600');
    const driver = driverOf();
    await Promise.all([driver.start(), driver.start()]);
    const { pid } = driver.status();
    await driver.start();
    expect(driver.status().pid).toBe(pid);
  });

  it('is asked to end by SIGTERM and has ended when that resolves', async () => {
    install(`trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.02; done`);
    const driver = driverOf();
    const ends: string[] = [];
    driver.onExit((how) => ends.push(how));
    await driver.start();
    await until(() => log().includes('ready'));
    const pid = driver.status().pid!;
    await driver.stop();
    expect([isAlive(pid), driver.status().running]).toEqual([false, false]);
    expect(log()).toContain('asked');
    // It was asked to: that is no end by itself, and it is not started again.
    await sleep(400);
    expect([ends, driver.status()]).toEqual([[], { running: false, pid: null, restarts: 0 }]);
  });

  it('that does not listen is ended by SIGKILL after its time-out, not before', async () => {
    install(`trap '' TERM; echo ready; while :; do sleep 0.02; done`);
    const driver = driverOf({ stop_timeout_secs: 0.4 });
    await driver.start();
    await until(() => log().includes('ready'));
    const pid = driver.status().pid!;
    const startedAt = performance.now();
    await driver.stop();
    const tookMs = performance.now() - startedAt;
    expect(isAlive(pid)).toBe(false);
    expect(tookMs).toBeGreaterThan(380);
    expect(tookMs).toBeLessThan(2_000);
  });

  it('takes its children with it, also those that do not listen', async () => {
    install(
      `(trap '' TERM; echo $$ >/dev/null; exec sleep 600) & echo $! > ../../child; exec sleep 600`,
    );
    const driver = driverOf();
    await driver.start();
    const child = await until(() => pidIn('child'));
    await driver.stop();
    await until(() => !isAlive(child));
  });

  it('that ends by itself is started again, later each time, and leaves no child behind', async () => {
    install(`sleep 600 & echo $! > ../../child; date +%s%3N >> ../../starts; sleep 0.05; exit 3`);
    const driver = driverOf();
    const ends: string[] = [];
    driver.onExit((how) => ends.push(how));
    await driver.start();
    const first = await until(() => pidIn('child'));
    const starts = await until(() => {
      // The first pid is there a moment before the first time is.
      if (!existsSync(join(root, 'starts'))) return null;
      const times = readFileSync(join(root, 'starts'), 'utf8').trim().split('\n').map(Number);
      return times.length >= 4 ? times : null;
    });
    const waits = starts.slice(1).map((time, i) => time - starts[i]!);
    expect(waits[1]).toBeGreaterThan(waits[0]!);
    expect(waits[2]).toBeGreaterThan(waits[1]!);
    expect(ends.slice(0, 3)).toEqual(['exit code 3', 'exit code 3', 'exit code 3']);
    expect(driver.status().restarts).toBeGreaterThanOrEqual(3);
    expect(isAlive(first)).toBe(false);
  });

  it('that cannot be run at all is told and tried again, and runs when it can be', async () => {
    install('exec sleep 600');
    rmSync(join(root, 'versions', '1.0.0', 'run'));
    const driver = driverOf();
    const ends: string[] = [];
    driver.onExit((how) => ends.push(how));
    await driver.start();
    await until(() => ends.length > 0);
    expect(ends[0]).toContain('ENOENT');
    install('exec sleep 600');
    await until(() => driver.status().running);
  });

  it('whose folder cannot be written to while it is started again does not end the agent', async () => {
    install('sleep 0.1; exit 1');
    const driver = driverOf();
    const ends: string[] = [];
    driver.onExit((how) => ends.push(how));
    await driver.start();
    rmSync(join(root, 'log'), { recursive: true });
    writeFileSync(join(root, 'log'), 'in the way');
    await until(() => ends.some((how) => how.includes('could not be started')));
    rmSync(join(root, 'log'));
    install('exec sleep 600');
    await until(() => driver.status().running);
  });

  it('has its log set aside once it is large', async () => {
    install('echo new; exec sleep 600');
    mkdirSync(join(root, 'log'));
    writeFileSync(join(root, 'log', 'service.log'), '');
    truncateSync(join(root, 'log', 'service.log'), 16 * 1024 * 1024 + 1);
    await driverOf().start();
    await until(() => log() === 'new\n');
    expect(existsSync(join(root, 'log', 'service.log.1'))).toBe(true);
  });
});

describe('an agent that comes back', () => {
  it('finds the service that the one before it left, and there is still one', async () => {
    install('exec sleep 600');
    const before = driverOf();
    await before.start();
    const { pid } = before.status();
    before.release();
    expect(isAlive(pid!)).toBe(true);
    const after = driverOf();
    expect(await after.adopt()).toBe(true);
    await after.start();
    expect(after.status()).toMatchObject({ running: true, pid });
    await after.stop();
    expect(isAlive(pid!)).toBe(false);
  });

  it('sees a service end that is not its child, and starts it again', async () => {
    install('exec sleep 600');
    const before = driverOf();
    await before.start();
    const pid = before.status().pid!;
    before.release();
    const after = driverOf();
    await after.adopt();
    const ends: string[] = [];
    after.onExit((how) => ends.push(how));
    process.kill(pid, 'SIGKILL');
    await until(() => after.status().running && after.status().pid !== pid);
    expect([ends, after.status().restarts]).toEqual([['gone'], 1]);
  });

  it('finds it also when the agent was killed: the service outlives it', async () => {
    install('exec sleep 600');
    const agent = spawn('sh', ['-c', 'setsid sleep 600 & echo $!; wait'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [said] = (await once(agent.stdout, 'data')) as [Buffer];
    const pid = Number(said.toString());
    agent.kill('SIGKILL');
    await once(agent, 'exit');
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const born = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    writeFileSync(join(root, 'service.pid'), JSON.stringify({ pid, born }));
    const after = driverOf();
    expect(await after.adopt()).toBe(true);
    await after.stop();
    await until(() => !isAlive(pid));
  });

  it.each([
    ['no pid file', null],
    ['an empty one', ''],
    ['half of one', '{"pid": 4'],
    ['one of nonsense', '[]'],
    ['one that names the first process', '{"pid":1,"born":"0"}'],
    ['one that names everybody', '{"pid":-1,"born":"0"}'],
    ['one of a process that has gone', '{"pid":4194304,"born":"12"}'],
    ['one whose number another process has now', `{"pid":${process.pid},"born":"12"}`],
  ])('adopts and ends nothing by %s', async (_, content) => {
    install('exec sleep 600');
    if (content !== null) writeFileSync(join(root, 'service.pid'), content);
    const driver = driverOf();
    expect(await driver.adopt()).toBe(false);
    await driver.stop();
    await driver.start();
    expect(driver.status().running).toBe(true);
  });
});
