import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import { eventually } from '../support/fleet.js';
import {
  asOnItsMachine,
  install,
  makeKeys,
  makePayload,
  packRelease,
  publishRelease,
} from '../support/agent/installer.js';
import { startManagerProcess, type ManagerProcess } from '../support/manager-process.js';

/** What its unit says in `StartLimitBurst=`: then the version before gets one try. */
const STARTS_MAX = 5;

/**
 * The agent as a product: installed by the installer, upgraded by the manager, as every service is.
 * In the place of its unit stands a loop that starts `current` again, and after five starts that
 * came to nothing runs the script of `OnFailure=`.
 */
describe('an agent that upgrades itself', () => {
  const dir = makeTempDir();
  const at = (...names: string[]): string => join(dir.path, ...names);
  const root = at('root');
  const agentRoot = join(root, 'opt/bellwether/agent');
  let programs: ReturnType<typeof buildPrograms>;
  let manager: ManagerProcess;
  let nodeId = '';
  let key = '';
  let sequence = 1;
  let child: ChildProcess | null = null;
  let isOver = false;
  let loop: Promise<void> = Promise.resolve();
  let starts = 0;

  const current = (): string => readlinkSync(join(agentRoot, 'current')).replace('versions/', '');

  async function keepRunning(): Promise<void> {
    for (let inVain = 0; !isOver;) {
      const startedAt = Date.now();
      starts += 1;
      const path = `${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}`;
      child = spawn(
        join(agentRoot, 'current/bellwether-agent'),
        ['run', '--dir', join(root, 'etc/bellwether')],
        { stdio: 'ignore', env: { ...process.env, PATH: path } },
      );
      await once(child, 'exit');
      inVain = Date.now() - startedAt < 1_000 ? inVain + 1 : 0;
      if (inVain < STARTS_MAX) await sleep(50);
      else inVain = goBack();
    }
  }

  /** As `bellwether-agent-rollback.service` does it; systemctl is what this loop is. */
  function goBack(): number {
    const script = join(root, 'usr/lib/bellwether/rollback.sh');
    const options = {
      encoding: 'utf8',
      env: { PATH: `${at('bin')}:${process.env['PATH']}` },
    } as const;
    const done = spawnSync('sh', [script, 'agent', agentRoot, 'bellwether-agent.service'], options);
    expect(done.stdout).toContain('gone back to');
    return 0;
  }

  /** A folder like the payload, with another program in it. */
  const payloadWith = (name: string, script: string): string => {
    cpSync(at('payload'), at(name), { recursive: true });
    cpSync(at('payload', 'bellwether-agent'), at(name, 'agent'));
    writeFileSync(at(name, 'bellwether-agent'), `#!/bin/sh\n${script}\n`);
    chmodSync(at(name, 'bellwether-agent'), 0o755);
    return at(name);
  };

  const offer = async (version: string, payload = at('payload')): Promise<void> => {
    sequence += 1;
    const release = { payload, keys: at('keys'), out: at(version), sequence, version };
    packRelease(programs.path, release);
    publishRelease(programs.path, at(version), manager);
    const body = { version, product: 'bellwether-agent' };
    await eventually(async () => {
      const answer = await manager.call('nodes.upgrade', { params: { id: nodeId }, body });
      expect(answer.status, JSON.stringify(answer.body)).toBe(202);
    });
  };

  const outcomeIs = (wanted: Record<string, unknown>): Promise<void> =>
    eventually(() => {
      const text = readFileSync(join(agentRoot, 'state.json'), 'utf8');
      expect(JSON.parse(text)).toMatchObject({ job: null, outcome: wanted });
      return Promise.resolve();
    }, 40_000);

  beforeAll(async () => {
    programs = buildPrograms();
    makePayload(at('payload'));
    makeKeys(programs.path, at('keys'));
    const release = { payload: at('payload'), keys: at('keys'), out: at('0.1.0'), sequence };
    packRelease(programs.path, release);
    manager = await startManagerProcess(programs.path);
    mkdirSync(join(root, 'etc'), { recursive: true });
    for (const name of ['passwd', 'group', 'shadow', 'gshadow']) {
      writeFileSync(join(root, 'etc', name), '');
    }
    mkdirSync(at('bin'));
    writeFileSync(at('bin', 'systemctl'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    const token = await manager.call('enrollment.create', { body: { group_id: 'grp_default' } });
    expect(token.status, JSON.stringify(token.body)).toBe(201);
    key = readFileSync(at('keys', 'release.pub'), 'utf8').trim().split('\n').at(-1) ?? '';
    const done = await install(
      'sh',
      [
        ...['--root', root, '--from', at('0.1.0'), '--manager', manager.url, '--public-key', key],
        ...['--token-file', '-', '--name', 'edge-01', '--wait', '0'],
      ],
      { stdin: token.body.secret },
    );
    expect(done.code, done.said).toBe(0);
    asOnItsMachine(root);
    const policy = join(agentRoot, 'policy.toml');
    writeFileSync(policy, `boot_health_window_secs = 4\n${readFileSync(policy, 'utf8')}`);
    const identity = readFileSync(join(root, 'etc/bellwether/identity.json'), 'utf8');
    nodeId = (JSON.parse(identity) as { node_id: string }).node_id;
    loop = keepRunning();
  }, 180_000);

  afterAll(async () => {
    isOver = true;
    child?.kill('SIGTERM');
    await loop;
    await manager.stop();
    programs.remove();
    dir.remove();
  });

  it('is known to the manager as a service, in the version that was installed', async () => {
    await eventually(async () => {
      const { body } = await manager.call('nodes.list');
      const [service] = body.items[0]?.services ?? [];
      expect(service).toMatchObject({ name: 'agent', version: '0.1.0' });
    });
    const events = await manager.call('events.list');
    expect(JSON.stringify(events.body)).not.toContain('state_recovered');
  });

  it(
    'runs the next version, proves it, and keeps the one before',
    { timeout: 60_000 },
    async () => {
      await offer('0.1.1');
      await outcomeIs({ version: '0.1.1', result: 'succeeded' });
      expect(current()).toBe('0.1.1');
      expect(readlinkSync(join(agentRoot, 'previous'))).toBe('versions/0.1.0');
      expect(starts).toBe(2);
    },
  );

  it('goes back from one that ends again and again', { timeout: 60_000 }, async () => {
    const script = 'timeout -s KILL 2 "$(dirname "$0")/agent" "$@"';
    await offer('0.1.2', payloadWith('ends', script));
    const why = { result: 'rolled_back', error_code: 'upgrade_crash_loop' };
    await outcomeIs({ version: '0.1.2', ...why });
    expect(current()).toBe('0.1.1');
  });

  it('is brought back from one that does not even start', { timeout: 60_000 }, async () => {
    await offer('0.1.3', payloadWith('broken', 'exit 1'));
    const why = { result: 'rolled_back', error_code: 'upgrade_crash_loop' };
    await outcomeIs({ version: '0.1.3', ...why });
    expect(current()).toBe('0.1.1');
    expect(readFileSync(join(agentRoot, 'rolled-back'), 'utf8')).toBe('versions/0.1.1\n');
  });

  it('is not replaced by an older one by the installer', async () => {
    const from = ['--root', root, '--from', at('0.1.0'), '--manager', manager.url];
    const { code, said } = await install('sh', [...from, '--public-key', key]);
    expect(said).toContain('a newer release is installed');
    expect(code).toBe(3);
  });

  it('takes a good version again after that', { timeout: 60_000 }, async () => {
    await offer('0.1.4');
    await outcomeIs({ version: '0.1.4', result: 'succeeded' });
  });
});
