import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aManifest, release, sha256Of, signedManifest } from '../../../test/support/catalog.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { aService, connectNode, type NodeLink } from '../../../test/support/node-link.js';

let manager: TestManager;
let east: string;
let west: string;
const links: NodeLink[] = [];
const ids: Record<string, string> = {};

beforeAll(async () => {
  manager = await startTestManager();
  east = await manager.group('east');
  west = await manager.group('west');
  let sequence = 0;
  for (const version of ['1.0.0', '1.1.0', '2.0.0', '3.0.0']) {
    await release(manager, { version, sequence: (sequence += 1) });
  }
  await release(manager, { version: '3.1.0', channel: 'beta', sequence: 10 });
  await release(manager, { version: '3.2.0', channel: 'dev', sequence: 11 });
  const come = async (name: string, group: string, version: string | null): Promise<void> => {
    const node = await manager.node(group, name);
    ids[name] = node.id;
    links.push(await connectNode(manager, node, { services: [aService({ version })] }));
  };
  await come('old', east, '1.0.0');
  await come('older', east, '1.0.0');
  await come('young', east, '3.0.0');
  await come('brave', east, '3.1.0');
  await come('far', west, '2.0.0');
}, 60_000);
afterAll(async () => {
  for (const link of links) await link.close();
  await manager.stop();
});

const ofNode = async (name: string, query = {}, token?: string) =>
  manager.call('nodes.upgrades', { params: { id: ids[name] ?? name }, query }, token);
const shown = (offers: readonly { version: string; direct: boolean }[]): string[] =>
  offers.map(({ version, direct }) => (direct ? version : `(${version})`));

describe('what a node could come to', () => {
  it('is newest first, with what must come first', async () => {
    const { body } = await ofNode('old');
    const [edge] = body.items;
    expect(edge).toMatchObject({
      product: 'edge',
      version: '1.0.0',
      channel: 'stable',
      newest: '3.0.0',
      window: 'out_of_support',
      downgrades: [],
    });
    expect(shown(edge?.upgrades ?? [])).toEqual(['(3.0.0)', '2.0.0', '1.1.0']);
    expect(edge?.upgrades[0]?.requires).toMatch(/requires upgrade to 2\.x first/);
    expect(edge?.upgrades[1]).toMatchObject({ bytes: 10, requires: null, channel: 'stable' });
  });

  it('follows the channel of what runs, or the one that was asked for', async () => {
    const brave = (await ofNode('brave')).body.items[0];
    expect(brave).toMatchObject({ channel: 'beta', newest: '3.1.0', window: 'in_window' });
    expect(shown(brave?.downgrades ?? [])).toEqual(['3.0.0', '2.0.0', '(1.1.0)', '(1.0.0)']);
    const young = (await ofNode('young', { channel: 'dev' })).body.items[0];
    expect(shown(young?.upgrades ?? [])).toEqual(['3.2.0', '3.1.0']);
    const few = (await ofNode('young', { channel: 'dev', limit: 1 })).body.items[0];
    expect(few?.upgrades).toHaveLength(1);
    expect((await ofNode('young', { product: 'gate' })).body.items).toEqual([]);
  });

  it('is counted for a group and below', async () => {
    const { body } = await manager.call('groups.upgrades', { params: { id: east } });
    const [edge] = body.items;
    expect(edge).toMatchObject({
      product: 'edge',
      nodes: 4,
      running: [{ version: '1.0.0', nodes: 2 }, { nodes: 1 }, { nodes: 1 }],
    });
    expect(edge?.upgrades.map((one) => [one.version, one.direct, one.detour])).toEqual([
      ['3.0.0', 0, 2],
      ['2.0.0', 2, 0],
      ['1.1.0', 2, 0],
    ]);
    expect(edge?.downgrades.map((one) => [one.version, one.direct, one.detour])).toEqual([
      ['3.0.0', 1, 0],
      ['2.0.0', 2, 0],
      ['1.1.0', 0, 2],
      ['1.0.0', 0, 2],
    ]);
    const root = await manager.call('groups.upgrades', { params: { id: 'grp_default' } });
    expect(root.body.items[0]?.nodes).toBe(5);
  });

  it('shows in the view of the node how far it is behind', async () => {
    const windows = async (name: string) => {
      const { body } = await manager.call('nodes.show', { params: { id: ids[name] ?? '' } });
      return body.support.map(({ window, newest }) => [window, newest]);
    };
    expect(await windows('old')).toEqual([['out_of_support', '3.0.0']]);
    expect(await windows('far')).toEqual([['deprecated', '3.0.0']]);
    expect(await windows('young')).toEqual([['in_window', '3.0.0']]);
    const list = await manager.call('nodes.list', { query: { limit: 2 } });
    expect(list.body.items.map(({ support }) => support.length)).toEqual([1, 1]);
  });

  it('may still be upgraded when it is out of support', async () => {
    const answer = await manager.call('nodes.upgrade', {
      params: { id: ids['older'] ?? '' },
      body: { version: '2.0.0' },
    });
    expect(answer.status).toBe(202);
    await manager.call('rollouts.cancel', { params: { id: answer.body.id } });
  });

  it('is for those who may see the node or the group, and hidden from others', async () => {
    for (const role of ['viewer', 'operator', 'admin']) {
      const token = await manager.token(role, east);
      expect((await ofNode('old', {}, token)).status).toBe(200);
      const own = await manager.call('groups.upgrades', { params: { id: east } }, token);
      expect(own.status).toBe(200);
      const hidden = await ofNode('far', {}, token);
      const missing = await ofNode('nod_00000000000000000000', {}, token);
      expect([hidden.status, hidden.body.code]).toEqual([404, 'not_found']);
      expect({ ...hidden.body, request_id: '' }).toEqual({ ...missing.body, request_id: '' });
      for (const id of [west, 'grp_default', 'grp_00000000000000000000']) {
        const other = await manager.call('groups.upgrades', { params: { id } }, token);
        expect([other.status, other.body.code]).toEqual([404, 'not_found']);
      }
    }
  });
});

