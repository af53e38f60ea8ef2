import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { join, type Browser } from '../../../test/support/people/browser.js';

let manager: TestManager;
let own: string;
let admin: Browser;
beforeAll(async () => {
  manager = await startTestManager();
  own = await manager.group('own');
  admin = await join(manager, 'admin', { group_id: own, role: 'admin' });
});
afterAll(() => manager.stop());

/** What an admin of the group reads of refused attempts, newest first. */
const refusals = async () => {
  const query = { outcome: 'refused', limit: 100 };
  const { items } = (await admin.call('audit.list', { query })).body;
  return (items as { action: string; group_id: string; actor_name: string }[]).map(
    ({ action, group_id: group }) => [action, group],
  );
};

it('an attempt that the guard refused is shown to the admins of the group it was about', async () => {
  const node = await manager.node(own);
  const viewer = await join(manager, 'viewer', { group_id: own, role: 'viewer' });
  const params = { id: own };
  await viewer.call('nodes.revoke', { params: { id: node.id } });
  await viewer.call('groups.freeze', { params, body: {} });
  await viewer.call('members.set', { params, body: { login: 'viewer', role: 'admin' } });
  expect(await refusals()).toEqual([
    ['member.set', own],
    ['group.freeze', own],
    ['node.revoke', own],
  ]);
});

it('an attempt without a proof of the own page is too', async () => {
  const node = await manager.node(own, 'edge-02');
  const headers = { 'x-bellwether-csrf': 'of somebody else' };
  await admin.call('nodes.revoke', { params: { id: node.id } }, headers);
  expect((await refusals())[0]).toEqual(['node.revoke', own]);
});

it('what names nothing belongs to no group, and is for super admins alone', async () => {
  const before = (await refusals()).length;
  await admin.call('nodes.revoke', { params: { id: 'nod_00000000000000000000' } });
  await admin.call('nodes.revoke', { params: { id: "x' OR group_id = 'grp_default" } });
  expect(await refusals()).toHaveLength(before);
  const query = { outcome: 'refused' as const, limit: 1 };
  const { items } = (await manager.call('audit.list', { query })).body;
  expect(items).toMatchObject([{ action: 'node.revoke', group_id: null }]);
});
