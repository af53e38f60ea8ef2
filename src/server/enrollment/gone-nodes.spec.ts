import { generateKeyPairSync } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { makeMigratedPostgres } from '../../../test/support/databases.js';
import { enrollBody, startTestManager, type TestManager } from '../../../test/support/manager.js';
import { aHello, connectNode, type NodeLink } from '../../../test/support/node-link.js';
import { startManagers } from '../../../test/support/several/managers.js';
import { DAY_MS, HOUR_MS } from '../../core/kernel/index.js';
import { makeNodeToken } from '../../protocol/node/index.js';
import { Database, newId } from '../platform/index.js';
import { GoneNodes } from './gone-nodes.js';

const DAYS = { BELLWETHER_CLUSTER_NODES_GONE_DAYS: '30' };

/** What the sweep of a manager does of it. */
async function sweep({ manager, clock }: TestManager): Promise<void> {
  const gone = manager.app.get(GoneNodes);
  for (const { run } of await gone.chore.find(clock.now())) await run();
}
async function makeToken(manager: TestManager, more: object = {}): Promise<string> {
  const made = await manager.call('enrollment.create_cluster', {
    body: { cluster: 'prod-1', ...more },
  });
  expect(made.status).toBe(201);
  return made.body.secret;
}
async function join(manager: TestManager, token: string, name: string) {
  const key = generateKeyPairSync('ed25519').privateKey;
  const body = enrollBody({ token, origin: manager.url, key, name });
  const reply = await manager.call(
    'enrollment.enroll',
    { body: { ...body, cluster: 'prod-1' } },
    null,
  );
  expect(reply.status).toBe(201);
  const { node_id: id } = reply.body;
  const nodeToken = () => {
    const nowMs = manager.clock.now();
    return makeNodeToken({ nodeId: id, origin: manager.url, key, nowMs, jti: newId('jti') });
  };
  return { id, key, token: nodeToken };
}
const statusOf = async (manager: TestManager, id: string): Promise<string> =>
  (await manager.call('nodes.show', { params: { id } })).body.status;
const retired = async (manager: TestManager) =>
  (await manager.call('audit.list', { query: { action: 'node.retire' } })).body.items;

