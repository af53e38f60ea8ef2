import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/agent/config.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import { freePort } from '../support/fleet.js';
import { startTestManager, type TestManager } from '../support/manager.js';
import { ROOT } from '../walls/tree.js';
import { manifestIn, manifestsOf, type Manifest } from './cases.js';

interface Done {
  readonly code: number;
  readonly out: string;
}
const run = (file: string, args: readonly string[], env: Readonly<Record<string, string>>) =>
  new Promise<Done>((resolve) => {
    const all = { PATH: process.env['PATH'] ?? '', ...env };
    execFile(file, args, { env: all }, (failure, out, error) => {
      resolve({ code: failure === null ? 0 : Number(failure.code ?? -1), out: out + error });
    });
  });

const INSTALL = createHash('sha256').update('bellwether/fleet').digest('hex').slice(0, 32);
/** As the kubelet fills them in on that machine: `$(NAME)` is a variable that came before. */
function variablesOf(set: Manifest): Record<string, string> {
  const { template } = set['spec'] as {
    template: {
      spec: {
        initContainers: {
          env: { name: string; value?: string; valueFrom?: { fieldRef?: { fieldPath: string } } }[];
        }[];
      };
    };
  };
  const filled: Record<string, string> = {};
  for (const { name, value, valueFrom } of template.spec.initContainers[0]!.env) {
    if (valueFrom?.fieldRef?.fieldPath === 'spec.nodeName') filled[name] = 'machine-7.internal';
    if (value === undefined) continue;
    filled[name] = value.replace(/\$\((\w+)\)/g, (all, other: string) => filled[other] ?? all);
  }
  return filled;
}

