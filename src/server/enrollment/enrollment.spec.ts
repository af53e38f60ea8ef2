import { generateKeyPairSync } from 'node:crypto';
import { afterEach, expect, it, describe } from 'vitest';
import { makeMigratedPostgres } from '../../../test/support/databases.js';
import { enrollBody, startTestManager, type TestManager } from '../../../test/support/manager.js';
import { MINUTE_MS } from '../../core/kernel/index.js';
import type { EnrollRequest } from '../../protocol/node/index.js';

const newKey = () => generateKeyPairSync('ed25519').privateKey;

describe.each(['sqlite', 'postgres'])('enrollment (%s)', (kind) => {
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
  const makeToken = async (manager: TestManager): Promise<string> =>
    (await manager.call('enrollment.create', { body: {} })).body.secret;
  const enroll = async (manager: TestManager, body: EnrollRequest) => {
    const reply = await manager.call('enrollment.enroll', { body }, null);
    return { status: reply.status, code: reply.body.code, body: reply.body };
  };
  const nodeCount = async (manager: TestManager): Promise<number> =>
    (await manager.call('nodes.list')).body.items.length;

  it('makes a node, an event and an audit entry', async () => {
    const manager = await start();
    const east = await manager.group('east');
    const made = await manager.call('enrollment.create', { body: { group_id: east } });
    expect(made.body.command).toBe(
      `bellwether-agent enroll --manager ${manager.url} --token ${made.body.secret}`,
    );
    expect(made.body.secret).toMatch(/^bwe_[0-9a-z]{40}$/);
    const body = enrollBody({ token: made.body.secret, origin: manager.url, key: newKey() });
    const reply = await enroll(manager, body);
    expect(reply).toMatchObject({ status: 201, body: { group_id: east, name: 'edge-01' } });
    const nodeId = reply.body.node_id;
    const node = await manager.call('nodes.show', { params: { id: nodeId } });
    expect(node.body).toMatchObject({ status: 'offline', group_id: east, services: [] });
    const events = await manager.call('events.list');
    expect(events.body.items).toMatchObject([
      { id: 1, category: 'agent', type: 'node_enrolled', node_id: nodeId, group_id: east },
    ]);
    const audit = await manager.call('audit.list', { query: { limit: 2 } });
    expect(audit.body.items).toMatchObject([
      { action: 'node.enroll', actor_kind: 'node', actor_id: nodeId, group_id: east },
      { action: 'enrollment_token.create', actor_kind: 'token', target_id: made.body.id },
    ]);
    expect(JSON.stringify([events.body, audit.body])).not.toContain(made.body.secret);
  });

  it('tells unknown, used and expired tokens apart', async () => {
    const manager = await start();
    const origin = manager.url;
    const unknown = enrollBody({ token: `bwe_${'0'.repeat(40)}`, origin, key: newKey() });
    expect(await enroll(manager, unknown)).toMatchObject({
      status: 401,
      code: 'enrollment_token_unknown',
    });
    const token = await makeToken(manager);
    const body = enrollBody({ token, origin, key: newKey() });
    expect((await enroll(manager, body)).status).toBe(201);
    for (let i = 0; i < 2; i += 1) {
      expect(await enroll(manager, enrollBody({ token, origin, key: newKey() }))).toMatchObject({
        status: 401,
        code: 'enrollment_token_used',
      });
    }
    const late = await makeToken(manager);
    manager.clock.advance(15 * MINUTE_MS);
    expect(await enroll(manager, enrollBody({ token: late, origin, key: newKey() }))).toMatchObject(
      { status: 401, code: 'enrollment_token_expired' },
    );
    expect(await nodeCount(manager)).toBe(1);
    const audit = await manager.call('audit.list', { query: { action: 'auth.refused' } });
    expect(audit.body.items.map(({ details }) => details['error_code'])).toEqual([
      'enrollment_token_expired',
      'enrollment_token_used',
      'enrollment_token_used',
      'enrollment_token_unknown',
    ]);
  });

  it('tells the same key the same node again while the token lives, and nobody else', async () => {
    const manager = await start();
    const token = await makeToken(manager);
    const origin = manager.url;
    const body = enrollBody({ token, origin, key: newKey() });
    const replies = await Promise.all([1, 2, 3].map(() => enroll(manager, body)));
    const again = await enroll(manager, { ...body, name: 'another-name' });
    const ids = replies.map((reply) => reply.body.node_id);
    expect(new Set([...ids, again.body.node_id]).size).toBe(1);
    expect(again).toMatchObject({ status: 201, body: { name: 'edge-01' } });
    expect(await nodeCount(manager)).toBe(1);
    const audit = await manager.call('audit.list', { query: { action: 'node.enroll' } });
    expect(audit.body.items).toHaveLength(1);
    const refused = { status: 401, code: 'enrollment_token_used' };
    const stolen = { ...body, proof: 'A'.repeat(86) };
    expect(await enroll(manager, stolen)).toMatchObject({ code: 'enrollment_proof_invalid' });
    expect(await enroll(manager, enrollBody({ token, origin, key: newKey() }))).toMatchObject(
      refused,
    );
    const id = again.body.node_id;
    await manager.call('nodes.revoke', { params: { id } });
    expect(await enroll(manager, body)).toMatchObject(refused);
    const second = await makeToken(manager);
    const late = enrollBody({ token: second, origin, key: newKey() });
    expect((await enroll(manager, late)).status).toBe(201);
    manager.clock.advance(15 * MINUTE_MS);
    expect(await enroll(manager, late)).toMatchObject(refused);
  });

  it('lets exactly one of many racing nodes win', async () => {
    const manager = await start();
    const token = await makeToken(manager);
    const replies = await Promise.all(
      Array.from({ length: 8 }, () =>
        enroll(manager, enrollBody({ token, origin: manager.url, key: newKey() })),
      ),
    );
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(replies.filter(({ code }) => code === 'enrollment_token_used')).toHaveLength(7);
    expect(await nodeCount(manager)).toBe(1);
  });

  it('refuses a proof for another manager, key or token, and leaves the token usable', async () => {
    const manager = await start();
    const token = await makeToken(manager);
    const good = enrollBody({ token, origin: manager.url, key: newKey() });
    const other = enrollBody({ token, origin: manager.url, key: newKey() });
    const elsewhere = enrollBody({ token, origin: 'https://evil.example', key: newKey() });
    const otherToken = enrollBody({
      token: 'bwe_other_token_0',
      origin: manager.url,
      key: newKey(),
    });
    for (const bad of [
      elsewhere,
      { ...good, public_key: other.public_key },
      { ...good, proof: other.proof },
      { ...otherToken, token },
      { ...good, proof: 'A'.repeat(86) },
    ]) {
      expect(await enroll(manager, bad)).toMatchObject({
        status: 401,
        code: 'enrollment_proof_invalid',
      });
    }
    expect(await nodeCount(manager)).toBe(0);
    expect((await enroll(manager, good)).status).toBe(201);
  });

  it('refuses a request that does not fit its schema', async () => {
    const manager = await start();
    const body = enrollBody({
      token: await makeToken(manager),
      origin: manager.url,
      key: newKey(),
    });
    const bad = { ...body, public_key: 'short', name: '', host: { ...body.host, arch: 'vax' } };
    const reply = await enroll(manager, bad as never);
    expect(reply.status).toBe(400);
    expect(reply.body.problems?.map(({ path }) => path)).toEqual([
      'body.name',
      'body.public_key',
      'body.host.arch',
    ]);
  });
});