describe.each(['sqlite', 'postgres'])('nodes of clusters that are gone (%s)', (kind) => {
  const cleanUps: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });
  const start = async (env: Record<string, string> = DAYS): Promise<TestManager> => {
    const own: Record<string, string> = { ...env };
    if (kind === 'postgres') {
      const { url, drop } = await makeMigratedPostgres();
      cleanUps.push(drop);
      own['DATABASE_URL'] = url;
    }
    const manager = await startTestManager(own);
    cleanUps.push(() => manager.stop());
    return manager;
  };

  it('are taken out after days, once, with audit entry and event; they leave room', async () => {
    const manager = await start();
    const token = await makeToken(manager, { max_nodes: 1 });
    const { id } = await join(manager, token, 'prod-1/shop/deployment/edge');
    manager.clock.advance(30 * DAY_MS - HOUR_MS);
    await sweep(manager);
    expect(await statusOf(manager, id)).toBe('offline');
    manager.clock.advance(2 * HOUR_MS);
    await sweep(manager);
    expect(await statusOf(manager, id)).toBe('revoked');
    manager.clock.advance(HOUR_MS);
    await sweep(manager);
    expect(await retired(manager)).toMatchObject([
      {
        actor_kind: 'system',
        target_id: id,
        details: { name: 'prod-1/shop/deployment/edge', cluster: 'prod-1', days: 30 },
      },
    ]);
    const { body } = await manager.call('events.list', {
      query: { type: 'node_revoked' },
    });
    expect(body.items).toMatchObject([{ node_id: id, details: { reason: 'gone', days: 30 } }]);
    await join(manager, token, 'prod-1/shop/deployment/other');
  });

  it('stay where nothing is said, and so do nodes that came otherwise, and those that are there', async () => {
    const silent = await start({});
    const kept = await join(silent, await makeToken(silent), 'a');
    silent.clock.advance(80 * DAY_MS);
    await sweep(silent);
    expect(await statusOf(silent, kept.id)).toBe('offline');
    const manager = await start();
    const machine = await manager.node();
    const there = await join(manager, await makeToken(manager), 'b');
    const link: NodeLink = await connectNode(manager, there);
    cleanUps.push(() => link.close());
    manager.clock.advance(31 * DAY_MS);
    await sweep(manager);
    expect(await statusOf(manager, machine.id)).toBe('offline');
    expect(await statusOf(manager, there.id)).toBe('online');
    expect(await retired(manager)).toEqual([]);
  });

  it('are left alone while the manager itself has just come', async () => {
    const manager = await start();
    const { id } = await join(manager, await makeToken(manager), 'a');
    const database = manager.manager.app.get(Database);
    const long = manager.clock.now() - 60 * DAY_MS;
    await database.transaction((tx) =>
      tx.run('UPDATE nodes SET enrolled_at = ?, last_seen_at = ?', [long, long]),
    );
    manager.clock.advance(HOUR_MS / 2);
    await sweep(manager);
    expect(await statusOf(manager, id)).toBe('offline');
    manager.clock.advance(HOUR_MS);
    await sweep(manager);
    expect(await statusOf(manager, id)).toBe('revoked');
  });

  it('are left alone while a rollout is open that they are in', async () => {
    const manager = await start();
    const { id } = await join(manager, await makeToken(manager), 'a');
    const database = manager.manager.app.get(Database);
    const claim = (word: string, given: readonly string[]) =>
      database.transaction((tx) => tx.run(word, [...given]));
    await claim('INSERT INTO active_targets (node_id, service, rollout_id) VALUES (?, ?, ?)', [
      id,
      'edge',
      'rol_000000001',
    ]);
    manager.clock.advance(40 * DAY_MS);
    await sweep(manager);
    expect(await statusOf(manager, id)).toBe('offline');
    await claim('DELETE FROM active_targets WHERE node_id = ?', [id]);
    manager.clock.advance(HOUR_MS);
    await sweep(manager);
    expect(await statusOf(manager, id)).toBe('revoked');
  });

  it('are not taken out that came back, or were claimed, between the look and the deed', async () => {
    const manager = await start();
    const token = await makeToken(manager);
    const back = await join(manager, token, 'back');
    const claimed = await join(manager, token, 'claimed');
    manager.clock.advance(31 * DAY_MS);
    const tasks = await manager.manager.app.get(GoneNodes).chore.find(manager.clock.now());
    expect(tasks).toHaveLength(2);
    const link = await connectNode(manager, back, aHello());
    await link.close();
    await manager.manager.app
      .get(Database)
      .transaction((tx) =>
        tx.run('INSERT INTO active_targets (node_id, service, rollout_id) VALUES (?, ?, ?)', [
          claimed.id,
          'edge',
          'rol_000000001',
        ]),
      );
    for (const { run } of tasks) await run();
    expect(await retired(manager)).toEqual([]);
  });
});

it('of several managers one takes a node out', async () => {
  const managers = await startManagers(3, DAYS);
  try {
    const [first] = managers.all;
    if (first === undefined) throw new Error('none');
    const token = await makeToken(first);
    for (const name of ['a', 'b', 'c', 'd']) await join(first, token, name);
    first.clock.advance(31 * DAY_MS);
    const all = await Promise.all(
      managers.all.map((one) => one.get(GoneNodes).chore.find(one.clock.now())),
    );
    expect(all.map(({ length }) => length)).toEqual([4, 4, 4]);
    await Promise.all(all.flat().map(({ run }) => run()));
    const entries = await retired(first);
    expect(new Set(entries.map(({ target_id }) => target_id)).size).toBe(4);
    expect(entries).toHaveLength(4);
  } finally {
    await managers.stop();
  }
}, 60_000);
