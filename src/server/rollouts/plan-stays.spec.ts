import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aHost, type TestNode } from '../../../test/support/manager.js';
import { aService, connectNode } from '../../../test/support/node-link.js';
import {
  ObedientNode,
  startRolloutManager,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';
import { ACK_TIMEOUT_MS } from '../../protocol/node/index.js';
import { Sweeper } from './sweeper.js';

describe.each(['sqlite', 'postgres'] as const)('a plan, once it is made (%s)', (kind) => {
  let manager: RolloutManager;
  const links = new Map<string, ObedientNode>();

  beforeAll(async () => {
    manager = await startRolloutManager({ kind });
  }, 60_000);
  afterAll(async () => {
    for (const node of links.values()) await node.link.close();
    await manager.stop();
  });

  const node = (key: string): ObedientNode => {
    const found = links.get(key);
    if (found === undefined) throw new Error(`no node ${key}`);
    return found;
  };
  /** The node comes, or comes again, and says this of itself; what it had before is closed. */
  async function connect(key: string, known: TestNode, ring: string): Promise<void> {
    const link = await connectNode(manager, known, {
      host: { ...aHost(key), labels: { ring } },
      services: [aService()],
    });
    links.set(key, new ObedientNode(link));
  }
  const move = (nodeId: string, groupId: string) =>
    manager.database.transaction((tx) =>
      tx.run('UPDATE nodes SET group_id = ? WHERE id = ?', [groupId, nodeId]),
    );
  const show = async (id: string) => (await manager.call('rollouts.show', { params: { id } })).body;
  const waveOfEach = async (id: string) => {
    const { body } = await manager.call('rollouts.targets', { params: { id } });
    return Object.fromEntries(body.items.map((one) => [one.node_id, one.wave]));
  };

  it('stays as it is when its nodes change their labels and their group', async () => {
    const [east, west] = [await manager.group('east'), await manager.group('west')];
    const known = new Map<string, TestNode>();
    for (const [key, ring] of [
      ['relabelled', 'a'],
      ['moved', 'a'],
      ['last', 'b'],
      ['in no wave', 'c'],
    ] as const) {
      const made = await manager.node(east, key);
      known.set(key, made);
      await connect(key, made, ring);
    }
    const of = (key: string): TestNode => known.get(key) as TestNode;
    const { status, body } = await manager.call('rollouts.create', {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: east },
        strategy: 'scheduled',
        settle_seconds: 0,
        rings: [
          { name: 'first', ring: 'a' },
          { name: 'second', ring: 'b' },
        ],
      },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    const { id, skipped } = body;
    const planned = { [of('relabelled').id]: 0, [of('moved').id]: 0, [of('last').id]: 1 };
    expect(await waveOfEach(id)).toEqual(planned);
    expect(skipped).toEqual([{ node_id: of('in no wave').id, reason: 'in_no_wave' }]);

    // Everybody would be somewhere else if the plan were made now.
    await connect('relabelled', of('relabelled'), 'b');
    await connect('last', of('last'), 'a');
    await connect('in no wave', of('in no wave'), 'a');
    await move(of('moved').id, west);
    await connect('moved', of('moved'), 'b');
    manager.clock.advance(ACK_TIMEOUT_MS + 1);
    await manager.manager.app.get(Sweeper).sweep();
    expect(await waveOfEach(id)).toEqual(planned);
    expect((await show(id)).waves.map(({ status: is, size }) => [is, size])).toEqual([
      ['open', 2],
      ['pending', 1],
    ]);

    // And it is carried out as it was made.
    await node('relabelled').obey();
    expect(node('last').link.waiting('command')).toBe(0);
    await node('moved').obey();
    await node('last').obey();
    await expect.poll(async () => (await show(id)).status, { timeout: 10_000 }).toBe('complete');
    expect(await waveOfEach(id)).toEqual(planned);
    expect((await show(id)).skipped).toEqual(skipped);
    expect(node('in no wave').link.waiting('command')).toBe(0);
  }, 30_000);

  it('with an hour to wait for opens at that hour, not before', async () => {
    const south = await manager.group('south');
    const waiting = await manager.join(south, 'waiting');
    const at = new Date(manager.clock.now() + 2 * 3_600_000).toISOString();
    const { body } = await manager.call('rollouts.create', {
      body: { product: 'edge', version: '1.1.0', scope: { group_id: south }, apply_after: at },
    });
    expect([body.status, body.reason, body.waves[0]?.until]).toEqual(['pending', 'not_before', at]);
    const sweep = () => manager.manager.app.get(Sweeper).sweep();
    manager.clock.advance(Date.parse(at) - manager.clock.now() - 5_000);
    await sweep();
    expect(Date.parse(at)).toBeGreaterThan(manager.clock.now());
    expect((await show(body.id)).status).toBe('pending');
    expect(waiting.link.waiting('command')).toBe(0);
    manager.clock.advance(5_000);
    await sweep();
    const opened = await show(body.id);
    expect([opened.status, opened.waves[0]?.status]).toEqual(['in_progress', 'open']);
    expect(Date.parse(opened.waves[0]?.opened_at ?? '')).toBeGreaterThanOrEqual(Date.parse(at));
    await waiting.obey();
    expect((await show(body.id)).waves[0]?.counts).toEqual({ succeeded: 1 });
  }, 30_000);
});
