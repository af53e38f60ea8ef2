import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../../../test/support/fleet.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { connectNode } from '../../../test/support/node-link.js';
import { SecurityEvents } from './security-events.js';

let manager: TestManager;
beforeAll(async () => {
  manager = await startTestManager();
});
afterAll(() => manager.stop());

const told = async () =>
  (await manager.call('events.list', { query: { category: 'security', limit: 1_000 } })).body.items;
const types = async (): Promise<string[]> => (await told()).map(({ type }) => type);

it('tells a wrong credential at once, and a flood of them as a number', async () => {
  const wrong = 'bwt_0000000000000000000000000000000000000000';
  for (let count = 0; count < 30; count += 1) await manager.call('nodes.list', {}, wrong);
  await eventually(async () => expect(await types()).toEqual(['credential_refused']));
  expect((await told())[0]).toMatchObject({
    severity: 'warning',
    group_id: 'grp_default',
    error_code: 'unauthenticated',
    details: { ip: '127.0.0.1', target: 'nodes.list' },
  });
  manager.clock.advance(61_000);
  manager.manager.app.get(SecurityEvents).look();
  await eventually(async () =>
    expect((await told())[1]).toMatchObject({
      type: 'security_events_counted',
      details: { of: 'credential_refused', count: 29 },
    }),
  );
});

it('tells that a revoked token was used, with its id, in its group', async () => {
  const group = await manager.group('east');
  const body = { name: 'stolen', role: 'viewer' as const, group_id: group };
  const { id, secret } = (await manager.call('tokens.create', { body })).body;
  await manager.call('tokens.revoke', { params: { id } });
  expect((await manager.call('nodes.list', {}, secret)).status).toBe(401);
  await eventually(async () => expect(await types()).toContain('revoked_token_used'));
  const event = (await told()).find(({ type }) => type === 'revoked_token_used');
  expect(event).toMatchObject({ severity: 'critical', group_id: group, details: { token_id: id } });
  expect(JSON.stringify(await told())).not.toContain(secret);
});

it('tells of a link that proved nothing, and of a sign-in that failed', async () => {
  const node = await manager.node();
  await expect(
    connectNode(manager, { ...node, token: () => `${node.token()}x` }),
  ).rejects.toThrow();
  await eventually(async () => expect(await types()).toContain('link_refused'));
  const body = { login: 'nobody', password: 'seven-blue-anvils-sing' };
  const headers = { 'content-type': 'application/json', origin: manager.url };
  const init = { method: 'POST', headers, body: JSON.stringify(body) };
  const answer = await fetch(`${manager.url}/api/v1/session`, init);
  expect(answer.status).toBe(401);
  await eventually(async () => expect(await types()).toContain('sign_in_failed'));
});
