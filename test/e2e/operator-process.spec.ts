import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { eventually, freePort } from '../support/fleet.js';
import {
  imageOf,
  operatorBench,
  publishImage,
  START_IMAGE,
  type OperatorBench,
} from '../support/kube/operator-bench.js';
import type { KubeObject } from '../support/kube/objects.js';
import { CONFIGURATION, configure } from '../support/kube/webhook-bench.js';
import { startTestManager, type TestManager } from '../support/manager.js';

const WAIT_MS = 90_000;
const SEED = Number(process.env['BELLWETHER_SEED'] ?? 7);
/** Writes of one upgrade: its state again and again, a rehearsal, the patch. */
const WRITES = 10;

/** Which write it is killed at; whether that write still comes through; whether the release is good. */
const RUNS = [1, 4, 6, 7, 8, 9].map((at, index) => ({
  at: 1 + ((at + SEED) % WRITES),
  isDone: (index + SEED) % 2 === 0,
  isGood: index !== 2 && index !== 4,
}));

describe('bellwether-operator as a process', { timeout: 3 * WAIT_MS }, () => {
  let manager: TestManager;
  let bench: OperatorBench;
  let programs: ReturnType<typeof buildPrograms>;
  let child: ChildProcess | null = null;
  let minor = 0;
  let good = START_IMAGE;

  const run = (args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) => {
    const started = spawn(process.execPath, [join(programs.path, 'operator', 'main.js'), ...args], {
      env: {
        PATH: process.env['PATH'],
        BELLWETHER_MANAGER_URL: manager.url,
        BELLWETHER_CLUSTER_NAME: 'prod-1',
        BELLWETHER_NAMESPACE: 'bellwether',
        BELLWETHER_TOKEN_FILE: join(bench.dir, 'token'),
        BELLWETHER_POLICY_DIR: join(bench.dir, 'policy'),
        BELLWETHER_DATA_DIR: join(bench.dir, 'data'),
        BELLWETHER_KUBE_URL: bench.cluster.server.url,
        BELLWETHER_POD_NAME: 'operator-0',
        BELLWETHER_IMAGE_GRACE_SECONDS: '1',
        BELLWETHER_LOOK_SECONDS: '1',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [started.stdout, started.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        writeFileSync(join(bench.dir, 'operator.log'), chunk, { flag: 'a' });
      });
    }
    return started;
  };
  const ended = async (one: ChildProcess): Promise<number | null> => {
    if (one.exitCode === null && one.signalCode === null) await once(one, 'exit');
    return one.exitCode;
  };
  const statuses = async () =>
    (await manager.call('nodes.list')).body.items.map(({ status }) => status);

  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startTestManager({ BELLWETHER_PERMIT_LEASE_MS: '2000' });
    bench = await operatorBench(manager);
    bench.cluster.workload({
      name: 'edge',
      image: START_IMAGE,
      annotations: { 'bellwether.dev/product': 'edge' },
    });
    child = run();
    await eventually(async () => expect(await statuses()).toEqual(['online']), WAIT_MS);
  }, 2 * WAIT_MS);

  afterAll(async () => {
    child?.kill('SIGKILL');
    if (child !== null) await ended(child);
    await bench.stop();
    await manager.stop();
    programs.remove();
  }, WAIT_MS);

  it.each(RUNS)(
    'killed at a write ($at, done: $isDone, good: $isGood) goes on from there',
    async ({ at, isDone, isGood }) => {
      minor += 1;
      const version = `1.${minor}.0`;
      const { server, images, imageOf: imageNow } = bench.cluster;
      await publishImage(manager, version, minor + 1);
      if (isGood) images.set(imageOf(version), 'good');
      let writes = 0;
      server.trouble = ({ verb, plural, user }) => {
        const isWrite = plural === 'configmaps' || plural === 'deployments';
        if (user === '' || !isWrite || !['create', 'update', 'patch'].includes(verb)) return null;
        writes += 1;
        if (writes !== at) return null;
        child?.kill('SIGKILL');
        return isDone ? null : 'hang up';
      };
      const body = { product: 'edge', version, strategy: 'immediate' } as never;
      const { body: rollout } = await manager.call('rollouts.create', { body });
      if (child !== null) await ended(child);
      server.trouble = () => null;
      child = run();
      const end = isGood
        ? { state: 'succeeded', error_code: null }
        : { state: 'rolled_back', error_code: 'upgrade_image_pull_failed' };
      await eventually(async () => {
        const params = { id: rollout.id };
        const { body: targets } = await manager.call('rollouts.targets', { params });
        expect(targets.items[0]).toMatchObject(end);
      }, WAIT_MS);
      if (isGood) good = imageOf(version);
      expect(imageNow('deployments', 'shop', 'edge')).toBe(good);
    },
  );

  it('is a webhook with --webhook, until it is told to end', async () => {
    const { server } = bench.cluster;
    const port = await freePort();
    const hook = run(['--webhook'], {
      BELLWETHER_WEBHOOK_HOST: '127.0.0.1',
      BELLWETHER_WEBHOOK_PORT: String(port),
    });
    server.admission.services.set('bellwether/bellwether-webhook', port);
    configure(bench);
    try {
      // Before it is there, nobody is let in: the policy is Fail.
      const object = {
        metadata: { name: 'by-hand', namespace: 'shop', labels: { app: 'edge' } },
        spec: { containers: [{ name: 'main', image: START_IMAGE }] },
      } as unknown as KubeObject;
      const asked = { operation: 'CREATE', subresource: '', oldObject: null } as const;
      await eventually(async () => {
        await expect(server.admission.review({ ...asked, object, dryRun: true })).rejects.toThrow(
          /denied the request: .*upgrade_image_mutable/,
        );
      }, WAIT_MS);
    } finally {
      server.objects.remove('validatingwebhookconfigurations', '', CONFIGURATION);
      hook.kill('SIGTERM');
    }
    expect(await ended(hook)).toBe(0);
    const wrong = { BELLWETHER_WEBHOOK_MODE: 'maybe', BELLWETHER_WEBHOOK_NAMESPACES: 'A b' };
    expect(await ended(run(['--webhook'], wrong))).toBe(78);
    const order = {
      BELLWETHER_WEBHOOK_FRESH_SECONDS: '60',
      BELLWETHER_WEBHOOK_STALE_SECONDS: '59',
    };
    expect(await ended(run(['--webhook'], order))).toBe(78);
    server.objects.remove('secrets', 'bellwether', 'bellwether-webhook-tls');
  });

  it('takes every node out of the manager, and keeps nothing of it', async () => {
    child?.kill('SIGTERM');
    expect(child === null ? 0 : await ended(child)).toBe(0);
    // Twice: whoever is gone already is no trouble.
    for (let count = 0; count < 2; count += 1) {
      expect(await ended(run(['--decommission']))).toBe(0);
      expect(await statuses()).not.toContain('online');
      expect(bench.cluster.server.objects.list('secrets', 'bellwether')).toEqual([]);
      expect(bench.cluster.server.objects.list('configmaps', 'bellwether')).toEqual([]);
    }
    const { body } = await manager.call('enrollment.clusters');
    expect(body.items[0]?.nodes).toBe(0);
  });

  it('ends with 78 when its configuration is wrong', async () => {
    expect(await ended(run([], { BELLWETHER_MANAGER_URL: 'http://manager.example' }))).toBe(78);
    expect(await ended(run([], { BELLWETHER_MODE: 'yolo' }))).toBe(78);
  });
});
