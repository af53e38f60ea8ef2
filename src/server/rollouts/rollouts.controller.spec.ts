import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { makeSigningKey, publish } from '../../../test/support/fleet.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { connectNode, type NodeLink } from '../../../test/support/node-link.js';
import { ROUTES } from '../../protocol/api/index.js';

type Verb = 'pause' | 'resume' | 'cancel';
const VERBS: readonly Verb[] = ['pause', 'resume', 'cancel'];
/** What a rollout that is not over takes, paused or not. */
const ALWAYS = [
  'retry_failed',
  'approve',
  'skip_wave',
  'mark_done',
  'cancel',
  'mark_rolled_back',
] as const;

let manager: TestManager;
let east: string;
let hall: string;
let west: string;
const dir = makeTempDir();
const links: NodeLink[] = [];
const tokens = new Map<string, string | null>();
/** Both below the hall: the rollout of a group, and that of a single node. */
let ofGroup: string;
let ofNode: string;

beforeAll(async () => {
  manager = await startTestManager();
  const key = makeSigningKey();
  await publish(manager, { folder: dir.path, version: '1.1.0', sequence: 1, key });
  east = await manager.group('east');
  hall = await manager.group('hall', east);
  west = await manager.group('west');
  links.push(await connectNode(manager, await manager.node(hall, 'alone')));
  const groups = { hall, east, west };
  for (const [name, group] of Object.entries(groups)) {
    for (const role of ['viewer', 'operator', 'admin']) {
      tokens.set(`${role} of ${name}`, await manager.token(role, group));
    }
  }
  tokens.set('release', await manager.token('release'));
  tokens.set('super admin', manager.admin);
  tokens.set('nobody', null);
}, 60_000);

beforeEach(async () => {
  const list = await manager.call('rollouts.list', { query: { limit: 500 } });
  for (const { id, status } of list.body.items) {
    if (status === 'in_progress' || status === 'paused') await steer(id, 'cancel');
  }
  const nodeId = links[0]?.nodeId ?? '';
  const single = await manager.call('nodes.upgrade', {
    params: { id: nodeId },
    body: { version: '1.1.0' },
  });
  ofNode = single.body.id;
  // A node is in one rollout at a time: so the group is one of its own each time.
  ofGroup = await rolloutOf(await groupWithOneNode());
});

afterAll(async () => {
  for (const link of links) await link.close();
  await manager.stop();
  dir.remove();
});

let count = 0;
/** A group below the hall with a node that takes part. */
async function groupWithOneNode(): Promise<string> {
  const group = await manager.group(`row ${(count += 1)}`, hall);
  links.push(await connectNode(manager, await manager.node(group, `row-${count}`)));
  return group;
}

async function rolloutOf(group: string): Promise<string> {
  const { status, body } = await manager.call('groups.upgrade', {
    params: { id: group },
    body: { version: '1.1.0', product: 'edge', settle_seconds: 0 },
  });
  expect(status, JSON.stringify(body)).toBe(202);
  return body.id;
}

const tokenOf = (who: string): string | null => {
  const token = tokens.get(who);
  if (token === undefined) throw new Error(`nobody is ${who}`);
  return token;
};
const steer = (id: string, verb: Verb, who = 'super admin') =>
  manager.call(`rollouts.${verb}`, { params: { id } }, tokenOf(who));
const show = (id: string, who = 'super admin') =>
  manager.call('rollouts.show', { params: { id } }, tokenOf(who));
const targets = (
  id: string,
  who = 'super admin',
  query: { cursor?: string; limit?: number; state?: 'pending' | 'failed'; node_id?: string } = {},
) => manager.call('rollouts.targets', { params: { id }, query }, tokenOf(who));

/** Reads a list to its end, by the cursors that it gives. */
async function paged<T>(
  page: (query: {
    cursor?: string;
  }) => Promise<{ body: { items: T[]; next_cursor: string | null } }>,
): Promise<T[]> {
  const { items, next_cursor } = (await page({})).body;
  for (let cursor = next_cursor; cursor !== null;) {
    const { body } = await page({ cursor });
    items.push(...body.items);
    cursor = body.next_cursor;
  }
  return items;
}

