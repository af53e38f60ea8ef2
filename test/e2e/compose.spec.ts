import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildPrograms } from '../support/built.js';
import { makePostgresDatabase, makeTempDir } from '../support/databases.js';
import { eventually, freePort } from '../support/fleet.js';
import { Mortal } from '../support/manager-crew.js';
import { callRoute } from '../support/manager.js';
import { freshPrefix, redisUrl } from '../support/redis.js';
import { ROOT } from '../walls/tree.js';

interface Service {
  readonly image: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  readonly read_only: boolean;
  readonly security_opt: readonly string[];
  readonly cap_drop: readonly string[];
  readonly mem_limit: string;
  readonly cpus: number;
  readonly pids_limit: number;
  readonly ports?: readonly string[];
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks?: readonly string[] | Readonly<Record<string, { ipv4_address: string }>>;
  readonly network_mode?: string;
  readonly depends_on?: Readonly<Record<string, { condition: string }>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, unknown>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const compose = parse(textOf('docker-compose.yml'), { merge: true }) as Compose;
const services = Object.entries(compose.services);
const haproxyFile = join(ROOT, 'deploy/compose/haproxy.cfg');

describe('docker-compose.yml', () => {
  it('has two managers, what they stand on, a balancer and three agents', () => {
    expect(services.map(([name]) => name).sort()).toEqual(
      'balancer edge-1 edge-2 edge-3 enroll manager-1 manager-2 postgres redis'.split(' '),
    );
  });

  it('gives each service limits, a root that is read-only, and no way to more rights', () => {
    for (const [name, service] of services) {
      expect([name, service.read_only, service.security_opt, service.cap_drop]).toEqual([
        name,
        true,
        ['no-new-privileges:true'],
        ['ALL'],
      ]);
      expect(service.mem_limit, name).toMatch(/^\d+[mg]$/);
      expect(service.cpus, name).toBeGreaterThan(0);
      expect(service.pids_limit, name).toBeGreaterThan(0);
      const isImageChecked = service.image === 'bellwether:local';
      expect(isImageChecked || service.healthcheck?.test !== undefined, name).toBe(true);
    }
  });

  it('sets nothing that its programs do not know, and no secret', () => {
    const config = textOf('src/server/platform/config/config.ts');
    const known = new Set(
      [...config.matchAll(/^ {2}([A-Z][A-Z0-9_]+):/gm)].map(([, word = '']) => word),
    );
    const others = ['POSTGRES_USER', 'POSTGRES_DB', 'POSTGRES_PASSWORD_FILE', 'NODE_NAME'];
    expect(textOf('deploy/compose/agent.sh')).toContain('$NODE_NAME');
    for (const [name, { environment = {} }] of services) {
      const unknown = Object.keys(environment).filter(
        (word) => !known.has(word) && !others.includes(word),
      );
      expect([name, unknown]).toEqual([name, []]);
      expect(JSON.stringify(environment), name).not.toMatch(/:\/\/[^"/]*:[^"/@]*@/);
    }
  });

  it('names nothing that is not there: volumes, secrets, networks, services, files, ports', () => {
    for (const [name, service] of services) {
      const wanted = [
        ...(service.secrets ?? []).map((one) => one in compose.secrets),
        ...Object.keys(service.depends_on ?? {}).map((one) => one in compose.services),
        ...(service.volumes ?? []).map((one) => {
          const [source = ''] = one.split(':');
          return source.startsWith('.')
            ? existsSync(join(ROOT, source))
            : source in compose.volumes;
        }),
        ...(Array.isArray(service.networks)
          ? (service.networks as string[])
          : Object.keys(service.networks ?? {})
        ).map((one) => one in compose.networks),
        (service.network_mode ?? 'service:balancer') === 'service:balancer',
      ];
      expect([name, wanted.filter((isThere) => !isThere)]).toEqual([name, []]);
      for (const [, path = ''] of JSON.stringify(service).matchAll(/\/run\/secrets\/(\w+)/g)) {
        expect(service.secrets, name).toContain(path);
      }
    }
    const address = compose.services['balancer']?.networks as Record<
      string,
      { ipv4_address: string }
    >;
    const manager = compose.services['manager-1']?.environment ?? {};
    expect(manager['BELLWETHER_TRUSTED_PROXIES']).toBe(address['inside']?.ipv4_address);
    expect(compose.services['balancer']?.ports).toEqual(['127.0.0.1:8480:8480']);
    expect(textOf('deploy/Dockerfile')).toContain('BELLWETHER_PORT=8480');
    for (const file of ['agent.sh', 'enroll.sh']) {
      expect(textOf('deploy/Dockerfile')).toContain(`deploy/compose/${file}`);
      expect(textOf('.dockerignore')).toContain(`!deploy/compose/${file}`);
    }
  });

  it('finds the secrets that its script makes, once', () => {
    const dir = makeTempDir();
    try {
      const script = join(dir.path, 'make-secrets.sh');
      writeFileSync(script, textOf('deploy/compose/make-secrets.sh'));
      const made = () => {
        expect(spawnSync('sh', [script]).status).toBe(0);
        return Object.values(compose.secrets).map(({ file }) =>
          readFileSync(join(dir.path, file.replace('./deploy/compose/', '')), 'utf8'),
        );
      };
      const first = made();
      expect(new Set(first).size).toBe(3);
      expect(first.every((text) => /^[A-Za-z0-9+/]{43}=\n$/.test(text))).toBe(true);
      expect(made()).toEqual(first);
    } finally {
      dir.remove();
    }
  });
});

describe('the balancer in front of two managers', () => {
  const dir = makeTempDir();
  const cleanUps: (() => unknown)[] = [() => dir.remove()];
  const managers: Mortal[] = [];
  const children: ChildProcess[] = [];
  let programs: ReturnType<typeof buildPrograms>;
  let url = '';

  beforeAll(async () => {
    programs = buildPrograms();
    cleanUps.push(() => programs.remove());
    const database = await makePostgresDatabase();
    cleanUps.push(() => database.drop());
    const [balancer, ...ports] = [await freePort(), await freePort(), await freePort()];
    url = `http://127.0.0.1:${balancer}`;
    writeFileSync(join(dir.path, 'master.key'), `${randomBytes(32).toString('base64')}\n`);
    const prefix = freshPrefix();
    for (const port of ports) {
      const env = {
        ...process.env,
        BELLWETHER_DATA_DIR: join(dir.path, 'data'),
        BELLWETHER_PORT: String(port),
        BELLWETHER_PUBLIC_URL: url,
        BELLWETHER_LOG_LEVEL: 'silent',
        BELLWETHER_MASTER_KEY_FILE: join(dir.path, 'master.key'),
        BELLWETHER_TRUSTED_PROXIES: '127.0.0.9',
        BELLWETHER_REDIS_PREFIX: prefix,
        DATABASE_URL: database.url,
        REDIS_URL: redisUrl(),
      };
      const manager = new Mortal(
        () =>
          spawn(process.execPath, [join(programs.path, 'server', 'main.js')], {
            env,
            stdio: 'ignore',
          }),
        async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok,
      );
      managers.push(manager);
      await manager.start();
    }
    const file = join(dir.path, 'haproxy.cfg');
    writeFileSync(file, onThisMachine(textOf('deploy/compose/haproxy.cfg'), balancer, ports));
    children.push(spawn('haproxy', ['-f', file], { stdio: 'ignore' }));
    await eventually(async () => expect((await fetch(`${url}/healthz`)).status).toBe(200));
  }, 600_000);

  afterAll(async () => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    }
    for (const manager of managers) await manager.kill();
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  }, 120_000);

