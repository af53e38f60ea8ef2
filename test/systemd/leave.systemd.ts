import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { eventually, makeSigningKey, publish } from '../support/fleet.js';
import { startTestManager, type TestManager } from '../support/manager.js';
import { show, systemctl } from './machine.js';
import { AGENT, AGENT_ROOT, installNode, program, SERVICE, SERVICE_ROOT } from './node.js';

const CONFIG = '/etc/bellwether';
const UNITS = '/etc/systemd/system';
const KEPT_INSTALLER = '/usr/lib/bellwether/install.sh';
const key = makeSigningKey();
let manager: TestManager;
let nodeId: string;
let servicePid: string;

/** The command line of the agent; not synchronously, for the manager lives in this process. */
async function cli(...words: string[]): Promise<{ code: number | null; said: string }> {
  const child = spawn(join(AGENT_ROOT, 'current', 'bellwether-agent'), words);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

const unitsLeft = (): string[] =>
  readdirSync(UNITS).filter((name) => /^bellwether-(agent|svc).*\.service$/.test(name));

beforeAll(async () => {
  // Whatever an earlier boot of this machine left.
  systemctl('stop', 'bellwether-agent*.service', 'bellwether-svc@*.service');
  for (const path of [CONFIG, '/opt/bellwether']) rmSync(path, { recursive: true, force: true });
  const programs = buildPrograms();
  manager = await startTestManager({ BELLWETHER_PERMIT_LEASE_MS: '1000' });
  const agentMain = join(programs.path, 'agent', 'main.js');
  nodeId = await installNode({ manager, agentMain, publicKey: key.publicKey });
  copyFileSync('deploy/install.sh', KEPT_INSTALLER);
  systemctl('enable', '--quiet', '--now', AGENT);
  await publish(manager, {
    ...{ folder: '/srv/tmp', version: '1.0.0', sequence: 1, key },
    program: program(),
  });
  await eventually(async () => {
    const body = { version: '1.0.0', product: 'edge' };
    const answer = await manager.call('nodes.upgrade', { params: { id: nodeId }, body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(202);
  });
  await eventually(() => {
    expect([show(SERVICE, 'ActiveState'), show(SERVICE, 'StatusText')]).toEqual([
      'active',
      '1.0.0',
    ]);
    return Promise.resolve();
  }, 60_000);
  servicePid = show(SERVICE, 'MainPID');
}, 240_000);
afterAll(() => manager.stop());

const serviceGoesOn = (): void => {
  expect([show(SERVICE, 'ActiveState'), show(SERVICE, 'MainPID')]).toEqual(['active', servicePid]);
};

it('decommission: the manager is told, the agent ends and stays away, the service goes on', async () => {
  const { code, said } = await cli('decommission', '--yes', '--dir', CONFIG);
  expect(code, said).toBe(0);
  expect(said).toContain('the manager was told');
  expect(show(AGENT, 'ActiveState')).toBe('inactive');
  expect(show(AGENT, 'UnitFileState')).toBe('disabled');
  // Its unit starts it again whenever it ends: it must have been told not to.
  await sleep(2_000);
  expect([show(AGENT, 'ActiveState'), show(AGENT, 'MainPID')]).toEqual(['inactive', '0']);
  const left = readdirSync(CONFIG);
  expect(left).toContain('agent.toml');
  for (const name of ['identity.json', 'node.key', 'spool']) expect(left).not.toContain(name);
  serviceGoesOn();
  await eventually(async () => {
    const { body } = await manager.call('nodes.show', { params: { id: nodeId } });
    expect(body.status).toBe('offline');
  });
  // Once more changes nothing.
  expect((await cli('decommission', '--yes', '--dir', CONFIG)).code).toBe(0);
});

it('uninstall: asks for a word, takes the agent and its units, and lets the service go on', async () => {
  const asked = await cli('uninstall', '--dir', CONFIG);
  expect([asked.code, asked.said]).toEqual([2, expect.stringContaining('say --yes')]);
  expect(existsSync(AGENT_ROOT)).toBe(true);
  const { code, said } = await cli('uninstall', '--yes', '--dir', CONFIG);
  expect(code, said).toBe(0);
  expect(said).toContain('the agent is removed');
  expect(existsSync(AGENT_ROOT)).toBe(false);
  expect(unitsLeft().filter((name) => name.startsWith('bellwether-agent'))).toEqual([]);
  expect(show(AGENT, 'LoadState')).toBe('not-found');
  // The units of services stay, and what they run.
  expect(unitsLeft()).toContain('bellwether-svc@.service');
  expect(existsSync(join(SERVICE_ROOT, 'current'))).toBe(true);
  serviceGoesOn();
});

it('uninstall with --purge: services end, and nothing is left', async () => {
  const child = spawn('sh', [KEPT_INSTALLER, '--uninstall', '--purge'], { stdio: 'inherit' });
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code).toBe(0);
  expect(show(SERVICE, 'MainPID')).toBe('0');
  expect(existsSync(`/proc/${servicePid}`)).toBe(false);
  expect(unitsLeft()).toEqual([]);
  for (const path of [CONFIG, '/opt/bellwether', '/usr/lib/bellwether']) {
    expect(existsSync(path), path).toBe(false);
  }
});
