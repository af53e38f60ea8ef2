import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Event } from '../../src/protocol/api/index.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import { eventually, makeSigningKey, publish } from '../support/fleet.js';
import { startManagerProcess, type ManagerProcess } from '../support/manager-process.js';
import { startRedis, type RedisServer } from '../support/redis.js';
import { startScriptedNodes, type ScriptedNode } from '../support/scripted-nodes.js';

const NODES = 1_000;

describe('a rollout to a thousand nodes, while the alarm clock is broken', () => {
  let manager: ManagerProcess;
  let redis: RedisServer;
  let nodes: ScriptedNode[];
  let programs: ReturnType<typeof buildPrograms>;
  const dir = makeTempDir();

  beforeAll(async () => {
    programs = buildPrograms();
    redis = await startRedis();
    manager = await startManagerProcess(programs.path, {
      REDIS_URL: redis.url,
      BELLWETHER_PERMIT_LEASE_MS: '1000',
    });
    nodes = await startScriptedNodes(manager, NODES, '1.0.0');
    const key = makeSigningKey();
    for (const [sequence, version] of ['1.0.0', '1.1.0'].entries()) {
      await publish(manager, { folder: dir.path, version, sequence: sequence + 1, key });
    }
  }, 180_000);

  afterAll(async () => {
    for (const node of nodes) node.stop();
    await manager.stop();
    await redis.stop();
    programs.remove();
    dir.remove();
  }, 60_000);

  const show = async (id: string) => (await manager.call('rollouts.show', { params: { id } })).body;

  /** Until the wave is open and some, but not all, of it are through. */
  const inTheMiddleOf = (id: string, wave: number): Promise<void> =>
    eventually(async () => {
      const of = (await show(id)).waves[wave];
      expect(of?.status).not.toBe('pending');
    }, 60_000);

  const events = async (): Promise<Event[]> => {
    const all: Event[] = [];
    for (let after = 0; ;) {
      const query = { after, limit: 1_000, category: 'upgrade' };
      const { body } = await manager.call('events.list', { query });
      all.push(...body.items);
      if (body.next_after === after) return all;
      after = body.next_after;
    }
  };

  it('ends right, and nothing happens twice', async () => {
    const { status, body } = await manager.call('groups.upgrade', {
      params: { id: 'grp_default' },
      body: {
        version: '1.1.0',
        product: 'edge',
        settle_seconds: 2,
        wave_percents: [10, 30, 60, 100],
      },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    await inTheMiddleOf(body.id, 0);
    await redis.command('FLUSHALL');
    await inTheMiddleOf(body.id, 1);
    await redis.stop();
    await sleep(3_000);
    await redis.start();
    await inTheMiddleOf(body.id, 2);
    // The manager is its own worker: this ends it with jobs under way.
    await manager.kill();
    await manager.start();
    await eventually(async () => {
      expect(await show(body.id)).toMatchObject({ status: 'complete', reason: 'complete' });
    }, 120_000);

    expect(nodes.filter((node) => node.version !== '1.1.0')).toEqual([]);
    expect(new Set(nodes.map((node) => node.swaps.join()))).toEqual(new Set(['1.1.0']));
    const told = (await events()).filter((event) => event.node_id !== null);
    const keys = told.map((event) => `${event.node_id} ${event.command_id} ${event.type}`);
    expect(new Set(keys).size, 'no event is stored twice').toBe(keys.length);
    const completed = told.filter((event) => event.type === 'upgrade_completed');
    expect(completed.length, 'and none is lost').toBe(NODES);
    const commands = new Set(completed.map((event) => event.command_id));
    expect(commands.size, 'one command a node').toBe(NODES);
  }, 300_000);
});