  /** The file as it is, but for names of containers, which only a network of containers knows. */
  function onThisMachine(text: string, balancer: number, ports: readonly number[]): string {
    const changed = text
      .replace('bind :8480', `bind 127.0.0.1:${balancer}`)
      .replace('manager-1:8480', `127.0.0.1:${ports[0]} source 127.0.0.9`)
      .replace('manager-2:8480', `127.0.0.1:${ports[1]} source 127.0.0.9`)
      .replace(' resolvers containers init-addr last,libc,none', '');
    expect(changed.match(/127\.0\.0\.1:/g)).toHaveLength(3);
    return changed;
  }

  const script = (name: string, words: readonly string[], env: object): ChildProcess =>
    spawn('sh', [join(ROOT, 'deploy/compose', name), ...words], {
      cwd: dirname(dirname(programs.path)),
      env: {
        ...process.env,
        PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
        ...env,
      },
      stdio: 'ignore',
    });

  let admin = '';

  it('has a file that its own checker takes', () => {
    const done = spawnSync('haproxy', ['-c', '-f', haproxyFile], { encoding: 'utf8' });
    expect(done.status, done.stderr).toBe(0);
    expect(done.stderr).not.toContain('ALERT');
  });

  it('lets agents enroll by the scripts of the containers, and come online', async () => {
    const enrollment = join(dir.path, 'enrollment');
    mkdirSync(enrollment);
    const names = ['edge-1', 'edge-2', 'edge-3'];
    const env = {
      ENROLLMENT_DIR: enrollment,
      SETUP_TOKEN_FILE: join(dir.path, 'data', 'setup-token'),
      BELLWETHER_URL: url,
      BELLWETHER_MANAGER: url,
    };
    // A second `docker compose up` makes the tokens anew, and no second admin.
    for (let round = 0; round < 2; round += 1) {
      const [code] = (await once(script('enroll.sh', names, env), 'exit')) as [number];
      expect(code).toBe(0);
    }
    admin = readFileSync(join(enrollment, 'admin-token'), 'utf8').trim();
    for (const name of names) {
      const agentDir = join(dir.path, name);
      mkdirSync(agentDir, { mode: 0o700 });
      const own = { AGENT_DIR: agentDir, NODE_NAME: name, MANAGER_URL: url };
      children.push(script('agent.sh', [], { ...env, ...own }));
    }
    // That they are told to be online by every manager is for specs of several managers to show.
    await eventually(async () => {
      const nodes = await callRoute(url, 'nodes.list', {}, admin);
      const { items } = nodes.body as { items: { id: string; name: string }[] };
      expect(items.map(({ name }) => name).sort()).toEqual(names);
      const events = await callRoute(url, 'events.list', { query: { limit: 1000 } }, admin);
      const told = (events.body as { items: { type: string; node_id: string | null }[] }).items;
      const came = new Set(
        told.filter((one) => one.type === 'node_connected').map((one) => one.node_id),
      );
      expect([...came].sort()).toEqual(items.map(({ id }) => id).sort());
    }, 180_000);
  }, 240_000);

  it('tells managers who called, whatever the caller writes', async () => {
    const made = await fetch(`${url}/api/v1/groups`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${admin}`,
        'content-type': 'application/json',
        'x-forwarded-for': '203.0.113.7',
      },
      body: JSON.stringify({ name: 'seen' }),
    });
    expect(made.status).toBe(201);
    const { body } = await callRoute(
      url,
      'audit.list',
      { query: { action: 'group.create' } },
      admin,
    );
    expect((body as { items: { ip: string }[] }).items[0]?.ip).toBe('127.0.0.1');
  });

  it('goes on when a manager dies, and nodes are back at the other one', async () => {
    await managers[0]?.kill();
    await eventually(async () => {
      for (let count = 0; count < 10; count += 1) {
        const { status, body } = await callRoute(url, 'nodes.list', {}, admin);
        expect(status).toBe(200);
        const { items } = body as { items: { status: string }[] };
        expect(items.map((node) => node.status)).toEqual(['online', 'online', 'online']);
      }
    }, 180_000);
  }, 240_000);
});
