import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentDigest } from '../../core/release/index.js';
import { makeMigratedPostgres } from '../../../test/support/databases.js';
import { connectNode } from '../../../test/support/node-link.js';
import { makeSigningKey, signDocument } from '../../../test/support/release-source.js';
import {
  startTestManager,
  type TestManager,
  type TestNode,
} from '../../../test/support/manager.js';

const key = makeSigningKey();
const ISSUED = { issued_at: '2026-11-20T08:00:00.000Z', expires_at: '2026-12-20T08:00:00.000Z' };
const index = (sequence: number, change: object = {}) =>
  signDocument(
    {
      schema: 'bellwether.channel.v1',
      product: 'edge',
      channel: 'stable',
      sequence,
      ...ISSUED,
      current: { version: '1.4.0', manifest_sha256: 'a'.repeat(64), sequence: 14 },
      floor: 0,
      revoked: [],
      ...change,
    },
    key,
  );
const permit = (sequence: number, to: string) =>
  signDocument(
    {
      schema: 'bellwether.downgrade.v1',
      product: 'edge',
      channel: 'stable',
      sequence,
      ...ISSUED,
      to,
      from: { min: '1.3.0', max: '1.9.0' },
    },
    key,
  );

describe.each(['sqlite', 'postgres'])('signed documents (%s)', (kind) => {
  let manager: TestManager;
  let node: TestNode;
  let drop: (() => Promise<void>) | null = null;
  const env: Record<string, string> = {};
  beforeAll(async () => {
    if (kind === 'postgres') {
      const made = await makeMigratedPostgres();
      [drop, env['DATABASE_URL']] = [made.drop, made.url];
    }
    manager = await startTestManager(env);
    node = await manager.node();
  });
  afterAll(async () => {
    await manager.stop();
    await drop?.();
  });

  const announce = (body: { document: string; signatures: string[] }) =>
    manager.call('documents.announce', { body });
  const served = (product = 'edge') =>
    manager.call('documents.channel', { params: { product, channel: 'stable' } }, node.token());

  it('come out byte for byte as they went in, the newest one', async () => {
    expect((await served()).status).toBe(404);
    const first = await announce(index(1));
    expect(first.body).toMatchObject({ kind: 'channel', version: null, sequence: 1 });
    await announce(index(2));
    manager.clock.advance(1_000);
    expect((await served()).body).toEqual(index(2));
    expect((await served('gateway')).status).toBe(404);
  });

  it('may be handed in again, and never with another text or a lower sequence', async () => {
    expect((await announce(index(3))).status).toBe(201);
    expect((await announce(index(3))).status).toBe(201);
    for (const other of [index(3, { floor: 2 }), index(2), index(1)]) {
      const { status, body } = await announce(other);
      expect([status, body.code]).toEqual([409, 'release_document_superseded']);
    }
    const events = await manager.call('events.list', { query: { category: 'release' } });
    const told = events.body.items.filter(({ type }) => type === 'channel_index_announced');
    expect(told).toHaveLength(3);
  });

  it('let a node find the permit of its version, and no other', async () => {
    expect((await announce(permit(1, '1.1.0'))).body.version).toBe('1.1.0');
    const find = (version: string) =>
      manager.call(
        'documents.downgrade',
        { params: { product: 'edge', channel: 'stable', version } },
        node.token(),
      );
    expect((await find('1.1.0')).body).toEqual(permit(1, '1.1.0'));
    expect((await find('1.2.0')).status).toBe(404);
  });

  it.each([
    [
      'not canonical',
      { ...index(9), document: ` ${index(9).document}` },
      'release_document_invalid',
    ],
    ['not JSON', { ...index(9), document: 'nonsense' }, 'release_document_invalid'],
    ['of another kind', index(9, { schema: 'bellwether.policy.v1' }), 'release_document_invalid'],
    ['with an unknown field', index(9, { more: 1 }), 'release_document_invalid'],
    [
      'valid for years',
      index(9, { expires_at: '2036-01-01T00:00:00Z' }),
      'release_document_invalid',
    ],
    ['a floor above current', index(9, { floor: 15 }), 'release_document_invalid'],
    ['no signature', { ...index(9), signatures: [] }, 'invalid_request'],
    ['no signature in form', { ...index(9), signatures: ['x'] }, 'upgrade_signature_invalid'],
  ])('are refused: %s', async (_what, body, code) => {
    const reply = await announce(body);
    expect([reply.status, reply.body.code]).toEqual([reply.status, code]);
    expect(reply.status).toBeGreaterThanOrEqual(400);
    expect((await served()).body).toEqual(index(3));
  });

  it('are listed, the newest of each channel, with the time that is left', async () => {
    const list = async (query: { product?: string }, token?: string) =>
      (await manager.call('documents.list', { query }, token)).body.items;
    const viewer = await manager.token('viewer', await manager.group('west'));
    const [permits, indexes] = [permit(1, '1.1.0'), index(3)].map(({ document }) =>
      documentDigest(Buffer.from(document)),
    );
    const common = { product: 'edge', channel: 'stable', expired: false };
    for (const token of [undefined, viewer]) {
      expect(await list({}, token)).toMatchObject([
        { ...common, kind: 'channel', version: null, sequence: 3, sha256: indexes },
        { ...common, kind: 'downgrade', version: '1.1.0', sequence: 1, sha256: permits },
      ]);
    }
    expect(await list({ product: 'gateway' })).toEqual([]);
    expect((await manager.call('documents.list', {}, null)).status).toBe(401);
    expect((await manager.call('documents.list', {}, node.token())).status).toBe(401);
  });

  it('of a channel that are newer are news for every node that is there', async () => {
    const [here, away] = [await manager.node(), await manager.node()];
    const links = [await connectNode(manager, node), await connectNode(manager, here)];
    await announce(index(20));
    for (const link of links) {
      expect(await link.next('index_news')).toEqual({
        type: 'index_news',
        product: 'edge',
        channel: 'stable',
      });
    }
    // The same once more, and a permit, are no news; nor is what happened before somebody came.
    await announce(index(20));
    await announce(permit(9, '1.2.0'));
    links.push(await connectNode(manager, away));
    await announce(index(21));
    for (const link of links) await link.next('index_news');
    expect(links.map((link) => link.waiting('index_news'))).toEqual([0, 0, 0]);
    for (const link of links) await link.close();
  });
});