describe('a release', () => {
  it('is shown with its signed bytes', async () => {
    const body = signedManifest(aManifest({ version: '3.3.0', sequence: 20 }, Buffer.from('x')));
    const draft = await manager.call('releases.publish', {
      body: { ...body, signatures: [], draft: true },
    });
    expect([draft.status, draft.body.state]).toEqual([201, 'draft']);
    const shownDraft = await manager.call('releases.show', { params: { id: draft.body.id } });
    expect(shownDraft.body).toMatchObject({ manifest: body.manifest, signatures: [] });
    const missing = await manager.call('releases.show', {
      params: { id: 'rel_00000000000000000000' },
    });
    expect([missing.status, missing.body.code]).toEqual([404, 'not_found']);
  });

  it('as a draft reaches no node, and gives way to the release', async () => {
    const offers = shown((await ofNode('young')).body.items[0]?.upgrades ?? []);
    expect(offers).toEqual([]);
    const asked = await manager.call('nodes.upgrade', {
      params: { id: ids['young'] ?? '' },
      body: { version: '3.3.0' },
    });
    expect([asked.status, asked.body.code]).toEqual([404, 'not_found']);
    await release(manager, { version: '3.3.0', sequence: 20 });
    const list = await manager.call('releases.list', { query: { version: '3.3.0' } });
    expect(list.body.items.map(({ state }) => state)).toEqual(['published']);
    // Published, it is offered at once: what was remembered is forgotten.
    expect(shown((await ofNode('young')).body.items[0]?.upgrades ?? [])).toEqual(['3.3.0']);
    const late = signedManifest(aManifest({ version: '3.3.0', sequence: 21 }, Buffer.from('x')));
    const again = await manager.call('releases.publish', { body: { ...late, draft: true } });
    expect([again.status, again.body.code]).toEqual([409, 'release_exists']);
  });

  it('is promoted by a manifest for a wider channel, and both are kept', async () => {
    const before = shown((await ofNode('young')).body.items[0]?.upgrades ?? []);
    await release(manager, { version: '3.4.0', channel: 'dev', sequence: 30 });
    expect(shown((await ofNode('young')).body.items[0]?.upgrades ?? [])).toEqual(before);
    const bytes = Buffer.from('edge 3.4.0');
    const publish = (channel: 'beta' | 'stable', sequence: number, of = bytes) =>
      manager.call('releases.publish', {
        body: signedManifest(aManifest({ version: '3.4.0', channel, sequence }, of)),
      });
    expect((await publish('stable', 30)).body.code).toBe('release_not_wider');
    expect((await publish('stable', 31, Buffer.from('edge 1.0.0'))).body.code).toBe(
      'release_not_wider',
    );
    expect((await publish('stable', 31)).status).toBe(201);
    expect((await publish('beta', 32)).body.code).toBe('release_not_wider');
    const list = await manager.call('releases.list', { query: { version: '3.4.0' } });
    expect(list.body.items.map(({ channel }) => channel).sort()).toEqual(['dev', 'stable']);
    expect(shown((await ofNode('young')).body.items[0]?.upgrades ?? [])[0]).toBe('3.4.0');
    const audit = await manager.call('audit.list', { query: { action: 'release.promote' } });
    expect(audit.body.items[0]?.details).toMatchObject({ promoted_from: ['dev'] });
  });
});

