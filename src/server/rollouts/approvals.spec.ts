import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  startRolloutManager,
  type ObedientNode,
  type RolloutManager,
} from '../../../test/support/obedient-node.js';

/** Above two nodes it takes two people here. */
let manager: RolloutManager;
let east: string;
const nodes: ObedientNode[] = [];

beforeAll(async () => {
  manager = await startRolloutManager({ env: { BELLWETHER_TWO_PERSON_ABOVE_NODES: '2' } });
  east = await manager.group('east');
  for (let i = 0; i < 3; i += 1) nodes.push(await manager.join(east, `edge-${i}`));
}, 60_000);
afterAll(() => manager.stop());

const create = (over: object = {}, token?: string) =>
  manager.call(
    'rollouts.create',
    {
      body: {
        product: 'edge',
        version: '1.1.0',
        scope: { group_id: east },
        settle_seconds: 0,
        ...over,
      },
    },
    token,
  );
const approve = (id: string, token: string) =>
  manager.call('rollouts.approve', { params: { id }, body: { wave: 0 } }, token);
const cancel = (id: string) => manager.call('rollouts.cancel', { params: { id } });

it('a large rollout begins when two have approved it, none of them twice', async () => {
  const [ann, bob] = [await manager.token('admin', east), await manager.token('admin', east)];
  const operator = await manager.token('operator', east);
  const { body } = await create({}, ann);
  expect(body).toMatchObject({
    status: 'pending',
    reason: 'waiting_for_approval',
    waves: [{ status: 'pending', reason: 'waiting_for_approval', until: null }, {}, {}],
  });
  expect(nodes.map((node) => node.link.waiting('command'))).toEqual([0, 0, 0]);
  expect((await approve(body.id, operator)).status).toBe(403);
  const first = await approve(body.id, ann);
  expect([first.status, first.body.status]).toEqual([200, 'pending']);
  const again = await approve(body.id, ann);
  expect([again.status, again.body.code]).toEqual([409, 'rollout_wrong_state']);
  expect(again.body.detail).toMatch(/same person or token/);
  const second = await approve(body.id, bob);
  expect([second.status, second.body.status, second.body.waves[0]?.status]).toEqual([
    200,
    'in_progress',
    'open',
  ]);
  expect(new Set(second.body.waves[0]?.approved_by).size).toBe(2);
  await cancel(body.id);
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
  const [ann, bob] = [await manager.token('admin', east), await manager.token('admin', east)];
  for (const verb of ['start_wave', 'mark_done'] as const) {
    const { body } = await create({}, ann);
    const steer = (token: string) =>
      manager.call(`rollouts.${verb}`, { params: { id: body.id }, body: { wave: 0 } }, token);
    const alone = await steer(ann);
    expect([verb, alone.status, alone.body.code]).toEqual([verb, 409, 'rollout_wrong_state']);
    expect(alone.body.detail).toMatch(/needs 2 approvals/);
    // Doing it by hand is an approval: after another person's it is the second one.
    await approve(body.id, bob);
    expect((await steer(bob)).status).toBe(409);
    const both = await steer(ann);
    expect([verb, both.status, both.body.status]).toEqual([verb, 200, 'in_progress']);
    expect(both.body.waves[0]?.approved_by).toHaveLength(2);
    await cancel(body.id);
  }
});
