import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDriver, ServiceConfig } from '../../src/agent/supervisor/index.js';
import { makeDriverRoot } from '../support/agent/driver-root.js';
import { describeDriver, type DriverBench } from './driver.contract.js';

/** systemd has the same suite in `test/systemd`, where there is one. */
function benchOf(rest: Record<string, unknown>): DriverBench {
  const made = makeDriverRoot();
  const names = { name: 'edge', product: 'edge', root: made.root };
  return {
    ...made,
    open: (stop_timeout_secs) =>
      openDriver(ServiceConfig.parse({ ...names, ...rest, stop_timeout_secs })),
  };
}

const shell = (script: string): string[] => ['sh', '-c', script];

/** A supervisor of four lines, which starts nothing again by itself. */
const COMMANDS = {
  start: shell('setsid ./current/run > /dev/null 2>&1 < /dev/null & echo $! > hooks.pid'),
  stop: shell('kill -TERM "-$(cat hooks.pid)" || true'),
  status: shell('pid=$(cat hooks.pid) && grep -qv "^[0-9]* (.*) Z" "/proc/$pid/stat"'),
  pid: ['cat', 'hooks.pid'],
  timeout_secs: 5,
};

it('tells a boot of the machine as an end, also where the service is up again before the agent', async () => {
  const bench = benchOf({ driver: 'hooks', commands: COMMANDS });
  try {
    bench.install('while :; do sleep 0.02; done');
    const before = bench.open(5);
    await before.start();
    before.release();
    const agents = [bench.open(5), bench.open(5)] as const;
    const ends: string[][] = [[], []];
    agents.forEach((agent, i) => agent.onExit((how) => ends[i]!.push(how)));
    expect(await agents[0].adopt()).toBe(true);
    agents[0].release();
    const path = join(bench.root, 'service.seen');
    const seen = JSON.parse(readFileSync(path, 'utf8')) as object;
    expect(seen).toMatchObject({ boot: expect.stringMatching(/^[\w-]+ \d+$/) as string });
    writeFileSync(path, JSON.stringify({ ...seen, boot: 'the one before' }));
    expect(await agents[1].adopt()).toBe(true);
    agents[1].release();
    expect(ends.map(({ length }) => length)).toEqual([0, 1]);
  } finally {
    await bench.open(1).stop();
    await bench.remove();
  }
}, 30_000);

describeDriver('child process', () => benchOf({ driver: 'child', exec: 'run' }));
describeDriver('command hooks', () => benchOf({ driver: 'hooks', commands: COMMANDS }));