describe('a yanked release', () => {
  const yank = (id: string, token?: string) =>
    manager.call('releases.yank', { params: { id }, body: { reason: 'eats memory' } }, token);

  it('is taken back on every channel, for good, and said once', async () => {
    const dev = await release(manager, { version: '3.5.0', channel: 'dev', sequence: 40 });
    await release(manager, { version: '3.5.0', channel: 'stable', sequence: 41 });
    const answer = await yank(dev);
    expect(answer.body).toMatchObject({ state: 'yanked', yanked: { reason: 'eats memory' } });
    expect((await yank(dev)).body.yanked).toEqual(answer.body.yanked);
    const list = await manager.call('releases.list', { query: { version: '3.5.0' } });
    expect(list.body.items.map(({ state }) => state)).toEqual(['yanked', 'yanked']);
    const audit = await manager.call('audit.list', { query: { action: 'release.yank' } });
    expect(audit.body.items).toHaveLength(1);
    const events = await manager.call('events.list', { query: { category: 'release' } });
    expect(events.body.items.at(-1)).toMatchObject({
      type: 'release_yanked',
      severity: 'warning',
      details: { reason: 'eats memory' },
    });
    const again = await manager.call('releases.publish', {
      body: signedManifest(
        aManifest({ version: '3.5.0', sequence: 42 }, Buffer.from('edge 3.5.0')),
      ),
    });
    expect([again.status, again.body.code]).toEqual([409, 'release_yanked']);
  });

  it('is offered to nobody, refused for rollouts, and not served to nodes', async () => {
    expect(shown((await ofNode('young')).body.items[0]?.upgrades ?? [])).not.toContain('3.5.0');
    const params = { id: ids['young'] ?? '' };
    const one = await manager.call('nodes.upgrade', { params, body: { version: '3.5.0' } });
    expect([one.status, one.body.code]).toEqual([409, 'release_yanked']);
    expect(one.body.detail).toContain('eats memory');
    const all = await manager.call('groups.upgrade', {
      params: { id: east },
      body: { version: '3.5.0', product: 'edge' },
    });
    expect(all.body.code).toBe('release_yanked');
    const node = await manager.node(east, 'fetcher');
    const path = '/node/v1/releases/edge/3.5.0/stable/manifest.json';
    const fetched = await fetch(manager.url + path, {
      headers: { authorization: `Bearer ${node.token()}` },
    });
    expect(fetched.status).toBe(404);
  });

  it('is offered no further by a rollout that runs', async () => {
    const id = await release(manager, { version: '3.6.0', sequence: 50 });
    const later = new Date(manager.clock.now() + 3_600_000).toISOString();
    const made = await manager.call('groups.upgrade', {
      params: { id: east },
      body: { version: '3.6.0', product: 'edge', apply_after: later },
    });
    const params = { id: made.body.id };
    const reasons = async () =>
      (await manager.call('rollouts.show', { params })).body.waves.map(({ reason }) => reason);
    expect(await reasons()).not.toContain('release_yanked');
    await yank(id);
    await expect.poll(reasons).toContain('release_yanked');
    // Its time comes, and nobody is offered anything.
    manager.clock.advance(7_200_000);
    await manager.call('rollouts.pause', { params });
    await manager.call('rollouts.resume', { params });
    const targets = await manager.call('rollouts.targets', { params });
    expect(new Set(targets.body.items.map(({ state }) => state))).toEqual(new Set(['pending']));
    const node = ids['young'] ?? '';
    const why = await manager.call('rollouts.why', { params: { ...params, node } });
    expect(why.body.because.map(({ code }) => code)).toContain('release_yanked');
    await manager.call('rollouts.cancel', { params });
  });

  it('is taken back by those who publish, nobody else', async () => {
    const id = await release(manager, { version: '3.7.0', sequence: 60 });
    for (const role of ['viewer', 'operator', 'admin']) {
      const refused = await yank(id, await manager.token(role, 'grp_default'));
      expect([refused.status, refused.body.code]).toEqual([403, 'insufficient_role']);
    }
    expect((await yank(id, await manager.token('release'))).status).toBe(200);
  });
});

describe('a rollout', () => {
  it('is refused while an artifact that it needs is not in the store', async () => {
    const bytes = Buffer.from('edge 3.8.0');
    await release(manager, { version: '3.8.0', sequence: 70 }, bytes);
    const sha256 = sha256Of(bytes);
    const dir = manager.manager.config.dataDir;
    rmSync(join(dir, 'blobs', 'sha256', sha256.slice(0, 2), sha256));
    const body = { version: '3.8.0', product: 'edge' };
    const asked = [
      await manager.call('groups.upgrade', { params: { id: east }, body }),
      await manager.call('nodes.upgrade', { params: { id: ids['young'] ?? '' }, body }),
      await manager.call('rollouts.preview', { body: { ...body, scope: { group_id: east } } }),
    ];
    for (const answer of asked) {
      expect([answer.status, answer.body.code]).toEqual([409, 'binary_not_staged']);
      expect(answer.body.context).toEqual({
        missing: [{ file: 'edge.tar.gz', sha256, size: bytes.length, found: null }],
      });
    }
    await release(manager, { version: '3.8.0', sequence: 70 }, bytes);
    const { status } = await manager.call('rollouts.preview', {
      body: { ...body, scope: { group_id: east } },
    });
    expect(status).toBe(200);
  });
});

it('the schema of the manifest is public', async () => {
  const { status, body } = await manager.call('releases.schema', {}, null);
  expect([status, body['$id']]).toEqual([200, 'urn:bellwether:schema:manifest.v1']);
});
