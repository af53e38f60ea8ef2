import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { eventually, makeSigningKey, publish } from '../support/fleet.js';
import { startTestManager, type TestManager } from '../support/manager.js';
import { journal, show, systemctl } from './machine.js';
import {
  AGENT,
  AGENT_ROOT,
  installAgent,
  installNode,
  linkOf,
  point,
  program,
  SERVICE,
  SERVICE_ROOT,
  stateText,
  syncDisk,
} from './node.js';

const ROLLBACK = 'bellwether-agent-rollback.service';
const BROKEN = 'echo broken >&2; exit 1';
/** Ended too often, or sick while it was being started again: which comes first is a race. */
const TURNED_BACK = ['upgrade_crash_loop', 'upgrade_unhealthy'];
const key = makeSigningKey();
let manager: TestManager;
let nodeId: string;
let sequence = 0;

beforeAll(async () => {
  const programs = buildPrograms();
  manager = await startTestManager({ BELLWETHER_PERMIT_LEASE_MS: '1000' });
  const agentMain = join(programs.path, 'agent', 'main.js');
  nodeId = await installNode({ manager, agentMain, publicKey: key.publicKey });
  systemctl('start', AGENT);
}, 120_000);

/** Publishes a release and has the manager offer it; gives the id of the rollout. */
async function offer(version: string, source: string): Promise<string> {
  sequence += 1;
  await publish(manager, { folder: '/srv/tmp', version, sequence, key, program: source });
  return eventually(async () => {
    const body = { version, product: 'edge' };
    const answer = await manager.call('nodes.upgrade', { params: { id: nodeId }, body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(202);
    return answer.body.id;
  });
}

const ended = (id: string, ...codes: readonly (string | null)[]): Promise<void> =>
  eventually(async () => {
    const { body } = await manager.call('rollouts.show', { params: { id } });
    expect(body.status).toBe('complete');
    const { outcome } = JSON.parse(stateText()) as { outcome: { error_code: string | null } };
    expect(codes).toContain(outcome.error_code);
  }, 50_000);

const runs = (version: string): Promise<void> =>
  eventually(() => {
    expect(show(SERVICE, 'ActiveState')).toBe('active');
    expect(show(SERVICE, 'StatusText')).toBe(version);
    expect(linkOf(SERVICE_ROOT, 'current')).toBe(version);
    return Promise.resolve();
  });

const servicePid = (): string => show(SERVICE, 'MainPID');
const isFailed = (): Promise<void> =>
  eventually(() => {
    expect(show(AGENT, 'ActiveState')).toBe('failed');
    return Promise.resolve();
  });

it('install: the agent is ready, feeds its watchdog and runs the first release', async () => {
  await ended(await offer('1.0.0', program()), null);
  await runs('1.0.0');
  expect(show(AGENT, 'ActiveState')).toBe('active');
  await eventually(() => {
    expect(show(AGENT, 'StatusText')).toBe('edge 1.0.0');
    return Promise.resolve();
  });
  // More than its watchdog would bear without beats.
  expect(show(AGENT, 'NRestarts')).toBe('0');
});

it('upgrade: the next release runs', async () => {
  await ended(await offer('1.1.0', program()), null);
  await runs('1.1.0');
});

it('a release that exits is turned back', async () => {
  await ended(await offer('1.2.0', program('exits')), 'upgrade_crash_loop');
  await runs('1.1.0');
});

it('a release that hangs is ended by the watchdog of its unit and turned back', async () => {
  await ended(await offer('1.3.0', program('hangs', 200)), ...TURNED_BACK);
  await runs('1.1.0');
  expect(journal(SERVICE)).toContain('Watchdog timeout');
});

it('a release that was ready and then dies is turned back', async () => {
  await ended(await offer('1.4.0', program('dies')), ...TURNED_BACK);
  await runs('1.1.0');
});

it('an agent that hangs is started again by its watchdog, and takes the service over', async () => {
  const pid = servicePid();
  const before = Number(show(AGENT, 'NRestarts'));
  systemctl('kill', '--signal=SIGSTOP', AGENT);
  await eventually(() => {
    expect(Number(show(AGENT, 'NRestarts'))).toBe(before + 1);
    expect(show(AGENT, 'ActiveState')).toBe('active');
    return Promise.resolve();
  });
  expect(servicePid()).toBe(pid);
});

it('OnFailure with the agent dead: the service goes back without it, and the agent tells', async () => {
  const id = await offer('1.5.0', program('dies', 1_500));
  await eventually(() => {
    expect(stateText()).toContain('"phase": "probation"');
    return Promise.resolve();
  });
  systemctl('stop', AGENT);
  await runs('1.1.0');
  expect(journal('bellwether-svc-rollback@edge.service')).toContain('gone back to versions/1.1.0');
  systemctl('start', AGENT);
  await ended(id, 'upgrade_crash_loop');
  await runs('1.1.0');
});

it('a service that has proven itself is not undone while no agent runs', async () => {
  systemctl('stop', AGENT);
  for (let end = 0; end < 5 && show(SERVICE, 'ActiveState') !== 'failed'; end += 1) {
    systemctl('kill', '--signal=SIGKILL', SERVICE);
    await sleep(600);
  }
  await eventually(() => {
    expect(journal('bellwether-svc-rollback@edge.service')).toContain('nothing is undone');
    return Promise.resolve();
  });
  expect(linkOf(SERVICE_ROOT, 'current')).toBe('1.1.0');
  systemctl('start', AGENT);
  await runs('1.1.0');
});

it('an agent that cannot start gives way to the one before it, and the service goes on', async () => {
  const pid = servicePid();
  installAgent('2.0.0', BROKEN);
  point('previous', '1.0.0');
  point('current', '2.0.0');
  systemctl('restart', '--no-block', AGENT);
  await eventually(() => {
    expect([linkOf(AGENT_ROOT, 'current'), show(AGENT, 'ActiveState')]).toEqual([
      '1.0.0',
      'active',
    ]);
    return Promise.resolve();
  });
  expect(journal(ROLLBACK)).toContain(
    'did not stay up on versions/2.0.0: gone back to versions/1.0.0',
  );
  expect(servicePid()).toBe(pid);
});

it('where that one cannot start either there is one try, and then it says so', async () => {
  const pid = servicePid();
  installAgent('3.0.0', BROKEN);
  point('previous', '2.0.0');
  point('current', '3.0.0');
  systemctl('restart', '--no-block', AGENT);
  await eventually(() => {
    expect(journal(ROLLBACK)).toContain('versions/2.0.0 does not start either');
    return Promise.resolve();
  });
  await isFailed();
  const tried = (): number => journal(ROLLBACK).split('gone back to versions/2.0.0').length;
  const before = tried();
  await sleep(3_000);
  expect([tried(), show(AGENT, 'ActiveState')]).toEqual([before, 'failed']);
  expect(readFileSync(join(AGENT_ROOT, 'rolled-back'), 'utf8')).toBe('versions/2.0.0\n');
  expect([servicePid(), linkOf(AGENT_ROOT, 'current')]).toEqual([pid, '2.0.0']);
  point('current', '1.0.0');
  systemctl('reset-failed', AGENT);
  systemctl('start', AGENT);
});

it('reboot in the middle: a version is on probation when the power goes', async () => {
  await offer('1.6.0', program());
  await eventually(() => {
    expect(stateText()).toContain('"phase": "probation"');
    expect(existsSync(join(SERVICE_ROOT, 'versions', '1.6.0'))).toBe(true);
    return Promise.resolve();
  });
  // Started by their units at the next boot, without anybody's help.
  systemctl('add-wants', 'bellwether-test.target', AGENT, SERVICE);
  syncDisk();
}, 90_000);
