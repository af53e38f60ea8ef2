import { execFile, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { makeTempDir } from '../support/databases.js';
import { startCluster, type TestCluster } from '../support/kube/cluster.js';

const WAIT_MS = 60_000;
const EDGE = 'registry.example/edge:1.0.0';
const NEXT = 'registry.example/edge:1.1.0';

/** Whether the machine has a kubectl that starts; a developer's may not. */
const hasKubectl = await promisify(execFile)('kubectl', ['version', '--client']).then(
  () => true,
  () => false,
);

/** The API server of the specs, looked at by the real kubectl: it stands in for a cluster elsewhere. */
describe.runIf(hasKubectl)('the API server of the specs under kubectl', () => {
  let cluster: TestCluster;
  const dir = makeTempDir();
  afterEach(() => cluster.stop());

  const options = () => ({
    env: { PATH: process.env['PATH'], HOME: dir.path, KUBECONFIG: '/dev/null' },
    timeout: WAIT_MS,
  });
  const words = (...given: string[]) => ['--server', cluster.server.url, '-n', 'shop', ...given];
  const kubectl = async (...given: string[]): Promise<string> =>
    (await promisify(execFile)('kubectl', words(...given), options())).stdout;

  it('get, patch, rollout status and watch', { timeout: 3 * WAIT_MS }, async () => {
    cluster = await startCluster();
    cluster.workload({ name: 'edge', image: EDGE });
    expect(await kubectl('get', 'deployments', '-o', 'name')).toBe('deployment.apps/edge\n');
    expect(await kubectl('rollout', 'status', 'deployment/edge', '--timeout=60s')).toContain(
      'successfully rolled out',
    );
    const watching = spawn('kubectl', words('get', 'pods', '--watch', '-o', 'name'), options());
    let watched = '';
    watching.stdout.on('data', (chunk: Buffer) => (watched += chunk.toString('utf8')));
    cluster.images.set(NEXT, 'good');
    await kubectl('set', 'image', 'deployment/edge', `main=${NEXT}`);
    await kubectl('rollout', 'status', 'deployment/edge', '--timeout=60s');
    expect(await kubectl('get', 'deploy', 'edge', '-o', 'jsonpath={..image}')).toBe(NEXT);
    const merge = JSON.stringify({ metadata: { annotations: { one: 'two' } } });
    for (const type of ['merge', 'strategic'])
      await kubectl('patch', 'deploy', 'edge', '--type', type, '-p', merge);
    const json = JSON.stringify([{ op: 'test', path: '/metadata/annotations/one', value: 'two' }]);
    await kubectl('patch', 'deploy', 'edge', '--type', 'json', '-p', json);
    const pods = (await kubectl('get', 'pods', '-l', 'app=edge', '-o', 'name')).trim().split('\n');
    expect(pods).toHaveLength(2);
    await expect
      .poll(() => pods.every((pod) => watched.includes(pod)), { timeout: WAIT_MS })
      .toBe(true);
    watching.kill();
  });

  it('apply, by the client, and refusals', { timeout: 3 * WAIT_MS }, async () => {
    cluster = await startCluster();
    const file = join(dir.path, 'edge.json');
    const manifest = (image: string): string =>
      JSON.stringify({
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        metadata: { name: 'store', namespace: 'shop' },
        spec: {
          replicas: 2,
          serviceName: 'store',
          selector: { matchLabels: { app: 'store' } },
          template: {
            metadata: { labels: { app: 'store' } },
            spec: { containers: [{ name: 'main', image }] },
          },
        },
      });
    for (const image of [EDGE, NEXT]) {
      cluster.images.set(image, 'good');
      writeFileSync(file, manifest(image));
      await kubectl('apply', '--validate=false', '-f', file);
      await kubectl('rollout', 'status', 'statefulset/store', '--timeout=60s');
    }
    // It sends no token in the clear: whoever comes without one is this user.
    const none = { verbs: ['get'], resources: ['statefulsets.apps'] };
    cluster.server.users.set('', { name: 'reader', rules: [none] });
    const change = kubectl('set', 'image', 'sts/store', 'main=registry.example/other:1');
    await expect(change).rejects.toThrow(/User "reader" cannot patch resource "statefulsets"/);
    cluster.server.users.delete('');
    cluster.server.users.set('t', { name: 'reader' });
    await expect(kubectl('get', 'pods')).rejects.toThrow(/Unauthorized|logged in|credentials/);
  });
});
