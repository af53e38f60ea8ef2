import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { makeSigningKey, publish } from '../../../test/support/fleet.js';
import {
  startTestManager,
  type TestManager,
  type TestNode,
} from '../../../test/support/manager.js';
import { aService, connectNode, type NodeLink } from '../../../test/support/node-link.js';
import type { Call } from '../../protocol/api/index.js';

let manager: TestManager;
let east: string;
let hall: string;
let west: string;
const dir = makeTempDir();
const links: NodeLink[] = [];
const ids: Record<string, string> = {};

beforeAll(async () => {
  manager = await startTestManager();
  const key = makeSigningKey();
  await publish(manager, { folder: dir.path, version: '1.0.0', sequence: 1, key });
  await publish(manager, { folder: dir.path, version: '1.1.0', sequence: 2, key });
  east = await manager.group('east');
  hall = await manager.group('hall', east);
  west = await manager.group('west');
  const enroll = async (group: string, name: string): Promise<TestNode> => {
    const node = await manager.node(group, name);
    ids[name] = node.id;
    return node;
  };
  for (const name of ['e1', 'e2', 'e3'])
    links.push(await connectNode(manager, await enroll(east, name)));
  links.push(await connectNode(manager, await enroll(hall, 'h1')));
  links.push(await connectNode(manager, await enroll(west, 'w1')));
  const two = [aService({ version: '1.1.0' }), aService({ name: 'gate', product: 'gate' })];
  links.push(await connectNode(manager, await enroll(west, 'w2'), { services: two }));
  await enroll(west, 'never-seen');
}, 60_000);

afterEach(async () => {
  const { body } = await manager.call('rollouts.list', { query: { limit: 100 } });
  for (const { id, status } of body.items) {
    if (status === 'in_progress') await manager.call('rollouts.cancel', { params: { id } });
  }
});

afterAll(async () => {
  for (const link of links) await link.close();
  await manager.stop();
  dir.remove();
});

const link = (name: string): NodeLink => {
  const found = links.find(({ nodeId }) => nodeId === ids[name]);
  if (found === undefined) throw new Error(`no link of ${name}`);
  return found;
};
const one = (
  name: string,
  over: Partial<Call<'nodes.upgrade'>['body']> = {},
  token?: string | null,
) =>
  manager.call(
    'nodes.upgrade',
    { params: { id: ids[name] ?? name }, body: { version: '1.1.0', ...over } },
    token,
  );
const all = (
  id: string,
  over: Partial<Call<'groups.upgrade'>['body']> = {},
  token?: string | null,
) =>
  manager.call(
    'groups.upgrade',
    { params: { id }, body: { version: '1.1.0', product: 'edge', ...over } },
    token,
  );

describe('the upgrade of one node', () => {
  it('is answered with its plan, and its command is on the link at once', async () => {
    const { status, body } = await one('e1');
    expect(status).toBe(202);
    expect(body).toMatchObject({
      product: 'edge',
      version: '1.1.0',
      channel: 'stable',
      strategy: 'immediate',
      scope: { kind: 'node', id: ids['e1'] },
      group_id: east,
      status: 'in_progress',
      waves: [{ index: 0, size: 1, status: 'open', verdict: 'unknown', counts: { offered: 1 } }],
      skipped: [],
      created_by: 'first admin',
    });
    const { command } = await link('e1').next('command');
    expect(command).toMatchObject({
      action: 'upgrade_binary',
      service: 'edge',
      product: 'edge',
      version: '1.1.0',
      channel: 'stable',
      permit: 'required',
    });
    const { body: page } = await manager.call('rollouts.targets', { params: { id: body.id } });
    expect(page.items).toMatchObject([
      {
        node_id: ids['e1'],
        state: 'offered',
        from_version: '1.0.0',
        command_id: command.command_id,
      },
    ]);
  });

  it('names its product only where there is a choice', async () => {
    const vague = await one('w2');
    expect([vague.status, vague.body.code]).toEqual([400, 'invalid_request']);
    expect(vague.body.detail).toMatch(/edge, gate/);
    expect((await one('w2', { product: 'edge', version: '1.0.0' })).status).toBe(202);
    const silent = await one('never-seen');
    expect([silent.status, silent.body.code]).toEqual([400, 'invalid_request']);
    expect(silent.body.detail).toMatch(/not reported/);
  });

  it.each([
    ['version', { version: '9.9.9' }],
    ['channel', { channel: 'beta' as const }],
    ['product', { product: 'gate' }],
  ])('to an unknown %s is not found, in words', async (_what, over) => {
    const { status, body } = await one('e1', over);
    expect([status, body.code]).toEqual([404, 'not_found']);
    expect(body.detail).toMatch(/no release/);
  });

  it('to what it runs already is refused with that reason', async () => {
    const { status, body } = await one('e1', { version: '1.0.0' });
    expect([status, body.code]).toEqual([409, 'rollout_empty']);
    expect(body.context).toEqual({
      skipped: [{ node_id: ids['e1'], reason: 'already_current' }],
    });
  });

  it('that is being upgraded already is refused, until that has ended', async () => {
    const first = await one('e1');
    const second = await one('e1');
    expect([second.status, second.body.code]).toEqual([409, 'upgrade_already_pending']);
    expect(second.body.context).toEqual({ node_ids: [ids['e1']] });
    await manager.call('rollouts.cancel', { params: { id: first.body.id } });
    expect((await one('e1')).status).toBe(202);
  });

  it.each([
    ['no version', { version: undefined }, 'version'],
    ['a version that is none', { version: 'newest' }, 'version'],
    ['a channel that is none', { channel: 'nightly' }, 'channel'],
  ])('with %s is refused with the field', async (_what, over, path) => {
    const { status, body } = await one('e1', over as never);
    expect([status, body.code]).toEqual([400, 'invalid_request']);
    expect(body.problems?.map((problem) => problem.path)).toEqual([`body.${path}`]);
  });

  it('may be asked for by operators and admins of its group, and of the groups above', async () => {
    const may = async (role: string, group: string): Promise<number> => {
      const { status, body } = await one('h1', {}, await manager.token(role, group));
      if (status === 202) await manager.call('rollouts.cancel', { params: { id: body.id } });
      return status;
    };
    expect(await may('viewer', hall)).toBe(403);
    expect(await may('operator', hall)).toBe(202);
    expect(await may('admin', hall)).toBe(202);
    expect(await may('operator', east)).toBe(202);
    expect(await may('operator', west)).toBe(404);
    expect(await may('admin', west)).toBe(404);
    expect((await one('h1', {}, await manager.token('release'))).status).toBe(403);
    expect((await one('h1', {}, null)).status).toBe(401);
  });

  it('says the same of a node of others and of one that is not there', async () => {
    const stranger = await manager.token('admin', west);
    const hidden = await one('e1', {}, stranger);
    const missing = await one('nod_0000000000', {}, stranger);
    expect(hidden.status).toBe(404);
    expect({ ...hidden.body, request_id: '' }).toEqual({ ...missing.body, request_id: '' });
  });
});