describe('following a rollout', () => {
  it.each([
    ['viewer of hall', 200],
    ['operator of hall', 200],
    ['admin of hall', 200],
    ['viewer of east', 200],
    ['viewer of west', 404],
    ['operator of west', 404],
    ['admin of west', 404],
    ['release', 403],
    ['super admin', 200],
    ['nobody', 401],
  ])('as %s is answered with %i', async (who, status) => {
    expect((await show(ofGroup, who)).status).toBe(status);
    expect((await targets(ofGroup, who)).status).toBe(status);
    const list = await manager.call('rollouts.list', {}, tokenOf(who));
    expect(list.status).toBe(status === 404 ? 200 : status);
    if (list.status !== 200) return;
    const seen = list.body.items.map((rollout) => rollout.id);
    expect([seen.includes(ofGroup), seen.includes(ofNode)]).toEqual(
      status === 200 ? [true, true] : [false, false],
    );
  });

  it('says the same of one of others and of one that is not there', async () => {
    for (const verb of ['show', 'targets', 'pause', 'cancel'] as const) {
      const ask = (id: string) =>
        manager.call(`rollouts.${verb}`, { params: { id } }, tokenOf('admin of west'));
      const hidden = await ask(ofGroup);
      const missing = await ask('rol_0000000000');
      expect([hidden.status, hidden.body.code]).toEqual([404, 'not_found']);
      expect({ ...hidden.body, request_id: '' }).toEqual({ ...missing.body, request_id: '' });
    }
    expect((await show(ofGroup)).body.status).toBe('in_progress');
  });

  it('lists newest first, in pages, by status and by group', async () => {
    const ids = async (query: object): Promise<string[]> => {
      const { body } = await manager.call('rollouts.list', { query });
      return body.items.map((rollout) => rollout.id);
    };
    const everything = await ids({ limit: 500 });
    expect(everything.slice(0, 2)).toEqual([ofGroup, ofNode]);
    const all = await paged((at) => manager.call('rollouts.list', { query: { limit: 3, ...at } }));
    expect(all.map((rollout) => rollout.id)).toEqual(everything);
    expect(await ids({ status: 'in_progress' })).toEqual([ofGroup, ofNode]);
    // As with nodes: a group means itself and everything below it.
    expect(await ids({ status: 'in_progress', group_id: hall })).toEqual([ofGroup, ofNode]);
    expect(await ids({ group_id: west })).toEqual([]);
    const hidden = await manager.call(
      'rollouts.list',
      { query: { group_id: hall } },
      tokenOf('admin of west'),
    );
    expect(hidden.status).toBe(404);
  });

  it('shows its nodes in pages, in the order of their waves', async () => {
    const group = await groupWithOneNode();
    for (let index = 0; index < 4; index += 1) {
      links.push(await connectNode(manager, await manager.node(group, `more-${count}-${index}`)));
    }
    const id = await rolloutOf(group);
    const seen = await paged((at) => targets(id, 'super admin', { limit: 2, ...at }));
    expect(seen.map((target) => target.wave)).toEqual([0, 1, 1, 2, 2]);
    expect(new Set(seen.map((target) => target.node_id)).size).toBe(5);

    const last = seen.at(-1)?.node_id ?? '';
    const one = await targets(id, 'super admin', { node_id: last });
    expect(one.body.items.map((target) => target.node_id)).toEqual([last]);
    const inState = (state: 'pending' | 'failed') => targets(id, 'super admin', { state });
    const waiting = await inState('pending');
    expect(waiting.body.items.map(({ state }) => state)).toContain('pending');
    expect(waiting.body.items.every(({ state }) => state === 'pending')).toBe(true);
    expect((await inState('failed')).body.items).toEqual([]);
  });
});

describe('steering a rollout', () => {
  it.each([
    ['viewer of hall', 403, 403],
    ['operator of hall', 403, 200],
    ['admin of hall', 200, 200],
    ['operator of east', 403, 200],
    ['admin of east', 200, 200],
    ['admin of west', 404, 404],
    ['release', 403, 403],
    ['super admin', 200, 200],
    ['nobody', 401, 401],
  ])('as %s is answered with %i for a group, %i for one node', async (who, group, node) => {
    for (const [id, status] of [
      [ofGroup, group],
      [ofNode, node],
    ] as const) {
      for (const verb of ['pause', 'resume', 'cancel'] as const) {
        // Always in a state that the verb fits, so that only the role decides.
        if (status !== 200 && verb === 'resume') await steer(id, 'pause');
        expect((await steer(id, verb, who)).status, verb).toBe(status);
        if (status !== 200 && verb === 'resume') await steer(id, 'resume');
      }
      const { body } = await show(id);
      expect(body.status).toBe(status === 200 ? 'cancelled' : 'in_progress');
    }
  });

  it('pauses, resumes and cancels, and each answer shows the new state', async () => {
    const said = async (verb: Verb) => {
      const { status, body } = await steer(ofGroup, verb);
      return [status, body.status, body.reason];
    };
    expect(await said('pause')).toEqual([200, 'paused', 'paused_by_operator']);
    expect(await said('resume')).toEqual([200, 'in_progress', 'wave_open']);
    expect(await said('pause')).toEqual([200, 'paused', 'paused_by_operator']);
    expect(await said('cancel')).toEqual([200, 'cancelled', 'cancelled_by_operator']);
    const { body } = await targets(ofGroup);
    expect(body.items.map((target) => target.state)).toEqual(['cancelled']);
  });

  it.each([
    ['in_progress', [], ['resume'], ['pause', 'start_wave', 'break_glass', ...ALWAYS]],
    ['paused', ['pause'], ['pause'], ['resume', 'break_glass', ...ALWAYS]],
    ['cancelled', ['cancel'], ['pause', 'resume', 'cancel'], []],
  ] as const)('that is %s refuses what does not fit', async (status, before, wrong, allowed) => {
    for (const verb of before) await steer(ofGroup, verb);
    const { body: was } = await show(ofGroup);
    expect(was.status).toBe(status);
    for (const verb of wrong) {
      const { status: http, body } = await steer(ofGroup, verb);
      expect([http, body.code]).toEqual([409, 'rollout_wrong_state']);
      expect(body.context).toEqual({ status, allowed: expect.any(Array) as unknown });
      expect([...(body.context?.['allowed'] as string[])].sort()).toEqual([...allowed].sort());
    }
    expect((await show(ofGroup)).body).toEqual(was);
  });

  it('calls the nodes back that have not swapped', async () => {
    const link = links.at(-1);
    const { command: upgrade } = (await link?.next('command')) ?? { command: undefined };
    await steer(ofGroup, 'cancel');
    const { command } = (await link?.next('command')) ?? { command: undefined };
    expect(command).toMatchObject({ action: 'withdraw', withdraws: upgrade?.command_id });
  });

  it('refuses a verb in the address only, whatever the body holds', async () => {
    for (const verb of VERBS) {
      const { path } = ROUTES[`rollouts.${verb}`];
      const response = await fetch(manager.url + path.replace(':id', 'no such id'), {
        method: 'POST',
        headers: { authorization: `Bearer ${manager.admin}` },
      });
      expect(response.status).toBe(400);
    }
  });
});
