import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { eventually, freePort } from '../support/fleet.js';
import { StatusError } from '../support/kube/objects.js';
import { operatorBench, START_IMAGE, type OperatorBench } from '../support/kube/operator-bench.js';
import { startTestManager, type TestManager } from '../support/manager.js';

const WAIT_MS = 90_000;

/** What the probes of the chart see of a real process, from its start to the end of those around it. */
describe('bellwether-operator for its probes', { timeout: 3 * WAIT_MS }, () => {
  let manager: TestManager;
  let bench: OperatorBench;
  let programs: ReturnType<typeof buildPrograms>;
  const children: ChildProcess[] = [];
  let token = '';
  const said: string[] = [];

  const run = async (name: string): Promise<number> => {
    const port = await freePort();
    const child = spawn(process.execPath, [join(programs.path, 'operator', 'main.js')], {
      env: {
        PATH: process.env['PATH'],
        BELLWETHER_MANAGER_URL: manager.url,
        BELLWETHER_CLUSTER_NAME: 'prod-1',
        BELLWETHER_NAMESPACE: 'bellwether',
        BELLWETHER_TOKEN_FILE: join(bench.dir, 'token'),
        BELLWETHER_POLICY_DIR: join(bench.dir, 'policy'),
        BELLWETHER_DATA_DIR: join(bench.dir, name),
        BELLWETHER_KUBE_URL: bench.cluster.server.url,
        BELLWETHER_POD_NAME: name,
        BELLWETHER_HEALTH_PORT: String(port),
      },
      stdio: 'ignore',
    });
    children.push(child);
    return port;
  };
  const ask = async (port: number, path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    const text = await answer.text();
    said.push(text);
    return { status: answer.status, body: JSON.parse(text) as object };
  };
  const says = (port: number, path: string, status: number, body: object) =>
    eventually(async () => expect(await ask(port, path)).toMatchObject({ status, body }), WAIT_MS);

  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startTestManager();
    bench = await operatorBench(manager);
    token = readFileSync(join(bench.dir, 'token'), 'utf8');
    bench.cluster.workload({
      name: 'edge',
      image: START_IMAGE,
      annotations: { 'bellwether.dev/product': 'edge' },
    });
  }, 2 * WAIT_MS);
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await bench.stop();
    await manager.stop();
    programs.remove();
  }, WAIT_MS);

  it('is ready when it can do its work, and lives whatever happens around it', async () => {
    const { server } = bench.cluster;
    const wrong = token.replace(/.{8}$/, 'AAAAAAAA');
    writeFileSync(join(bench.dir, 'token'), wrong);
    const port = await run('operator-1');
    // It leads, and no manager takes it.
    const alone = { leads: true, api_server: 'reached', workloads: 1, linked: 0 };
    await says(port, '/readyz', 503, { status: 'not ready', ...alone });
    await says(port, '/healthz', 200, { status: 'ok' });
    writeFileSync(join(bench.dir, 'token'), token);
    await says(port, '/readyz', 200, { status: 'ok', workloads: 1, linked: 1 });

    // One that waits for the lead has nothing to wait for besides.
    const second = await run('operator-2');
    await says(second, '/readyz', 200, { leads: false, workloads: 0 });

    server.trouble = ({ user }) =>
      user === '' ? null : new StatusError(503, 'Unavailable', 'away');
    await says(port, '/readyz', 503, { status: 'not ready', api_server: 'away' });
    await says(port, '/healthz', 200, { status: 'ok' });
    server.trouble = () => null;
    await eventually(async () => {
      const both = await Promise.all([ask(port, '/readyz'), ask(second, '/readyz')]);
      expect(both.map(({ status }) => status)).toEqual([200, 200]);
      expect(both.map(({ body }) => (body as { leads: boolean }).leads).sort()).toEqual([
        false,
        true,
      ]);
    }, WAIT_MS);
  });

  it('stays ready when the manager goes away later, and ends when it is told to', async () => {
    const [first] = children;
    children.at(-1)?.kill('SIGKILL');
    const port = await run('operator-3');
    first?.kill('SIGTERM');
    if (first?.exitCode === null) await once(first, 'exit');
    expect(first?.exitCode).toBe(0);
    await says(port, '/readyz', 200, { leads: true, linked: 1 });
    await manager.stop();
    await says(port, '/readyz', 200, { leads: true, linked: 0 });
    await says(port, '/healthz', 200, {});
  });

  it('says nothing that is of use to anybody', () => {
    const secrets = [token, manager.url, 'prod-1', 'shop', 'edge'];
    expect(said.length).toBeGreaterThan(5);
    for (const text of said) {
      for (const secret of secrets) expect(text).not.toContain(secret);
    }
  });
});
