import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSurroundings } from '../../src/operator/surroundings.js';
import { takeOut } from '../../src/operator/take-out.js';
import { eventually } from '../support/fleet.js';
import { StatusError } from '../support/kube/objects.js';
import {
  LEASE,
  operatorBench,
  START_IMAGE,
  type OperatorBench,
} from '../support/kube/operator-bench.js';
import { startTestManager, type TestManager } from '../support/manager.js';

const WAIT_MS = 60_000;
const OPT_IN = { 'bellwether.dev/product': 'edge' };
const SIX = ['one', 'two', 'three', 'four', 'five', 'six'];

/** Whether a node goes is asked of the API server by the name of its workload, never taken from a list alone. */
describe('nodes of workloads that are gone', { timeout: 4 * WAIT_MS }, () => {
  let manager: TestManager;
  let bench: OperatorBench;
  beforeEach(async () => {
    manager = await startTestManager();
    bench = await operatorBench(manager);
  });
  afterEach(async () => {
    await bench.stop();
    await manager.stop();
  });

  const workloads = (names: readonly string[]): void => {
    for (const name of names) {
      bench.cluster.workload({ name, image: START_IMAGE, annotations: OPT_IN, replicas: 1 });
    }
  };
  const remove = (names: readonly string[]): void => {
    for (const name of names) bench.cluster.server.objects.remove('deployments', 'shop', name);
  };
  /** Names of the nodes that have not left, with their ids. */
  const here = async (): Promise<Record<string, string>> => {
    const { items } = (await manager.call('nodes.list')).body;
    const left = items.filter(({ status }) => status !== 'revoked');
    return Object.fromEntries(left.map(({ name, id }) => [name.split('/').at(-1) ?? '', id]));
  };
  const online = (names: readonly string[]) =>
    eventually(async () => {
      const { items } = (await manager.call('nodes.list')).body;
      const up = items.filter(({ status }) => status === 'online');
      expect(up.map(({ name }) => name.split('/').at(-1)).sort()).toEqual([...names].sort());
    }, WAIT_MS);
  const keptIn = (plural: string): number =>
    bench.cluster.server.objects.list(plural, 'bellwether').length;
  /** A manager forgets a node before its Secret and its state are deleted. */
  const keeps = (count: number): Promise<void> =>
    eventually(() => {
      expect([keptIn('secrets'), keptIn('configmaps')]).toEqual([count, count]);
      return Promise.resolve();
    }, WAIT_MS);
  /** How often a workload was asked for by its name. */
  const asked = (name: string): number =>
    bench.cluster.server.seen.filter(
      (one) => one.verb === 'get' && one.plural === 'deployments' && one.name === name,
    ).length;
  const askedAgain = async (names: readonly string[], times: number): Promise<void> => {
    const before = new Map(names.map((name) => [name, asked(name)]));
    await eventually(() => {
      for (const name of names) {
        expect(asked(name)).toBeGreaterThanOrEqual((before.get(name) ?? 0) + times);
      }
      return Promise.resolve();
    }, WAIT_MS);
  };
  /** As after a restore of its store: the watches end, their versions are unknown, lists begin anew. */
  const listAnew = async (): Promise<void> => {
    const { server } = bench.cluster;
    const lists = (): number =>
      server.seen.filter(({ verb, plural }) => verb === 'list' && plural === 'deployments').length;
    const before = lists();
    server.trouble = ({ verb, plural }) =>
      verb === 'watch' && plural === 'deployments' && lists() === before
        ? new StatusError(410, 'Expired', 'too old resource version')
        : null;
    server.dropWatches();
    await eventually(() => {
      expect(lists()).toBeGreaterThan(before);
      return Promise.resolve();
    }, WAIT_MS);
  };

  it('go also when they were deleted while no operator ran', async () => {
    workloads(['edge', 'gate']);
    const first = await bench.operator('operator-1');
    await online(['edge', 'gate']);
    await first.stop();
    remove(['gate']);
    await bench.operator('operator-2');
    await online(['edge']);
    await eventually(async () => expect(Object.keys(await here())).toEqual(['edge']), WAIT_MS);
    await keeps(1);
  });

  it('go with --decommission, whoever deleted the workload before', async () => {
    workloads(['edge', 'gate']);
    const first = await bench.operator('operator-1');
    await online(['edge', 'gate']);
    await first.stop();
    remove(['gate']);
    const around = await openSurroundings(
      { config: await bench.config('decommission'), log: () => undefined },
      () => true,
    );
    const all = { deployment: null, limitMs: WAIT_MS, times: LEASE };
    expect(await takeOut(around, all)).toBe(2);
    expect(await here()).toEqual({});
    expect([keptIn('secrets'), keptIn('configmaps')]).toEqual([0, 0]);
    expect(await takeOut(around, all)).toBe(0);
    around.cluster.client.close();
  });

  it('stay while a list is empty by mistake, also for an operator that begins with it', async () => {
    workloads(SIX);
    const first = await bench.operator('operator-1', { BELLWETHER_MANY_GONE_SECONDS: '1' });
    await online(SIX);
    const ids = await here();
    bench.cluster.server.listed = ({ kind }) => kind !== 'Deployment';
    await listAnew();
    // At once, and when its grace is over: each is still there by its name.
    await askedAgain(SIX, 3);
    await online(SIX);
    await first.stop();
    await bench.operator('operator-2', { BELLWETHER_MANY_GONE_SECONDS: '1' });
    await askedAgain(SIX, 2);
    expect(await here()).toEqual(ids);
    bench.cluster.server.listed = () => true;
    await listAnew();
    await online(SIX);
    expect(await here()).toEqual(ids);
  });

  it('stay for longer when most are gone at once; a few go soon', async () => {
    workloads(SIX);
    const first = await bench.operator('operator-1');
    await online(SIX);
    const ids = await here();
    remove(SIX.slice(0, 4));
    // Far beyond the grace of one.
    await askedAgain(SIX.slice(0, 4), 4);
    expect(await here()).toEqual(ids);
    // Made anew: they are the nodes that they were.
    workloads(SIX.slice(0, 1));
    await eventually(async () => {
      expect(Object.keys(await here()).sort()).toEqual(['five', 'one', 'six']);
    }, WAIT_MS);
    expect(await here()).toMatchObject({ one: ids['one'], five: ids['five'] });
    await first.stop();
  });

  it('go in the end, however many there are', async () => {
    workloads(SIX);
    await bench.operator('operator-1', { BELLWETHER_MANY_GONE_SECONDS: '3' });
    await online(SIX);
    remove(SIX);
    await eventually(async () => expect(await here()).toEqual({}), WAIT_MS);
    await keeps(0);
  });

  it('that are made anew while they go are enrolled anew', async () => {
    workloads(['edge']);
    await bench.operator('operator-1');
    await online(['edge']);
    const { edge: before } = await here();
    let tries = 0;
    bench.cluster.server.trouble = ({ verb, plural }) => {
      if (verb !== 'delete' || plural !== 'secrets') return null;
      tries += 1;
      return new StatusError(503, 'Unavailable', 'away');
    };
    remove(['edge']);
    // The manager knows it no more, and its Secret is still there.
    await eventually(() => {
      expect(tries).toBeGreaterThan(0);
      return Promise.resolve();
    }, WAIT_MS);
    workloads(['edge']);
    bench.cluster.server.trouble = () => null;
    await online(['edge']);
    expect((await here())['edge']).not.toBe(before);
  });
});
