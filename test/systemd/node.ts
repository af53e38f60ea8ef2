import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ManagerApi } from '../support/fleet.js';
import { systemctl } from './machine.js';

export const AGENT = 'bellwether-agent.service';
export const SERVICE = 'bellwether-svc@edge.service';
export const AGENT_ROOT = '/opt/bellwether/agent';
export const SERVICE_ROOT = '/opt/bellwether/edge';
const CONFIG = '/etc/bellwether';

/**
 * A release of the service: says that it is ready and beats for the watchdog, by the way of its
 * unit. `then` is what goes wrong, and after how long.
 */
export const program = (
  then: 'well' | 'exits' | 'hangs' | 'dies' = 'well',
  afterMs = 600,
): string =>
  `#!/usr/bin/env node
const { spawnSync } = require('node:child_process');
if ('${then}' === 'exits') process.exit(3);
const say = (...words) => spawnSync('systemd-notify', words);
say('--ready', 'WATCHDOG=1', 'STATUS=' + require('../release.json').version);
setInterval(() => say('WATCHDOG=1'), 300);
if ('${then}' === 'hangs') setTimeout(() => { for (;;); }, ${afterMs});
if ('${then}' === 'dies') setTimeout(() => process.exit(4), ${afterMs});
`;

/** Makes a version of the agent: a wrapper that does as the script says. */
export function installAgent(version: string, script: string): void {
  const place = join(AGENT_ROOT, 'versions', version);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'bellwether-agent'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(place, 'bellwether-agent'), 0o755);
}

export function point(link: 'current' | 'previous', version: string): void {
  rmSync(join(AGENT_ROOT, link), { force: true });
  symlinkSync(join('versions', version), join(AGENT_ROOT, link));
}

export const linkOf = (root: string, link: string): string =>
  readlinkSync(join(root, link)).replace('versions/', '');

export const stateText = (): string => {
  const file = join(SERVICE_ROOT, 'state.json');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
};

/** What the operator changes to have it all go faster; and a service that speaks sd_notify. */
function dropIn(unit: string, lines: readonly string[]): void {
  const folder = `/etc/systemd/system/${unit}.d`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'test.conf'), `${lines.join('\n')}\n`);
}

/** Installs what an installer would: agent, units, script, configuration and policy. */
export async function installNode(options: {
  readonly manager: ManagerApi;
  readonly agentMain: string;
  readonly publicKey: string;
}): Promise<string> {
  cpSync('deploy/systemd', '/etc/systemd/system', {
    recursive: true,
    filter: (from) => !from.endsWith('.sh'),
  });
  mkdirSync('/usr/lib/bellwether', { recursive: true });
  cpSync('deploy/systemd/rollback.sh', '/usr/lib/bellwether/rollback.sh');
  const run = `exec ${process.execPath} ${options.agentMain} "$@"`;
  installAgent('1.0.0', run);
  point('current', '1.0.0');
  const [path, faster] = [process.env['PATH'] ?? '', 'RestartSec=100ms'];
  dropIn(AGENT, ['[Service]', 'WatchdogSec=6', 'TimeoutAbortSec=1', faster]);
  dropIn(SERVICE, [
    ...['[Unit]', 'StartLimitBurst=4', '[Service]', 'Type=notify', 'NotifyAccess=all'],
    ...['WatchdogSec=3', 'TimeoutAbortSec=1', faster, `Environment=PATH=${path}`],
    ...['ExecStart=', `ExecStart=${SERVICE_ROOT}/current/bin/edge.cjs`],
  ]);
  systemctl('daemon-reload');
  const { body } = await options.manager.call('enrollment.create', {
    body: { group_id: 'grp_default' },
  });
  const args = ['--dir', CONFIG, '--manager', options.manager.url, '--token', body.secret];
  const enroll = ['enroll', ...args, '--name', 'edge-01'];
  await runToEnd(join(AGENT_ROOT, 'current', 'bellwether-agent'), enroll);
  const service = ['[[services]]', 'name = "edge"', 'product = "edge"', `root = "${SERVICE_ROOT}"`];
  const config = [`manager = "${options.manager.url}"`, ...service, 'driver = "systemd"'];
  const health = 'health = { kind = "none", interval_secs = 0.2 }';
  writeFileSync(join(CONFIG, 'agent.toml'), [...config, health].join('\n'));
  mkdirSync(SERVICE_ROOT, { recursive: true });
  const signer = ['[[signers]]', 'name = "pipeline"', `public_key = "${options.publicKey}"`];
  const policy = ['enabled = true', 'boot_health_window_secs = 12', ...signer].join('\n');
  writeFileSync(join(SERVICE_ROOT, 'policy.toml'), policy, { mode: 0o640 });
  const identity = readFileSync(join(CONFIG, 'identity.json'), 'utf8');
  return (JSON.parse(identity) as { node_id: string }).node_id;
}

/** Not synchronously: the manager that it talks to lives in this process. */
async function runToEnd(path: string, args: readonly string[]): Promise<void> {
  const child = spawn(path, args, { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${path} ${args[0] ?? ''}: exit code ${code ?? 'none'}`);
}

/** Puts on the disk what must be there after a power cut. */
export const syncDisk = (): void => void spawnSync('sync');