describe('the upgrade of a group', () => {
  it('is answered with its waves and with whom it leaves out', async () => {
    const { status, body } = await all('grp_default', { wave_percents: [20, 60, 100] });
    expect(status).toBe(202);
    expect(body).toMatchObject({
      strategy: 'staged',
      scope: { kind: 'group', id: 'grp_default' },
      status: 'in_progress',
    });
    expect(body.waves.map(({ size, status: is }) => [size, is])).toEqual([
      [1, 'open'],
      [2, 'pending'],
      [2, 'pending'],
    ]);
    expect(body.skipped).toHaveLength(2);
    expect(body.skipped).toEqual(
      expect.arrayContaining([
        { node_id: ids['w2'], reason: 'already_current' },
        { node_id: ids['never-seen'], reason: 'no_such_service' },
      ]),
    );
  });

  it('takes the groups below along, and no other', async () => {
    const { body } = await all(east, { strategy: 'immediate' });
    const { body: page } = await manager.call('rollouts.targets', { params: { id: body.id } });
    expect(page.items.map((target) => target.node_id).sort()).toEqual(
      ['e1', 'e2', 'e3', 'h1'].map((name) => ids[name]).sort(),
    );
  });

  it('has waves of 10, 50 and 100 percent unless told otherwise', async () => {
    const { body } = await all(east);
    expect(body.waves.map((wave) => wave.size)).toEqual([1, 1, 2]);
    expect(body.strategy).toBe('staged');
  });

  it.each([
    ['do not end with 100', [10, 50], 'rollout_plan_invalid'],
    ['fall', [50, 10, 100], 'rollout_plan_invalid'],
    ['stand still', [50, 50, 100], 'rollout_plan_invalid'],
    ['are none', [], 'invalid_request'],
    ['begin with nothing', [0, 100], 'invalid_request'],
    ['go above the whole', [50, 101], 'invalid_request'],
    [
      'are too many',
      Array.from({ length: 51 }, (_, index) => (index + 1) * (100 / 51)),
      'invalid_request',
    ],
  ])('with percents that %s is refused', async (_what, wave_percents, code) => {
    const { status, body } = await all(east, { wave_percents });
    expect([status, body.code]).toEqual([400, code]);
    expect(JSON.stringify(body)).toContain('wave_percents');
    const list = await manager.call('rollouts.list', { query: { status: 'in_progress' } });
    expect(list.body.items).toEqual([]);
  });

  it('to an unknown version, or of an unknown group, is not found', async () => {
    const version = await all(east, { version: '9.9.9' });
    expect([version.status, version.body.detail]).toEqual([
      404,
      expect.stringMatching(/no release edge 9.9.9/),
    ]);
    expect((await all('grp_0000000000')).status).toBe(404);
  });

  it('with nobody in it is refused', async () => {
    const empty = await manager.group('empty');
    const { status, body } = await all(empty);
    expect([status, body.code]).toEqual([409, 'rollout_empty']);
  });

  it('is refused as a whole while one of its nodes is in another rollout', async () => {
    await one('h1');
    const { status, body } = await all(east);
    expect([status, body.code]).toEqual([409, 'rollout_node_busy']);
    expect(body.context).toEqual({ node_ids: [ids['h1']] });
    expect((await all(west, { version: '1.1.0' })).status).toBe(202);
  });

  it('is for admins of the group or above, and tells others what they may know', async () => {
    const as = async (role: string, group: string) => {
      const { status, body } = await all(hall, {}, await manager.token(role, group));
      if (status === 202) await manager.call('rollouts.cancel', { params: { id: body.id } });
      return [status, body.context?.['required_role']];
    };
    expect(await as('viewer', hall)).toEqual([403, 'admin']);
    expect(await as('operator', hall)).toEqual([403, 'admin']);
    expect(await as('admin', hall)).toEqual([202, undefined]);
    expect(await as('admin', east)).toEqual([202, undefined]);
    expect((await as('admin', west))[0]).toBe(404);
    expect((await all(hall, {}, null)).status).toBe(401);
  });
});
