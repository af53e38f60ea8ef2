import { afterEach, describe, expect, it } from 'vitest';
import { openSurroundings } from '../../src/operator/surroundings.js';
import { checkSurroundings } from '../../src/operator/check.js';
import { takeOut } from '../../src/operator/take-out.js';
import { eventually } from '../support/fleet.js';
import {
  imageOf,
  LEASE,
  operatorBench,
  publishImage,
  START_IMAGE,
  type OperatorBench,
} from '../support/kube/operator-bench.js';
import { allEndAs, rollOut } from '../support/kube/rollouts.js';
import { startTestManager, type TestManager } from '../support/manager.js';
import { rightsOf, rightsUsed, singly } from './rights.js';

const WAIT_MS = 60_000;
const STATE = 'bellwether-nodes';
const ACCOUNT = 'fleet-bellwether-agent';
const TOKEN = 'token-of-the-operator';
const OPT_IN = { 'bellwether.dev/product': 'edge' };

describe('an operator with the rights of its chart', { timeout: 4 * WAIT_MS }, () => {
  let manager: TestManager;
  let bench: OperatorBench | null = null;
  afterEach(async () => {
    await bench?.stop();
    bench = null;
    await manager.stop();
  });

  /** A cluster whose API server lets the operator do what the chart says, and nothing else. */
  const start = async (of: string, withHooks = false): Promise<OperatorBench> => {
    manager = await startTestManager();
    bench = await operatorBench(manager);
    const rules = rightsOf(of, ACCOUNT, { withHooks });
    bench.cluster.server.users.set(TOKEN, { name: 'operator', rules });
    for (const name of ['edge', 'gate']) {
      bench.cluster.workload({ name, image: START_IMAGE, annotations: OPT_IN });
    }
    return bench;
  };
  const online = async (count: number) =>
    eventually(async () => {
      const { items } = (await manager.call('nodes.list')).body;
      expect(items.filter(({ status }) => status === 'online')).toHaveLength(count);
    }, WAIT_MS);
  const bothEndAs = async (version: string, end: object): Promise<void> =>
    allEndAs(manager, await rollOut(manager, version), [end, end]);
  const used = ({ cluster }: OperatorBench): string[] => rightsUsed(cluster.server, 'operator');

  it('upgrades, puts back and clears away: each right is needed, and no other', async () => {
    const { cluster, operator } = await start('default');
    await operator('operator-1', { BELLWETHER_NAMESPACE: STATE }, TOKEN);
    await online(2);
    cluster.images.set(imageOf('1.1.0'), 'good');
    await publishImage(manager, '1.1.0', 2);
    await bothEndAs('1.1.0', { state: 'succeeded' });
    await publishImage(manager, '1.2.0', 3);
    await bothEndAs('1.2.0', { state: 'rolled_back', error_code: 'upgrade_image_pull_failed' });
    for (const kind of ['daemonsets', 'statefulsets'] as const) {
      cluster.workload({
        kind: kind === 'daemonsets' ? 'DaemonSet' : 'StatefulSet',
        name: kind,
        image: START_IMAGE,
        annotations: OPT_IN,
      });
    }
    await online(4);
    cluster.images.set(imageOf('1.3.0'), 'good');
    await publishImage(manager, '1.3.0', 4);
    await rollOut(manager, '1.3.0');
    await eventually(async () => {
      for (const kind of ['daemonsets', 'statefulsets']) {
        expect(cluster.imageOf(kind, 'shop', kind)).toBe(imageOf('1.3.0'));
      }
    }, WAIT_MS);
    cluster.server.objects.remove('deployments', 'shop', 'gate');
    await online(3);
    await eventually(async () => {
      expect(used(bench!)).toEqual(singly(rightsOf('default', ACCOUNT)));
    }, WAIT_MS);
  });

  it('that only signals has no right to patch, and never asks for it', async () => {
    const { cluster, operator } = await start('signal');
    const env = { BELLWETHER_NAMESPACE: STATE, BELLWETHER_MODE: 'signal' };
    await operator('operator-1', env, TOKEN);
    await online(2);
    cluster.images.set(imageOf('1.1.0'), 'good');
    await publishImage(manager, '1.1.0', 2);
    await bothEndAs('1.1.0', { state: 'staged', error_code: 'helm_upgrade_required' });
    cluster.setImage('deployments', 'shop', 'edge', imageOf('1.1.0'));
    cluster.server.objects.remove('deployments', 'shop', 'gate');
    await online(1);
    const allowed = singly(rightsOf('signal', ACCOUNT));
    expect(allowed.filter((right) => /^(patch|\*)/.test(right))).toEqual([]);
    expect(used(bench!).filter((right) => !allowed.includes(right))).toEqual([]);
  });

  it('cannot write what says what may run, nor read beside its own', async () => {
    const { config } = await start('default');
    const { cluster } = await openSurroundings(
      { config: await config('operator-1', {}, TOKEN), log: () => undefined },
      () => true,
    );
    const given = { data: {}, labels: {} };
    for (const kind of ['configmaps', 'secrets'] as const) {
      const policy = { namespace: 'bellwether', name: `${ACCOUNT}-policy` };
      for (const act of [
        () => cluster.store(kind, policy, given, null),
        () => cluster.stored(kind, policy.namespace, policy.name),
        () => cluster.forget(kind, 'bellwether', policy.name),
      ]) {
        await expect(act()).rejects.toMatchObject({ status: 403 });
      }
    }
    cluster.client.close();
  });

  it('is checked by `helm test`: what is missing is told, a line each', async () => {
    const { config, operator, policy, dir } = await start('default');
    const findings = async (env: Readonly<Record<string, string>> = {}) => {
      const own = await config('check', { BELLWETHER_NAMESPACE: STATE, ...env }, TOKEN);
      const around = await openSurroundings({ config: own, log: () => undefined }, () => false);
      const found = await checkSurroundings(around);
      around.cluster.client.close();
      return Object.fromEntries(found.map(({ what, isFine, saw }) => [what, isFine || saw]));
    };
    const fine = { token: true, policy: true, workloads: true, manager: true };
    expect(await findings()).toEqual({ ...fine, leader: 'no operator leads' });
    await operator('operator-1', { BELLWETHER_NAMESPACE: STATE }, TOKEN);
    await online(2);
    expect(await findings()).toEqual({ ...fine, leader: true });
    policy(['enabled = 7']);
    const bad = await findings({
      BELLWETHER_TOKEN_FILE: `${dir}/nothing`,
      BELLWETHER_NAMESPACE: 'elsewhere',
      BELLWETHER_MANAGER_URL: 'http://127.0.0.1:9',
    });
    expect(bad).toEqual({
      token: expect.stringContaining('ENOENT') as string,
      policy: expect.stringContaining('upgrade_policy_invalid') as string,
      workloads: true,
      manager: expect.stringContaining('ECONNREFUSED') as string,
      leader: expect.stringContaining('forbidden') as string,
    });
  });

  it('leaves for good before the chart is deleted: stopped first, then every node goes', async () => {
    const { cluster, config, operator } = await start('default', true);
    const running = await operator('operator-1', { BELLWETHER_NAMESPACE: STATE }, TOKEN);
    await online(2);
    const deployment = { namespace: 'bellwether', name: ACCOUNT };
    const own = await config('decommission', { BELLWETHER_NAMESPACE: STATE }, TOKEN);
    const around = await openSurroundings({ config: own, log: () => undefined }, () => true);
    // Nobody stops it: it is not raced with.
    const short = { deployment: null, limitMs: 1_000, times: LEASE };
    await expect(takeOut(around, short)).rejects.toMatchObject({ code: 'conflict' });
    await online(2);

    cluster.workload({ namespace: 'bellwether', name: ACCOUNT, image: START_IMAGE, replicas: 1 });
    const stopsWithItsPods = eventually(async () => {
      const { spec } = cluster.server.objects.get(
        'deployments',
        'bellwether',
        ACCOUNT,
      ) as never as {
        spec: { replicas: number };
      };
      expect(spec.replicas).toBe(0);
      await running.stop();
    }, WAIT_MS);
    const all = { deployment, limitMs: WAIT_MS, times: LEASE };
    expect(await takeOut(around, all)).toBe(2);
    await stopsWithItsPods;
    await online(0);
    expect(cluster.server.objects.list('secrets', STATE)).toEqual([]);
    expect(cluster.server.objects.list('configmaps', STATE)).toEqual([]);
    expect(await takeOut(around, all)).toBe(0);
    around.cluster.client.close();
  });

  it('says how many stay behind when the manager is away', async () => {
    const { config, operator } = await start('default', true);
    const running = await operator('operator-1', { BELLWETHER_NAMESPACE: STATE }, TOKEN);
    await online(2);
    await running.stop();
    const own = await config(
      'decommission',
      { BELLWETHER_NAMESPACE: STATE, BELLWETHER_MANAGER_URL: 'http://127.0.0.1:9' },
      TOKEN,
    );
    const around = await openSurroundings({ config: own, log: () => undefined }, () => true);
    await expect(
      takeOut(around, { deployment: null, limitMs: WAIT_MS, times: LEASE }),
    ).rejects.toThrow('2 of 2 nodes could not be taken out');
    around.cluster.client.close();
  });
});
