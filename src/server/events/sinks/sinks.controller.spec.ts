import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifyWebhook } from '../../../core/event/index.js';
import { eventually } from '../../../../test/support/fleet.js';
import { startTestManager, type TestManager } from '../../../../test/support/manager.js';
import { freshPrefix, redisUrl } from '../../../../test/support/redis.js';
import {
  startHttpReceiver,
  type HttpReceiver,
} from '../../../../test/support/receivers/http-receiver.js';

let manager: TestManager;
let receiver: HttpReceiver;
beforeAll(async () => {
  manager = await startTestManager({ BELLWETHER_SINK_ALLOWED_NETWORKS: '127.0.0.0/8' });
  receiver = await startHttpReceiver(() => ({ status: 200 }));
});
afterAll(async () => {
  await manager.stop();
  await receiver.stop();
});

it('delivers to a webhook what happens from now on, signed', async () => {
  const made = await manager.call('sinks.create', {
    body: { name: 'siem', kind: 'webhook', config: { url: `${receiver.url}/hook` } },
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const secret = made.body.secret ?? '';
  const node = await manager.node();
  await eventually(async () => {
    const events = receiver.asked.flatMap(({ body }) => JSON.parse(body) as { node_id: string }[]);
    expect(events.map((event) => event.node_id)).toEqual([node.id]);
  });
  const [asked] = receiver.asked;
  const headers = asked?.headers as Record<string, string>;
  const nowSeconds = Date.now() / 1000;
  expect(verifyWebhook(headers, asked?.body ?? '', { secret, nowSeconds })).toBe(true);
  expect(verifyWebhook(headers, `${asked?.body} `, { secret, nowSeconds })).toBe(false);
  const shown = await manager.call('sinks.show', { params: { id: made.body.id } });
  expect(shown.body).toMatchObject({ state: 'waiting', delivered: 1, lag: { events: 0 } });
  expect(JSON.stringify(shown.body)).not.toContain(secret);
});

it('says what is wrong with a sink before there is one', async () => {
  const bad: [object, RegExp][] = [
    [{ kind: 'webhook', config: {} }, /body\.config\.url/],
    [{ kind: 'webhook', config: { url: 'ftp://a.example/' } }, /http or https/],
    [{ kind: 'webhook', config: { url: 'https://user:pw@a.example/' } }, /without login/],
    [{ kind: 'webhook', config: { url: 'https://a.example/', typo: 1 } }, /body\.config/],
    [{ kind: 'webhook', config: { url: 'http://a.example/', pin_sha256: 'x' } }, /pin_sha256/],
    [
      { kind: 'webhook', config: { url: 'http://a.example/', pin_sha256: `${'A'.repeat(43)}=` } },
      /TLS/,
    ],
    [{ kind: 'syslog', config: { host: 'a b' } }, /name or an address/],
    [{ kind: 'syslog', config: { host: 'a\r\nb' } }, /name or an address/],
    [{ kind: 'splunk', config: { url: 'https://a.example' } }, /credentials\.token/],
    [
      { kind: 'splunk', config: { url: 'https://a.example' }, credentials: { token: 'a\r\nb: c' } },
      /ASCII/,
    ],
    [
      { kind: 'elasticsearch', config: { url: 'https://a.example', data_stream: 'x' } },
      /type-dataset/,
    ],
    [
      {
        kind: 'elasticsearch',
        config: { url: 'https://a.example' },
        credentials: { username: 'only' },
      },
      /or neither/,
    ],
    [{ kind: 'file', config: { path: '../outside' } }, /below the directory/],
    [{ kind: 'file', config: { path: '/etc/passwd' } }, /below the directory/],
    [{ kind: 'file', config: { path: 'a' }, group_id: 'grp_default' }, /platform/],
    [{ kind: 'pigeon', config: {} }, /body\.kind/],
  ];
  for (const [body, message] of bad) {
    const reply = await manager.call('sinks.create', { body: { name: 'x', ...body } as never });
    expect([body, reply.status, reply.body.code]).toEqual([body, 400, 'invalid_request']);
    expect(reply.body.detail).toMatch(message);
  }
});

it('belongs to the admins of its group, who see no other and none of the platform', async () => {
  const [east, west] = [await manager.group('east'), await manager.group('west')];
  const admin = await manager.token('admin', east);
  const config = { url: receiver.url };
  const body = { name: 'east', kind: 'webhook', config } as const;
  expect((await manager.call('sinks.create', { body }, admin)).body.code).toBe('insufficient_role');
  const inWest = await manager.call('sinks.create', { body: { ...body, group_id: west } }, admin);
  expect(inWest.body.code).toBe('not_found');
  const filter = { categories: null, types: null, error_codes: null, min_severity: null };
  const onWest = { ...body, group_id: east, filter: { ...filter, groups: [west] } };
  expect((await manager.call('sinks.create', { body: onWest }, admin)).body.code).toBe('not_found');
  const made = await manager.call('sinks.create', { body: { ...body, group_id: east } }, admin);
  expect(made.status).toBe(201);
  const listed = await manager.call('sinks.list', {}, admin);
  expect(listed.body.items.map(({ id }) => id)).toEqual([made.body.id]);
  const all = await manager.call('sinks.list');
  expect(all.body.items.length).toBeGreaterThan(1);
  const [platform] = all.body.items.filter(({ group_id: group }) => group === null);
  const params = { id: platform?.id ?? '' };
  expect((await manager.call('sinks.show', { params }, admin)).status).toBe(404);
  // A test of a group's sink does not tell what stands behind the address.
  receiver.behave(() => ({ status: 200, body: 'inner secret' }));
  const own = await manager.call('sinks.test', { params: { id: made.body.id } }, admin);
  expect(own.body).toMatchObject({ ok: true, message: 'taken' });
  const tested = await manager.call('sinks.test', { params });
  expect(tested.body.message).toContain('inner secret');
  // The group goes, and whoever holds everything can clear its sink away.
  expect((await manager.call('groups.remove', { params: { id: east } })).status).toBe(204);
  const removed = await manager.call('sinks.remove', { params: { id: made.body.id } });
  expect(removed.status).toBe(204);
});

it('changes its secret while both count, then only the new one', async () => {
  const { body } = await manager.call('sinks.list');
  const id = body.items[0]?.id ?? '';
  const rotated = await manager.call('sinks.rotate_secret', {
    params: { id },
    body: { grace_hours: 1 },
  });
  const signatures = async (): Promise<number> => {
    await manager.call('sinks.test', { params: { id } });
    return String(receiver.asked.at(-1)?.headers['webhook-signature']).split(' ').length;
  };
  expect(await signatures()).toBe(2);
  const nowSeconds = Date.now() / 1000;
  const { headers, body: text } = receiver.asked.at(-1)!;
  const secret = rotated.body.secret ?? '';
  expect(verifyWebhook(headers as Record<string, string>, text, { secret, nowSeconds })).toBe(true);
  manager.clock.advance(3_700_000);
  expect(await signatures()).toBe(1);
});

it('tells of an address that it may not reach, and sends nothing there', async () => {
  const config = { url: `http://[::1]:${receiver.port}/` };
  const made = await manager.call('sinks.create', {
    body: { name: 'inside', kind: 'webhook', config },
  });
  const before = receiver.asked.length;
  const tested = await manager.call('sinks.test', { params: { id: made.body.id } });
  expect(tested.body).toMatchObject({ ok: false, code: 'sink_address_forbidden' });
  expect(receiver.asked.length).toBe(before);
});

it('writes down what was done with sinks, and no secret', async () => {
  const { body } = await manager.call('audit.list', { query: { limit: 100, target_kind: 'sink' } });
  const actions = new Set(body.items.map(({ action }) => action));
  for (const action of ['sink.create', 'sink.test', 'sink.secret', 'sink.delete']) {
    expect([...actions]).toContain(action);
  }
  expect(JSON.stringify(body)).not.toContain('whsec_');
});

it('delivers with its alarms in Redis too', async () => {
  const other = await startTestManager({
    BELLWETHER_SINK_ALLOWED_NETWORKS: '127.0.0.1',
    REDIS_URL: redisUrl(),
    BELLWETHER_REDIS_PREFIX: freshPrefix(),
  });
  const taken: string[] = [];
  const target = await startHttpReceiver(({ body }) => {
    taken.push(...(JSON.parse(body) as { node_id: string }[]).map((event) => event.node_id));
    return { status: 200 };
  });
  try {
    const config = { url: target.url };
    await other.call('sinks.create', { body: { name: 'by alarm', kind: 'webhook', config } });
    const nodes = [(await other.node()).id, (await other.node()).id];
    await eventually(async () => expect(taken).toEqual(nodes));
  } finally {
    await other.stop();
    await target.stop();
  }
});
