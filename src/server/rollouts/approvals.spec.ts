import { afterAll, beforeAll, expect, it } from 'vitest';
import { join, type Browser } from '../../../test/support/people/browser.js';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';

/** Above two nodes it takes two people here. */
let manager: RolloutManager;
let east: string;
const nodes: ObedientNode[] = [];
/** Two people who may roll out in the east, and a super admin, who may also make tokens. */
let ann: Browser;
let bob: Browser;
let root: Browser & { readonly id: string };

beforeAll(async () => {
  manager = await startRolloutManager({ env: { BELLWETHER_TWO_PERSON_ABOVE_NODES: '2' } });
  east = await manager.group('east');
  for (let i = 0; i < 3; i += 1) nodes.push(await manager.join(east, `edge-${i}`));
  ann = await join(manager, 'ann', { group_id: east, role: 'admin' });
  bob = await join(manager, 'bob', { group_id: east, role: 'admin' });
  root = await join(manager, 'root', { super_admin: true });
}, 60_000);
afterAll(() => manager.stop());

const create = (over: object = {}) =>
  manager.call('rollouts.create', {
    body: {
      product: 'edge',
      version: '1.1.0',
      scope: { group_id: east },
      settle_seconds: 0,
      ...over,
    },
  });
const first = (id: string) => ({ params: { id }, body: { wave: 0 } });
const approve = (id: string, by: Browser) => by.call('rollouts.approve', first(id));
const approveBy = (id: string, token: string) => manager.call('rollouts.approve', first(id), token);
const cancel = (id: string) => manager.call('rollouts.cancel', { params: { id } });

it('a large rollout begins when two have approved it, none of them twice', async () => {
  const operator = await manager.token('operator', east);
  const { body } = await create();
  expect(body).toMatchObject({
    status: 'pending',
    reason: 'waiting_for_approval',
    waves: [{ status: 'pending', reason: 'waiting_for_approval', until: null }, {}, {}],
  });
  expect(nodes.map((node) => node.link.waiting('command'))).toEqual([0, 0, 0]);
  expect((await approveBy(body.id, operator)).status).toBe(403);
  const one = await approve(body.id, ann);
  expect([one.status, one.body['status']]).toEqual([200, 'pending']);
  const again = await approve(body.id, ann);
  expect([again.status, again.body.code]).toEqual([409, 'rollout_wrong_state']);
  expect(again.body.detail).toMatch(/same person before/);
  const two = await approve(body.id, bob);
  expect([two.status, two.body['status']]).toEqual([200, 'in_progress']);
  const { waves } = (await manager.call('rollouts.show', { params: { id: body.id } })).body;
  expect(waves[0]?.status).toBe('open');
  expect(new Set(waves[0]?.approved_by).size).toBe(2);
  await cancel(body.id);
});

it('somebody and the tokens of his, and of those, are one', async () => {
  const tokenOf = async (name: string, by: (body: object) => Promise<unknown>): Promise<string> => {
    const made = (await by({ name, role: 'super_admin' })) as { body: { secret: string } };
    return made.body.secret;
  };
  const own = (body: object) => root.call('tokens.create', { body });
  const one = await tokenOf('one', own);
  const two = await tokenOf('two', own);
  const below = await tokenOf('below', (body) =>
    manager.call('tokens.create', { body: body as never }, one),
  );
  const listed = (await manager.call('tokens.list', { query: { limit: 100 } })).body.items;
  const rotated = await manager.call(
    'tokens.rotate',
    { params: { id: listed.find(({ name }) => name === 'two')?.id ?? '' }, body: {} },
    one,
  );
  const { body } = await create();
  expect((await approveBy(body.id, one)).body.status).toBe('pending');
  expect((await approveBy(body.id, below)).status).toBe(409);
  expect((await approveBy(body.id, rotated.body.secret)).status).toBe(409);
  expect((await approveBy(body.id, two)).status).toBe(401);
  expect((await approve(body.id, root)).status).toBe(409);
  const shown = await manager.call('rollouts.show', { params: { id: body.id } });
  expect(shown.body.waves[0]?.approved_by).toEqual([root.id]);
  // What the set-up token became, and what that made, is one too: the second one here.
  expect((await approveBy(body.id, manager.admin)).body.status).toBe('in_progress');
  await cancel(body.id);
  const third = await create();
  const machine = await manager.token('super_admin');
  expect((await approveBy(third.body.id, machine)).body.status).toBe('pending');
  expect((await approveBy(third.body.id, manager.admin)).status).toBe(409);
  await cancel(third.body.id);
});

it('a small one begins at once, and so does one in which few of many take part', async () => {
  const exclude_node_ids = [nodes[0]?.id ?? ''];
  const small = await create({ scope: { group_id: east, exclude_node_ids } });
  expect(small.body.status).toBe('in_progress');
  await cancel(small.body.id);
  const current = await manager.join(east, 'current', { version: '1.1.0' });
  const node_ids = [current.id, nodes[0]?.id ?? '', nodes[1]?.id ?? ''];
  const few = await create({ scope: { group_id: east, node_ids } });
  expect([few.body.status, few.body.skipped.length]).toEqual(['in_progress', 1]);
  await cancel(few.body.id);
});

it('the way of asking makes no difference', async () => {
  const group = await manager.call('groups.upgrade', {
    params: { id: east },
    body: { product: 'edge', version: '1.1.0' },
  });
  expect([group.body.status, group.body.reason]).toEqual(['pending', 'waiting_for_approval']);
  await cancel(group.body.id);
  const canary = await create({ strategy: 'canary' });
  expect([canary.body.status, canary.body.reason]).toEqual(['pending', 'waiting_for_approval']);
  await cancel(canary.body.id);
  const preview = await manager.call('rollouts.preview', {
    body: { product: 'edge', version: '1.1.0', scope: { group_id: east } },
  });
  expect(preview.body.waves[0]?.opens_when).toEqual(['2 approval(s)']);
});

it('rings that wait for nothing but themselves each need both', async () => {
  const rings = [
    { name: 'one', count: 1 },
    { name: 'others', rest: true },
  ];
  const { body } = await create({ strategy: 'scheduled', order: 'independent', rings });
  expect(body.waves.map(({ status, reason }) => [status, reason])).toEqual([
    ['pending', 'waiting_for_approval'],
    ['pending', 'waiting_for_approval'],
  ]);
  await cancel(body.id);
});

it('nobody goes past the second person by starting or finishing a wave by hand', async () => {
  for (const verb of ['start_wave', 'mark_done'] as const) {
    const { body } = await create();
    const steer = (by: Browser) => by.call(`rollouts.${verb}`, first(body.id));
    const alone = await steer(ann);
    expect([verb, alone.status, alone.body.code]).toEqual([verb, 409, 'rollout_wrong_state']);
    expect(alone.body.detail).toMatch(/needs 2 approvals/);
    // Doing it by hand is an approval: after another person's it is the second one.
    await approve(body.id, bob);
    expect((await steer(bob)).status).toBe(409);
    const both = await steer(ann);
    expect([verb, both.status, both.body['status']]).toEqual([verb, 200, 'in_progress']);
    expect((both.body['waves'] as { approved_by: string[] }[])[0]?.approved_by).toHaveLength(2);
    await cancel(body.id);
  }
});
