import { spawnSync } from 'node:child_process';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDriver, ServiceConfig } from '../../src/agent/supervisor/index.js';
import { describeDriver, type DriverBench } from '../contract/driver.contract.js';
import { makeDriverRoot } from '../support/agent/driver-root.js';
import { systemctl } from './machine.js';

let count = 0;

/** A unit of its own for each spec; `lines` go into its service section. */
function benchOf(lines: readonly string[] = []): DriverBench & { readonly unit: string } {
  const made = makeDriverRoot();
  count += 1;
  const unit = `contract-${count}.service`;
  const file = join('/run/systemd/system', unit);
  const text = [
    ...['[Unit]', 'StartLimitIntervalSec=60', 'StartLimitBurst=20', '[Service]', 'Type=exec'],
    ...[`ExecStart=${made.root}/current/run`, 'Restart=always', 'RestartSec=100ms'],
    ...['TimeoutStopSec=60', ...lines, ''],
  ];
  writeFileSync(file, text.join('\n'));
  systemctl('daemon-reload');
  const names = { name: 'edge', product: 'edge', root: made.root, driver: 'systemd', unit };
  return {
    ...made,
    unit,
    open: (stop_timeout_secs) => openDriver(ServiceConfig.parse({ ...names, stop_timeout_secs })),
    remove: async () => {
      rmSync(file);
      systemctl('daemon-reload');
      await made.remove();
    },
  };
}

describeDriver('systemd', () => benchOf());

it('a unit of Type=notify runs for the driver once it has said that it is ready', async () => {
  const bench = benchOf(['Type=notify', 'NotifyAccess=all']);
  bench.install('sleep 1; systemd-notify --ready; exec sleep 600');
  const driver = bench.open(5);
  await driver.start();
  expect([driver.status().running, driver.status().pid]).toEqual([false, expect.any(Number)]);
  await expect.poll(() => driver.status().running, { timeout: 5_000 }).toBe(true);
  await driver.stop();
  await bench.remove();
});

it('a unit that systemd has given up is started again by the driver', async () => {
  const bench = benchOf(['Restart=no']);
  bench.install('sleep 0.2; exit 3');
  const driver = bench.open(5);
  const ends: string[] = [];
  driver.onExit((how) => ends.push(how));
  await driver.start();
  await expect.poll(() => ends.length, { timeout: 15_000 }).toBeGreaterThanOrEqual(3);
  expect(ends[0]).toBe('exit-code, status 3');
  await driver.stop();
  await bench.remove();
});

it('a unit that does not exist, or is masked by hand, is refused in words', async () => {
  const bench = benchOf();
  bench.install('exec sleep 600');
  const file = join('/run/systemd/system', bench.unit);
  const refused = new RegExp(`systemctl start ${bench.unit}: exit code`);
  rmSync(file);
  systemctl('daemon-reload');
  await expect(bench.open(5).start()).rejects.toThrow(refused);
  symlinkSync('/dev/null', file);
  systemctl('daemon-reload');
  await expect(bench.open(5).start()).rejects.toThrow(/masked/);
  await bench.remove();
});

it('the units pass systemd-analyze verify where they are installed', () => {
  const units = ['bellwether-agent', 'bellwether-agent-rollback', 'bellwether-svc@edge']
    .concat('bellwether-svc-rollback@edge')
    .map((name) => `${name}.service`);
  spawnSync('sh', ['-c', 'cp deploy/systemd/*.service /etc/systemd/system/']);
  const place = '/opt/bellwether/agent/current';
  const script = `mkdir -p ${place} /usr/lib/bellwether /opt/bellwether/edge/current
    cp deploy/systemd/rollback.sh /usr/lib/bellwether/
    cp /bin/true ${place}/bellwether-agent; cp /bin/true /opt/bellwether/edge/current/run
    systemd-analyze verify --man=no ${units.join(' ')}
    code=$?; rm -rf /opt/bellwether; exit $code`;
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
  expect([status, stdout.trim(), stderr.trim()]).toEqual([0, '', '']);
});
