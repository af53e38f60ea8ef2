import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { makeMigratedPostgres } from '../../../test/support/databases.js';
import { eventually } from '../../../test/support/fleet.js';
import { enrollBody, startTestManager, type TestManager } from '../../../test/support/manager.js';
import { aHello, connectNode } from '../../../test/support/node-link.js';
import { DAY_MS } from '../../core/kernel/index.js';
import { makeNodeToken } from '../../protocol/node/index.js';
import { newId } from '../platform/index.js';

const newKey = () => generateKeyPairSync('ed25519').privateKey;

describe.each(['sqlite', 'postgres'])('tokens of clusters (%s)', (kind) => {
  const cleanUps: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  const start = async (): Promise<TestManager> => {
    const env: Record<string, string> = {};
    if (kind === 'postgres') {
      const { url, drop } = await makeMigratedPostgres();
      cleanUps.push(drop);
      env['DATABASE_URL'] = url;
    }
    const manager = await startTestManager(env);
    cleanUps.push(() => manager.stop());
    return manager;
  };
  const makeToken = async (manager: TestManager, more: object = {}) => {
    const made = await manager.call('enrollment.create_cluster', {
      body: { cluster: 'prod-1', ...more },
    });
    expect(made.status).toBe(201);
    return made.body;
  };
  const enroll = async (
    manager: TestManager,
    token: string,
    given: { name?: string; key?: KeyObject; cluster?: string | null } = {},
  ) => {
    const { name = 'prod-1/shop/deployment/edge', key = newKey(), cluster = 'prod-1' } = given;
    const body = enrollBody({ token, origin: manager.url, key, name });
    const said = cluster === null ? body : { ...body, cluster };
    const reply = await manager.call('enrollment.enroll', { body: said }, null);
    return { status: reply.status, code: reply.body.code, body: reply.body };
  };
  const countOf = async (manager: TestManager): Promise<number> => {
    const { body } = await manager.call('enrollment.clusters');
    return body.items[0]?.nodes ?? -1;
  };

  it('are used again and again, give the same key the same node, and show no secret', async () => {
    const manager = await start();
    const { secret, command, ...token } = await makeToken(manager, { max_nodes: 5 });
    expect(secret).toMatch(/^bwc_[0-9a-z]{40}$/);
    expect(command).toContain(secret);
    const key = newKey();
    const first = await enroll(manager, secret, { key });
    const again = await enroll(manager, secret, { key });
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.body.node_id).toBe(first.body.node_id);
    const other = await enroll(manager, secret, { name: 'prod-1/shop/deployment/gate' });
    expect(other.body.node_id).not.toBe(first.body.node_id);
    const { body } = await manager.call('enrollment.clusters');
    expect(body.items).toMatchObject([
      { id: token.id, cluster: 'prod-1', max_nodes: 5, nodes: 2, revoked_at: null },
    ]);
    expect(body.items[0]?.last_used_at).not.toBeNull();
    const audit = await manager.call('audit.list');
    expect(JSON.stringify([body, audit.body])).not.toContain(secret);
  });

  it('expire, by default after a year and never after more than two', async () => {
    const manager = await start();
    const { secret } = await makeToken(manager, { expires_days: 2 });
    const usual = await makeToken(manager);
    const days = (Date.parse(usual.expires_at) - Date.parse(usual.created_at)) / DAY_MS;
    expect(days).toBe(365);
    for (const expires_days of [0, 731]) {
      const body = { cluster: 'prod-1', expires_days };
      expect((await manager.call('enrollment.create_cluster', { body })).status).toBe(400);
    }
    expect((await enroll(manager, secret)).status).toBe(201);
    manager.clock.advance(2 * DAY_MS);
    expect(await enroll(manager, secret)).toMatchObject({
      status: 401,
      code: 'enrollment_token_expired',
    });
    expect((await enroll(manager, usual.secret)).status).toBe(201);
  });

  it('are revoked once, and what they enrolled stays', async () => {
    const manager = await start();
    const { secret, id } = await makeToken(manager);
    await enroll(manager, secret);
    for (let count = 0; count < 2; count += 1) {
      const { status } = await manager.call('enrollment.revoke_cluster', { params: { id } });
      expect(status).toBe(204);
    }
    expect(await enroll(manager, secret, { name: 'late' })).toMatchObject({
      status: 401,
      code: 'enrollment_token_revoked',
    });
    expect(await countOf(manager)).toBe(1);
    const audit = await manager.call('audit.list', { query: { action: 'cluster_token.revoke' } });
    expect(audit.body.items).toHaveLength(1);
    const unknown = { params: { id: 'clt_unknown0' } };
    expect((await manager.call('enrollment.revoke_cluster', unknown)).status).toBe(404);
  });

  it('are for their cluster only, and one-time tokens are for none', async () => {
    const manager = await start();
    const { secret } = await makeToken(manager);
    for (const cluster of ['prod-2', null]) {
      const refused = await enroll(manager, secret, { cluster });
      expect(refused).toMatchObject({ status: 401, code: 'enrollment_cluster_mismatch' });
      expect(JSON.stringify(refused.body)).not.toContain('prod-1');
    }
    const once = (await manager.call('enrollment.create', { body: {} })).body.secret;
    expect(await enroll(manager, once)).toMatchObject({
      status: 401,
      code: 'enrollment_cluster_mismatch',
    });
    expect((await enroll(manager, once, { cluster: null })).status).toBe(201);
    expect(await countOf(manager)).toBe(0);
  });

  it('of two that come for the last place at the same moment take one', async () => {
    const manager = await start();
    const [one, two] = [
      await makeToken(manager, { max_nodes: 3 }),
      await makeToken(manager, { max_nodes: 3 }),
    ];
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        enroll(manager, (index % 2 === 0 ? one : two).secret, { name: `edge-${index}` }),
      ),
    );
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(3);
    const refused = replies.filter(({ status }) => status !== 201);
    for (const { status, code } of refused) {
      expect([status, code]).toEqual([409, 'cluster_node_limit']);
    }
    expect(await countOf(manager)).toBe(3);
    // A place that is free again is taken again.
    const [node] = (await manager.call('nodes.list')).body.items;
    await manager.call('nodes.revoke', { params: { id: node?.id ?? '' } });
    expect((await enroll(manager, one.secret, { name: 'late' })).status).toBe(201);
  });

  it('give a name to one of several keys that come at the same moment', async () => {
    const manager = await start();
    const { secret } = await makeToken(manager);
    const replies = await Promise.all(Array.from({ length: 4 }, () => enroll(manager, secret)));
    expect(replies.every(({ status }) => status === 201)).toBe(true);
    expect(await countOf(manager)).toBe(1);
  });

  it('replace a node that lost its key, but never one that is connected', async () => {
    const manager = await start();
    const { secret } = await makeToken(manager, { max_nodes: 1 });
    const key = newKey();
    const { node_id: id } = (await enroll(manager, secret, { key })).body;
    const token = () => {
      const nowMs = manager.clock.now();
      return makeNodeToken({ nodeId: id, origin: manager.url, key, nowMs, jti: newId('jti') });
    };
    const link = await connectNode(manager, { id, key, token }, aHello());
    const status = async () => (await manager.call('nodes.show', { params: { id } })).body.status;
    await eventually(async () => expect(await status()).toBe('online'));
    const labels = (await manager.call('nodes.show', { params: { id } })).body.labels;
    expect(labels).toMatchObject({ cluster: 'prod-1' });
    expect(await enroll(manager, secret)).toMatchObject({
      status: 409,
      code: 'cluster_name_in_use',
    });
    // The key that is known may come again.
    expect((await enroll(manager, secret, { key })).body.node_id).toBe(id);
    await link.close();
    await eventually(async () => expect(await status()).toBe('offline'));
    // Its row tells so a moment after its link.
    const next = await eventually(async () => {
      const answer = await enroll(manager, secret);
      expect(answer.status).toBe(201);
      return answer;
    });
    expect(next.body.node_id).not.toBe(id);
    expect(await status()).toBe('revoked');
    expect(await countOf(manager)).toBe(1);
  });
});
