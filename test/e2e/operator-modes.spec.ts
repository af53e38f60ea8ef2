import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/fleet.js';
import {
  imageOf,
  operatorBench,
  publishImage,
  START_IMAGE,
  type OperatorBench,
} from '../support/kube/operator-bench.js';
import { endsAs, rollOut } from '../support/kube/rollouts.js';
import { startTestManager, type TestManager } from '../support/manager.js';

const WAIT_MS = 60_000;
const OPT_IN = { 'bellwether.dev/product': 'edge' };

describe('an operator', { timeout: 4 * WAIT_MS }, () => {
  let manager: TestManager;
  let bench: OperatorBench | null = null;
  afterEach(async () => {
    await bench?.stop();
    bench = null;
    await manager.stop();
  });

  const start = async (): Promise<OperatorBench> => {
    manager = await startTestManager();
    bench = await operatorBench(manager);
    return bench;
  };
  const nodes = async () => (await manager.call('nodes.list')).body.items;
  const online = () =>
    eventually(async () => {
      const [node, ...others] = (await nodes()).filter(({ status }) => status === 'online');
      expect([node === undefined, others]).toEqual([false, []]);
      return node!;
    }, WAIT_MS);

  it('that writes for GitOps leaves the cluster to another hand, and counts what that brings', async () => {
    const { cluster, dir, operator } = await start();
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN });
    await operator('operator-1', { BELLWETHER_MODE: 'gitops' });
    await online();
    const file = join(dir, 'gitops', 'shop', 'deployments-edge.yaml');
    const written = (image: string) =>
      eventually(async () => {
        expect(existsSync(file) ? readFileSync(file, 'utf8') : '').toContain(image);
      }, WAIT_MS);
    const sync = (image: string) => cluster.setImage('deployments', 'shop', 'edge', image);

    await publishImage(manager, '1.1.0', 2);
    cluster.images.set(imageOf('1.1.0'), 'good');
    const good = await rollOut(manager, '1.1.0');
    await written(imageOf('1.1.0'));
    await endsAs(manager, good, { state: 'probation' });
    expect(cluster.imageOf('deployments', 'shop', 'edge')).toBe(START_IMAGE);
    sync(imageOf('1.1.0'));
    await endsAs(manager, good, { state: 'succeeded' });

    // An image that nobody can pull: the file names the one before again.
    await publishImage(manager, '1.2.0', 3);
    const bad = await rollOut(manager, '1.2.0');
    await written(imageOf('1.2.0'));
    sync(imageOf('1.2.0'));
    await endsAs(manager, bad, { state: 'rolled_back', error_code: 'upgrade_image_pull_failed' });
    await written(imageOf('1.1.0'));
    const changed = cluster.server.seen.filter(
      ({ verb, plural }) => verb === 'patch' && plural === 'deployments',
    );
    expect(changed).toEqual([]);
  });

  it('gives its nodes names and a label by which those of one installation are found', async () => {
    const { cluster, operator } = await start();
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN });
    const first = await operator('operator-1', {
      BELLWETHER_INSTALL_ID: '0f1e2d',
      BELLWETHER_NODE_NAME: 'north/{workload}',
    });
    const { id, name } = await online();
    expect(name).toBe('north/shop/deployment/edge');
    const labelled = async (label: string[]) =>
      (await manager.call('nodes.list', { query: { label } })).body.items.map((node) => node.id);
    expect(await labelled(['cluster=prod-1', 'install=0f1e2d'])).toEqual([id]);
    expect(await labelled(['install=0f1e'])).toEqual([]);
    // Another release of the chart looks after it: the same node, under the name that it enrolled with.
    await first.stop();
    await operator('operator-2', { BELLWETHER_INSTALL_ID: '3c4b5a' });
    await eventually(async () => expect(await labelled(['install=3c4b5a'])).toEqual([id]), WAIT_MS);
    expect((await online()).name).toBe('north/shop/deployment/edge');
  });

  it('leaves a workload alone that is to be skipped, and says so', async () => {
    const { cluster, operator } = await start();
    const annotations = { ...OPT_IN, 'bellwether.dev/skip-reconcile': 'true' };
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations });
    await operator();
    await online();
    await publishImage(manager, '1.1.0', 2);
    cluster.images.set(imageOf('1.1.0'), 'good');
    await endsAs(manager, await rollOut(manager, '1.1.0'), { state: 'skipped' });
    expect(cluster.imageOf('deployments', 'shop', 'edge')).toBe(START_IMAGE);
  });

  it('enrolls anew by another token, once; the node of the old one is not trusted any more', async () => {
    const { cluster, dir, operator } = await start();
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN });
    const first = await operator();
    const before = await online();
    const made = await manager.call('enrollment.create_cluster', { body: { cluster: 'prod-1' } });
    await first.stop();
    writeFileSync(join(dir, 'token'), `${made.body.secret}\n`);
    const second = await operator();
    const after = await eventually(async () => {
      const node = await online();
      expect(node.id).not.toBe(before.id);
      return node;
    }, WAIT_MS);
    const old = await manager.call('nodes.show', { params: { id: before.id } });
    expect(old.body.status).toBe('revoked');
    await second.stop();
    await operator();
    expect((await online()).id).toBe(after.id);
  });

  it('whose workload is deleted in the middle tells how that ended', async () => {
    const { cluster, operator } = await start();
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN });
    await operator('operator-1', { BELLWETHER_ORPHAN_GRACE_SECONDS: '10' });
    const { id: node } = await online();
    await publishImage(manager, '1.1.0', 2);
    cluster.images.set(imageOf('1.1.0'), 'never-ready');
    const id = await rollOut(manager, '1.1.0');
    await endsAs(manager, id, { state: 'probation' });
    cluster.server.objects.remove('deployments', 'shop', 'edge');
    await endsAs(manager, id, { state: 'rolled_back', error_code: 'workload_gone' });
    await eventually(async () => {
      const { body } = await manager.call('nodes.show', { params: { id: node } });
      expect(body.status).toBe('revoked');
    }, WAIT_MS);
  });
});