describe('what the charts run in containers', () => {
  const dir = makeTempDir();
  let manager: TestManager;
  let programs: ReturnType<typeof buildPrograms>;
  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startTestManager();
  }, 180_000);
  afterAll(async () => {
    await manager.stop();
    programs.remove();
    dir.remove();
  });

  /** The settings of a machine, as the ConfigMap of the chart mounts them. */
  const mount = (): {
    env: Record<string, string>;
    agentDir: string;
    root: string;
    token: string;
  } => {
    const settings = join(dir.path, 'settings');
    const [agentDir, root] = [join(dir.path, 'state', 'agent'), join(dir.path, 'edge')];
    rmSync(settings, { recursive: true, force: true });
    mkdirSync(settings);
    const all = manifestsOf({ chart: 'bellwether-agent', name: 'machines' });
    const { data = {} } = manifestIn(all, 'ConfigMap', 'fleet-bellwether-agent-settings');
    for (const [name, text] of Object.entries(data)) {
      const here = text
        .replaceAll('https://bellwether.example', manager.url)
        .replace(/^manager_ca_file.*\n/m, '')
        .replaceAll('/opt/bellwether/edge', root);
      writeFileSync(join(settings, name), here);
    }
    const token = join(dir.path, 'token');
    const env = {
      ...variablesOf(manifestIn(all, 'DaemonSet', 'fleet-bellwether-agent')),
      AGENT_DIR: agentDir,
      TOKEN_FILE: token,
      SETTINGS_DIR: settings,
      AGENT_PROGRAM: join(programs.path, 'agent', 'main.js'),
      MANAGER_URL: manager.url,
    };
    return { env, agentDir, root, token };
  };
  const newToken = async (): Promise<string> => {
    const body = { cluster: 'prod-1' } as never;
    const made = await manager.call('enrollment.create_cluster', { body });
    return made.body.secret;
  };

  it('makes a machine a node, once, and anew by another token', async () => {
    const { env, agentDir, root, token } = mount();
    const enroll = () => run('sh', [join(env['SETTINGS_DIR']!, 'enroll.sh')], env);
    const idOf = (): string =>
      (JSON.parse(readFileSync(join(agentDir, 'identity.json'), 'utf8')) as { node_id: string })
        .node_id;

    writeFileSync(token, 'bwc_this-is-no-token-of-the-manager');
    expect((await enroll()).code).not.toBe(0);
    expect(existsSync(join(agentDir, 'identity.json'))).toBe(false);

    writeFileSync(token, `${await newToken()}\n`);
    expect(await enroll()).toMatchObject({ code: 0 });
    const first = idOf();
    const found = await manager.call('nodes.list', { query: { label: [`install=${INSTALL}`] } });
    expect(found.body.items).toMatchObject([
      { id: first, name: 'prod-1/north/machine-7.internal' },
    ]);
    expect(await readConfig(agentDir)).toMatchObject({
      manager: manager.url,
      labels: { site: 'north', machine: 'machine-7.internal', cluster: 'prod-1', install: INSTALL },
      services: [{ name: 'edge', driver: 'hooks' }],
    });
    expect(readFileSync(join(root, 'policy.toml'), 'utf8')).toContain('[[signers]]');

    // A pod that starts again changes nothing, and says what the chart says now.
    rmSync(join(root, 'policy.toml'));
    expect(await enroll()).toMatchObject({ code: 0 });
    expect(idOf()).toBe(first);
    expect(existsSync(join(root, 'policy.toml'))).toBe(true);

    writeFileSync(token, await newToken());
    expect(await enroll()).toMatchObject({ code: 0 });
    expect(idOf()).not.toBe(first);
    const old = await manager.call('nodes.show', { params: { id: first } });
    expect(old.body.status).toBe('revoked');
    expect(readdirSync(agentDir).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('goes on from wherever it was cut: with a key and no identity, and with an identity of before', async () => {
    const { env, agentDir, token } = mount();
    const { NODE_NAME: _, ...usual } = env;
    const enroll = () => run('sh', [join(env['SETTINGS_DIR']!, 'enroll.sh')], usual);
    writeFileSync(token, await newToken());
    expect(await enroll()).toMatchObject({ code: 0 });
    const { body } = await manager.call('nodes.list');
    expect(body.items.map(({ name }) => name)).toContain('prod-1/machine/machine-7.internal');
    const key = readFileSync(join(agentDir, 'node.key'), 'utf8');
    const identity = readFileSync(join(agentDir, 'identity.json'), 'utf8');
    rmSync(join(agentDir, 'identity.json'));
    expect(await enroll()).toMatchObject({ code: 0 });
    expect(readFileSync(join(agentDir, 'node.key'), 'utf8')).toBe(key);
    expect(readFileSync(join(agentDir, 'identity.json'), 'utf8')).toBe(identity);
    chmodSync(join(agentDir, 'agent.toml'), 0o600);
    const full = `${'site-'.repeat(24)}/machine-7.internal`;
    Object.assign(usual, { NODE_NAME: full });
    writeFileSync(join(agentDir, 'enrollment-token-hash'), 'of another token');
    expect(await enroll()).toMatchObject({ code: 0 });
    expect(readFileSync(join(agentDir, 'node.key'), 'utf8')).not.toBe(key);
    const { items } = (await manager.call('nodes.list')).body;
    const mark = createHash('sha256').update(full).digest('hex').slice(0, 20);
    expect(items.map(({ name }) => name)).toContain(`${full.slice(0, 107)}-${mark}`);
  });

  it.each([
    ['bellwether-agent', 'files/reach.mjs'],
    ['bellwether', 'files/healthz.mjs'],
  ])('tells whether the manager answers: %s, %s', async (chart, file) => {
    const text = readFileSync(join(ROOT, 'deploy/chart', chart, file), 'utf8');
    const ask = (url: string): Promise<Done> => {
      const { hostname, port } = new URL(url);
      const env = { MANAGER_URL: url, SERVICE_HOST: hostname, SERVICE_PORT: port, PUBLIC_URL: url };
      return run(process.execPath, ['--input-type=module', '--eval', text], env);
    };
    expect(await ask(manager.url)).toMatchObject({
      code: 0,
      out: expect.stringContaining('200') as string,
    });
    expect(await ask(`http://127.0.0.1:${await freePort()}`)).toMatchObject({
      code: 1,
      out: expect.stringContaining('ECONNREFUSED') as string,
    });
  });
});
