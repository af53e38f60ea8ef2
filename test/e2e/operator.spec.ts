import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/fleet.js';
import { StatusError } from '../support/kube/objects.js';
import {
  imageOf,
  operatorBench,
  publishImage,
  START_IMAGE,
  type OperatorBench,
} from '../support/kube/operator-bench.js';
import { allEndAs, endsAs, rollOut } from '../support/kube/rollouts.js';
import { startTestManager, type TestManager } from '../support/manager.js';

const WAIT_MS = 60_000;
const OPT_IN = { 'bellwether.dev/product': 'edge' };

describe('the operator of a cluster', { timeout: 4 * WAIT_MS }, () => {
  let manager: TestManager;
  let benches: OperatorBench[] = [];
  afterEach(async () => {
    await Promise.all(benches.map((bench) => bench.stop()));
    benches = [];
    await manager.stop();
  });

  const bench = async (...given: [string?, { maxNodes?: number; tokenCluster?: string }?]) => {
    const one = await operatorBench(manager, ...given);
    benches.push(one);
    return one;
  };
  const nodes = async () =>
    (await manager.call('nodes.list', { query: { limit: 200 } })).body.items;
  const online = (count: number) =>
    eventually(async () => {
      const all = (await nodes()).filter(({ status }) => status === 'online');
      expect(all).toHaveLength(count);
      return all;
    }, WAIT_MS);

  it('brings a release to workloads of each kind, by digest', async () => {
    manager = await startTestManager();
    const { cluster, operator } = await bench();
    for (const kind of ['Deployment', 'DaemonSet', 'StatefulSet'] as const) {
      cluster.workload({
        kind,
        name: `edge-${kind.toLowerCase()}`,
        image: START_IMAGE,
        annotations: OPT_IN,
      });
    }
    cluster.workload({ name: 'other', image: START_IMAGE });
    await operator();
    const [first] = await online(3);
    expect(first).toMatchObject({
      upgrader: 'kubernetes',
      labels: { cluster: 'prod-1', namespace: 'shop', region: 'region-1' },
    });
    await publishImage(manager, '1.1.0', 2);
    cluster.images.set(imageOf('1.1.0'), 'good');
    const id = await rollOut(manager, '1.1.0');
    const succeeded = { state: 'succeeded' };
    await allEndAs(manager, id, [succeeded, succeeded, succeeded]);
    expect(cluster.imageOf('daemonsets', 'shop', 'edge-daemonset')).toBe(imageOf('1.1.0'));
    expect(cluster.imageOf('deployments', 'shop', 'other')).toBe(START_IMAGE);
  });

  it.each([
    ['missing', 'upgrade_image_pull_failed'],
    ['crash', 'upgrade_crash_loop'],
    ['never-ready', 'upgrade_progress_deadline'],
  ] as const)('puts the image before back: %s', async (behaviour, code) => {
    manager = await startTestManager();
    const { cluster, operator } = await bench();
    const spec = { progressDeadlineSeconds: 100 };
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN, spec });
    await operator();
    await online(1);
    await publishImage(manager, '1.1.0', 2);
    cluster.images.set(imageOf('1.1.0'), behaviour);
    const id = await rollOut(manager, '1.1.0');
    await endsAs(manager, id, { state: 'rolled_back', error_code: code });
    expect(cluster.imageOf('deployments', 'shop', 'edge')).toBe(START_IMAGE);
  });

  it('in signal mode waits for helm, and counts what helm brought', async () => {
    manager = await startTestManager();
    const { cluster, operator } = await bench();
    const annotations = {
      ...OPT_IN,
      'meta.helm.sh/release-name': 'edge',
      'bellwether.dev/helm-chart': 'shop/edge',
    };
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations });
    await operator('operator-1', { BELLWETHER_MODE: 'signal' });
    await online(1);
    await publishImage(manager, '1.1.0', 2);
    cluster.images.set(imageOf('1.1.0'), 'good');
    const id = await rollOut(manager, '1.1.0');
    await endsAs(manager, id, { state: 'staged', error_code: 'helm_upgrade_required' });
    const [node] = await online(1);
    await eventually(async () => {
      const { body } = await manager.call('nodes.show', { params: { id: node!.id } });
      expect(body.services[0]).toMatchObject({
        waits_for_hand: {
          version: '1.1.0',
          command: expect.stringContaining(
            'helm upgrade edge shop/edge --namespace shop',
          ) as string,
        },
      });
    }, WAIT_MS);
    expect(
      cluster.server.seen.some(({ verb, plural }) => verb === 'patch' && plural === 'deployments'),
    ).toBe(false);
    cluster.setImage('deployments', 'shop', 'edge', imageOf('1.1.0'));
    await endsAs(manager, id, { state: 'succeeded' });
  });

  it('survives its own end, and two of them do nothing twice', async () => {
    manager = await startTestManager();
    const { cluster, operator } = await bench();
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN });
    const first = await operator('operator-1');
    await operator('operator-2');
    await online(1);
    await publishImage(manager, '1.1.0', 2);
    cluster.images.set(imageOf('1.1.0'), 'never-ready');
    const id = await rollOut(manager, '1.1.0');
    await endsAs(manager, id, { state: 'probation' });
    await first.stop();
    cluster.images.set(imageOf('1.1.0'), 'good');
    await endsAs(manager, id, { state: 'succeeded' });
    const changes = cluster.server.seen.filter(
      ({ verb, plural, dryRun }) => verb === 'patch' && plural === 'deployments' && !dryRun,
    );
    expect(changes).toHaveLength(1);
    expect(await nodes()).toHaveLength(1);
  });

  it('refuses what the policy of the cluster refuses, and what it has no right to', async () => {
    manager = await startTestManager();
    const { cluster, operator, policy } = await bench();
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN });
    policy(['min_version = "2.0.0"']);
    await operator();
    await online(1);
    await publishImage(manager, '1.1.0', 2);
    await endsAs(manager, await rollOut(manager, '1.1.0'), {
      state: 'failed',
      error_code: 'upgrade_version_too_old',
    });
    policy();
    cluster.server.trouble = ({ verb }) =>
      verb === 'patch'
        ? new StatusError(403, 'Forbidden', 'cannot patch resource "deployments"')
        : null;
    await endsAs(manager, await rollOut(manager, '1.1.0'), {
      state: 'failed',
      error_code: 'kubernetes_forbidden',
    });
    expect(cluster.imageOf('deployments', 'shop', 'edge')).toBe(START_IMAGE);
  });

  it('an API server that is away, or forgets, turns nothing back', async () => {
    manager = await startTestManager();
    const { cluster, operator } = await bench();
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN });
    await operator();
    await online(1);
    await publishImage(manager, '1.1.0', 2);
    cluster.images.set(imageOf('1.1.0'), 'never-ready');
    const id = await rollOut(manager, '1.1.0');
    await endsAs(manager, id, { state: 'probation' });
    cluster.server.trouble = ({ user }) =>
      user === '' ? null : new StatusError(503, 'Unavailable', 'away');
    cluster.server.objects.compact();
    cluster.server.dropWatches();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    cluster.images.set(imageOf('1.1.0'), 'good');
    cluster.server.trouble = () => null;
    await endsAs(manager, id, { state: 'succeeded' });
  });

  it('a deleted workload leaves the fleet; a token of another cluster and a full one enroll nobody', async () => {
    manager = await startTestManager();
    const { cluster, operator } = await bench('prod-1', { maxNodes: 1 });
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN });
    await operator();
    await online(1);
    cluster.workload({ name: 'late', image: START_IMAGE, annotations: OPT_IN });
    const other = await bench('prod-2', { tokenCluster: 'prod-3' });
    other.cluster.workload({ name: 'edge', image: START_IMAGE, annotations: OPT_IN });
    await other.operator();
    await eventually(async () => {
      const { body } = await manager.call('audit.list', { query: { action: 'auth.refused' } });
      expect(body.items.map(({ details }) => details['error_code'])).toContain(
        'enrollment_cluster_mismatch',
      );
    }, WAIT_MS);
    expect(await nodes()).toHaveLength(1);
    cluster.server.objects.remove('deployments', 'shop', 'edge');
    // Its place is free for the one that waited.
    await eventually(async () => {
      const there = (await nodes()).filter(({ status }) => status === 'online');
      expect(there.map(({ name }) => name)).toEqual(['prod-1/shop/deployment/late']);
    }, WAIT_MS);
  });

  it('three clusters, one bad image: the canaries turn back, the wave pauses, nothing else moves', async () => {
    manager = await startTestManager();
    const count = 50;
    const clusters = [];
    for (const name of ['prod-1', 'prod-2', 'prod-3']) {
      const one = await bench(name);
      for (let index = 0; index < count; index += 1) {
        const workload = { name: `edge-${index}`, image: START_IMAGE, annotations: OPT_IN };
        one.cluster.workload({ ...workload, replicas: 1 });
      }
      await one.operator();
      clusters.push(one.cluster);
    }
    await online(3 * count);
    await publishImage(manager, '1.1.0', 2);
    const id = await rollOut(manager, '1.1.0', { strategy: 'canary', canary_percent: 2 });
    await eventually(async () => {
      const { body } = await manager.call('rollouts.show', { params: { id } });
      expect(body.status).toBe('paused');
    }, WAIT_MS);
    await eventually(async () => {
      const { body } = await manager.call('rollouts.targets', {
        params: { id },
        query: { limit: 200 },
      });
      const canaries = body.items.filter(({ wave }) => wave === 0);
      const states = canaries.map(({ state, error_code }) => [state, error_code]);
      expect(states).toEqual(canaries.map(() => ['rolled_back', 'upgrade_image_pull_failed']));
      expect(body.items.filter(({ state }) => state === 'pending')).toHaveLength(3 * count - 3);
    }, WAIT_MS);
    for (const { server, imageOf: now } of clusters) {
      for (const { metadata } of server.objects.list('deployments', 'shop')) {
        expect(now('deployments', 'shop', metadata.name)).toBe(START_IMAGE);
      }
    }
    const moved = clusters.flatMap(({ server }) =>
      server.seen.filter(
        ({ verb, plural, dryRun }) => verb === 'patch' && plural === 'deployments' && !dryRun,
      ),
    );
    expect(new Set(moved.map(({ path }) => path)).size).toBeLessThanOrEqual(3);
    expect(moved).toHaveLength(6);
  });
});
