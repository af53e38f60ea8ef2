import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Event } from '../../src/protocol/api/index.js';
import { startBalancer, type Balancer } from '../support/several/balancer.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import { eventually, makeSigningKey, publish } from '../support/fleet.js';
import { callRoute, type TestManager } from '../support/manager.js';
import { startManagerCrew, type ManagerCrew } from '../support/manager-crew.js';
import { freshPrefix, redisUrl } from '../support/redis.js';
import { startScriptedNodes, type ScriptedNode } from '../support/scripted-nodes.js';

const NODES = 45;
/** At one moment, in all. */
const DOWN_MAX = 5;
const SWAP_MS = 100;

describe('three managers in processes of their own, of which one is killed and one is replaced', () => {
  let programs: ReturnType<typeof buildPrograms>;
  let balancer: Balancer;
  let crew: ManagerCrew;
  let nodes: ScriptedNode[];
  const dir = makeTempDir();
  /** What really happens, whatever the managers believe. */
  const swapping = { now: 0, most: 0, begun: 0 };

  beforeAll(async () => {
    programs = buildPrograms();
    balancer = await startBalancer();
    crew = await startManagerCrew({
      programs: programs.path,
      database: 'postgres',
      count: 3,
      publicUrl: balancer.url,
      env: {
        REDIS_URL: redisUrl(),
        BELLWETHER_REDIS_PREFIX: freshPrefix(),
        BELLWETHER_PERMIT_LEASE_MS: '1000',
        BELLWETHER_DRAIN_MS: '2000',
      },
    });
    balancer.ports = crew.urls.map((url) => Number(new URL(url).port));
    const key = makeSigningKey();
    for (const [index, version] of ['1.0.0', '1.1.0'].entries()) {
      await publish(crew, { folder: dir.path, version, sequence: index + 1, key });
    }
    const call: TestManager['call'] = (name, given = {}, token = crew.admin) =>
      callRoute(balancer.url, name, given, token);
    const tell = (change: 1 | -1): void => {
      swapping.now += change;
      swapping.most = Math.max(swapping.most, swapping.now);
      if (change === 1) swapping.begun += 1;
    };
    const pace = { ms: SWAP_MS, tell };
    nodes = await startScriptedNodes({ url: balancer.url, call }, NODES, '1.0.0', pace);
  }, 300_000);

  afterAll(async () => {
    for (const node of nodes) node.stop();
    await crew.stop();
    await balancer.stop();
    programs.remove();
    dir.remove();
  }, 60_000);

  const at = async (url: string) => (await fetch(`${url}/healthz`)).json() as Promise<Health>;
  const events = async (): Promise<Event[]> => {
    const all: Event[] = [];
    for (let after = 0; ;) {
      const { body } = await crew.call('events.list', { query: { after, limit: 1_000 } });
      all.push(...body.items);
      if (body.next_after === after) return all;
      after = body.next_after;
    }
  };
  const show = async (id: string) => (await crew.call('rollouts.show', { params: { id } })).body;
  const online = async (): Promise<number> => {
    const query = { status: 'online', limit: 200 } as const;
    return (await crew.call('nodes.list', { query })).body.items.length;
  };

  const lost = async (): Promise<number> =>
    (await events()).filter(({ details }) => details['reason'] === 'manager_lost').length - before;
  /** Of the one that was killed. */
  let before = 0;

  it('lead a rollout to its end within its limits, with nothing twice', async () => {
    await eventually(async () => {
      const links = await Promise.all(crew.urls.map(async (url) => (await at(url)).links));
      expect(links.reduce((sum, count) => sum + count, 0)).toBe(NODES);
      // Each of them has some.
      expect(Math.min(...links)).toBeGreaterThan(0);
    });
    await eventually(async () => expect(await online()).toBe(NODES));
    const { status, body } = await crew.call('groups.upgrade', {
      params: { id: 'grp_default' },
      body: {
        version: '1.1.0',
        product: 'edge',
        settle_seconds: 1,
        wave_percents: [20, 100],
        max_unavailable: DOWN_MAX,
      },
    });
    expect(status, JSON.stringify(body)).toBe(202);

    // In the middle of the second wave one dies, with nodes that swap.
    await eventually(async () => expect(swapping.begun).toBeGreaterThan(NODES / 3), 60_000);
    await crew.managers[1]?.kill();
    await eventually(async () => {
      const links = await Promise.all([at(crew.urls[0] ?? ''), at(crew.urls[2] ?? '')]);
      expect(links.reduce((sum, one) => sum + one.links, 0)).toBe(NODES);
    });
    // Another one is replaced, as by a newer version.
    await eventually(async () => expect(swapping.begun).toBeGreaterThan(NODES / 2), 60_000);
    await crew.managers[2]?.stop();
    await eventually(async () => expect((await at(crew.urls[0] ?? '')).links).toBe(NODES));
    await crew.managers[2]?.start();
    await eventually(async () => {
      expect(await show(body.id)).toMatchObject({ status: 'complete', reason: 'complete' });
    }, 90_000);
    expect(swapping.most).toBeGreaterThan(1);
    expect(swapping.most, 'never more at once than the plan says').toBeLessThanOrEqual(DOWN_MAX);
    expect(new Set(nodes.map((node) => node.swaps.join()))).toEqual(new Set(['1.1.0']));
    await eventually(async () => expect(await online()).toBe(NODES));
  }, 240_000);

  it('take the nodes of one that stands still, and it takes nothing back when it wakes up', async () => {
    before = await lost();
    await crew.managers[1]?.start();
    // So that the others have all of them.
    await crew.managers[0]?.stop();
    await crew.managers[0]?.start();
    const [first = '', second = '', third = ''] = crew.urls;
    await eventually(async () => {
      expect((await at(second)).links + (await at(third)).links).toBe(NODES);
    });
    const held = (await at(second)).links;
    crew.managers[1]?.pause();
    balancer.ports = [first, third].map((url) => Number(new URL(url).port));
    await eventually(async () => expect(await lost()).toBe(held));
    await eventually(async () => expect(await online()).toBe(NODES - held));
    crew.managers[1]?.resume();
    // Its links were open all the while, and are worth nothing.
    await eventually(async () => {
      expect((await at(first)).links + (await at(third)).links).toBe(NODES);
    });
    await eventually(async () => expect(await online()).toBe(NODES));
  }, 180_000);

  it('have one gapless log, and every event of a node once', async () => {
    const all = await events();
    expect(all.map(({ id }) => id)).toEqual(all.map((_, index) => index + 1));
    const told = all.filter(({ node_id, category }) => node_id !== null && category === 'upgrade');
    const keys = told.map((event) => `${event.node_id} ${event.command_id} ${event.type}`);
    expect(new Set(keys).size).toBe(keys.length);
    const completed = told.filter(({ type }) => type === 'upgrade_completed');
    expect(completed.length).toBe(NODES);
    expect(new Set(completed.map(({ command_id }) => command_id)).size).toBe(NODES);
    expect(told.filter(({ type }) => /failed|rolled_back/.test(type))).toEqual([]);
  });
});

interface Health {
  readonly links: number;
}
