import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  startTestManager,
  type TestManager,
  type TestNode,
} from '../../../test/support/manager.js';
import { aHello, connectNode } from '../../../test/support/node-link.js';
import { startRolloutManager } from '../../../test/support/obedient-node.js';
import { pollingNode, pollOf } from '../../../test/support/poll-node.js';
import {
  CLOSE,
  NODE_FRAME_BYTES_MAX,
  SYNC_BURST_MAX,
  SYNC_MESSAGES_MAX,
  SYNC_REQUEST_BYTES_MAX,
  type NodeEvent,
} from '../../protocol/node/index.js';
import { Links } from './index.js';

const HEARTBEAT_MS = 1_000;
let manager: TestManager;
let node: TestNode;
let links: Links;
beforeEach(async () => {
  manager = await startTestManager({ BELLWETHER_HEARTBEAT_MS: String(HEARTBEAT_MS) });
  node = await manager.node();
  links = manager.manager.app.get(Links);
});
afterEach(() => manager.stop());

const push = (reason: string): boolean =>
  links.push(node.id, { type: 'reconnect', after_ms: 1, reason });
const shown = async () => (await manager.call('nodes.show', { params: { id: node.id } })).body;
const statusOf = async (): Promise<string> => (await shown()).status;
const connectionEvents = async () => {
  const { body } = await manager.call('events.list', { query: { category: 'connection' } });
  return body.items.map(({ type, details }) => [type, details['transport'] ?? details['reason']]);
};
const anEvent = (seq: number): NodeEvent => ({
  seq,
  at: '2026-11-20T08:00:00.000Z',
  type: 'service_healthy',
  category: 'service',
  severity: 'info',
  service: 'edge',
  command_id: null,
  message: `event ${seq}`,
  details: {},
});

describe('a poll', () => {
  it('is welcomed in its first answer, and its node is online', async () => {
    const poll = pollOf(manager, node);
    const { body } = await poll.ask({ messages: [aHello()], wait_ms: 5_000 });
    expect(body).toMatchObject({ received: 1, seq: 1, closed: null });
    expect(body.messages).toMatchObject([{ type: 'welcome', heartbeat_interval_ms: HEARTBEAT_MS }]);
    expect(await shown()).toMatchObject({ status: 'online', transport: 'poll' });
    const { body: list } = await manager.call('nodes.list');
    expect(list.items.map(({ transport }) => transport)).toEqual(['poll']);
    expect(await connectionEvents()).toEqual([['node_connected', 'poll']]);
  });

  it('may repeat any request: what was said is taken once, what was not heard is said again', async () => {
    const poll = pollOf(manager, node);
    const first = await poll.ask({ messages: [aHello()], wait_ms: 5_000 });
    const again = await poll.ask({ seq: 1, messages: [aHello()], wait_ms: 5_000 });
    // A second hello would have closed it.
    expect(again.body).toEqual(first.body);
    const events = { type: 'events', spool_id: 'spl_000001', events: [anEvent(1)] };
    await poll.ask({ seq: 2, messages: [events], received: 1 });
    await poll.ask({ seq: 2, messages: [events], received: 1 });
    const { body } = await poll.ask({ seq: 3, received: 1, wait_ms: 5_000 });
    expect([body.received, body.seq]).toEqual([2, 2]);
    expect(body.messages).toEqual([{ type: 'events_ack', spool_id: 'spl_000001', through: 1 }]);
    const stored = await manager.call('events.list', { query: { category: 'service' } });
    expect(stored.body.items.map((event) => event.message)).toEqual(['event 1']);
  });

  it('that leaves out a message is told so, and nothing is taken', async () => {
    const poll = await pollingNode(manager, node);
    const refused = await poll.ask({ seq: 9, messages: [{ type: 'goodbye', reason: 'restart' }] });
    expect([refused.status, refused.body.code]).toEqual([409, 'poll_out_of_order']);
    expect((await poll.say({ type: 'goodbye', reason: 'restart' })).received).toBe(2);
  });

  it('that is not known is told so: after a restart, or of another node', async () => {
    const other = await manager.node('grp_default', 'edge-02');
    const poll = await pollingNode(manager, node);
    const theirs = pollOf(manager, other);
    const stolen = await theirs.ask({ poll_id: poll.pollId, seq: 2, wait_ms: 100 });
    expect([stolen.status, stolen.body.code]).toEqual([409, 'poll_unknown']);
    const empty = await theirs.ask();
    expect([empty.status, empty.body.code]).toEqual([409, 'poll_unknown']);
    expect(await statusOf()).toBe('online');
  });

  it('hears at once what is pushed while a request is held', async () => {
    const poll = await pollingNode(manager, node);
    const held = poll.listen();
    await sleep(50);
    expect(push('now')).toBe(true);
    const startedAt = performance.now();
    expect((await held).messages).toMatchObject([{ type: 'reconnect', reason: 'now' }]);
    expect(performance.now() - startedAt).toBeLessThan(HEARTBEAT_MS / 2);
  });

  it('holds one request at a time: a newer one lets it go', async () => {
    const poll = await pollingNode(manager, node);
    const older = poll.listen();
    await sleep(50);
    const newer = poll.listen();
    expect((await older).messages).toEqual([]);
    push('for the newer');
    expect((await newer).messages).toHaveLength(1);
  });

  it('keeps what it says in order, however many answers it takes', async () => {
    const poll = await pollingNode(manager, node);
    const reasons: string[] = [];
    for (let index = 0; index < 40; index += 1) push(`${index} ${'x'.repeat(50)}`);
    while (reasons.length < 40) {
      const { messages } = await poll.listen();
      reasons.push(...messages.map((one) => (one as { reason: string }).reason));
    }
    expect(reasons.map((reason) => parseInt(reason))).toEqual(
      Array.from({ length: 40 }, (_, index) => index),
    );
  });

  it('lives as long as its requests come, and is gone three heartbeats after the last', async () => {
    const poll = await pollingNode(manager, node);
    const until = performance.now() + 4 * HEARTBEAT_MS;
    while (performance.now() < until) await poll.listen(HEARTBEAT_MS);
    expect(await statusOf()).toBe('online');
    await expect.poll(statusOf, { timeout: 8 * HEARTBEAT_MS }).toBe('offline');
    expect((await connectionEvents()).at(-1)).toEqual(['node_disconnected', 'heartbeat_lost']);
    // It is told what became of it, and begins anew.
    expect((await poll.listen()).closed?.code).toBe(1006);
    await pollingNode(manager, node);
    expect(await statusOf()).toBe('online');
  }, 20_000);

  it('ends when the node says so', async () => {
    const poll = await pollingNode(manager, node);
    const goodbye = { type: 'goodbye', reason: 'shutdown' };
    const { body } = await poll.ask({ messages: [goodbye], close: true });
    expect(body.closed).toEqual({ code: 1000, reason: 'left' });
    await expect.poll(statusOf).toBe('offline');
    expect((await connectionEvents()).at(-1)).toEqual(['node_disconnected', 'goodbye_shutdown']);
  });
});

describe('two transports of one node', () => {
  it('the socket takes over from the poll without the node ever being away', async () => {
    const poll = await pollingNode(manager, node);
    const held = poll.listen();
    const link = await connectNode(manager, node);
    expect((await held).closed).toEqual({ code: CLOSE.superseded, reason: 'superseded' });
    expect(links.transportOf(node.id)).toBe('socket');
    expect(await connectionEvents()).toEqual([
      ['node_connected', 'poll'],
      ['node_transport_changed', 'socket'],
    ]);
    // A late request of the old one changes nothing.
    expect((await poll.listen()).closed?.code).toBe(CLOSE.superseded);
    push('to the socket');
    expect((await link.next('reconnect')).reason).toBe('to the socket');
    await link.close();
  });

  it('the poll takes over from a socket', async () => {
    const link = await connectNode(manager, node);
    await pollingNode(manager, node);
    expect(await link.closed).toBe(CLOSE.superseded);
    expect(await statusOf()).toBe('online');
    expect((await connectionEvents()).at(-1)).toEqual(['node_transport_changed', 'poll']);
  });

  it('a newer poll takes over from an older one, which is told', async () => {
    const older = await pollingNode(manager, node);
    const held = older.listen();
    await pollingNode(manager, node);
    expect((await held).closed?.code).toBe(CLOSE.superseded);
    const late = await older.ask({ seq: 2 });
    expect([late.status, late.body.code]).toEqual([409, 'poll_unknown']);
    expect(links.count()).toBe(1);
  });
});

describe('a poll is bounded', () => {
  it('in the bytes of a request', async () => {
    const poll = await pollingNode(manager, node);
    const huge = 'x'.repeat(SYNC_REQUEST_BYTES_MAX);
    const { status, body } = await poll.ask({ messages: [huge] });
    expect([status, body.code]).toEqual([413, 'payload_too_large']);
  });

  it('in the messages of a request', async () => {
    const poll = await pollingNode(manager, node);
    const messages = Array.from({ length: SYNC_MESSAGES_MAX + 1 }, () => ({ type: 'later' }));
    const { status, body } = await poll.ask({ messages });
    expect([status, body.code]).toEqual([400, 'invalid_request']);
  });

  it.each([
    ['a message above the limit', 'x'.repeat(NODE_FRAME_BYTES_MAX), 'frame_too_large'],
    ['a message that is no object', 7, 'frame_not_json'],
    ['a message that breaks its schema', { type: 'ack', command_id: 7 }, 'message_invalid'],
    ['a second hello', aHello(), 'message_out_of_order'],
  ] as const)('in what it takes: %s ends it', async (_what, message, reason) => {
    const poll = await pollingNode(manager, node);
    const { closed } = await poll.say(message);
    expect(closed?.code).toBe(CLOSE[reason]);
    expect(links.counters()[reason]).toBe(1);
    await expect.poll(statusOf).toBe('offline');
  });

  it('in how often it may ask', async () => {
    const poll = await pollingNode(manager, node);
    const asked = await Promise.all(
      Array.from({ length: SYNC_BURST_MAX + 40 }, () => poll.ask({ seq: 2 })),
    );
    const refused = asked.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.body.code).toBe('rate_limited');
    expect(refused[0]?.headers.get('retry-after')).toBe('1');
    // Another node is not slowed down by it.
    await pollingNode(manager, await manager.node('grp_default', 'edge-02'));
  });

  it('in what waits for it: one that does not listen is cut off', async () => {
    const poll = await pollingNode(manager, node);
    let pushed = 0;
    while (push('x'.repeat(60_000)) && pushed < 100) pushed += 1;
    expect(pushed).toBeLessThan(25);
    expect(links.counters().slow_reader).toBe(1);
    expect(poll.nodeId).toBe(node.id);
    await expect.poll(statusOf).toBe('offline');
  });
});

describe('the manager', () => {
  it('tells a polling node that its key was revoked, and then knows it no more', async () => {
    const poll = await pollingNode(manager, node);
    const held = poll.listen();
    await sleep(50);
    await manager.call('nodes.revoke', { params: { id: node.id } });
    expect((await held).closed).toEqual({ code: CLOSE.revoked, reason: 'revoked' });
    const { status, body } = await poll.ask();
    expect([status, body.code]).toEqual([401, 'jwt_invalid']);
  });

  it('that stops tells who waits, and keeps nobody', async () => {
    const poll = await pollingNode(manager, node);
    const held = poll.listen();
    await sleep(50);
    await links.drain();
    expect((await held).closed?.code).toBe(CLOSE.going_away);
    const late = await pollOf(manager, node).ask({ messages: [aHello()] });
    expect([late.status, late.body.code]).toEqual([503, 'unavailable']);
  });
});

describe('a heartbeat', () => {
  const health = { type: 'health' as const, services: [], disk_free_bytes: 1, spool_backlog: 0 };

  it('of a node that is not connected says so, and makes it no more than that', async () => {
    const { status, body } = await manager.call('link.heartbeat', { body: health }, node.token());
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({ connected: false, directives: [], next_ms: HEARTBEAT_MS }),
    ]);
    expect(await statusOf()).toBe('offline');
  });

  it('hears what its node should do, and of no other node', async () => {
    const rollouts = await startRolloutManager({ versions: ['1.1.0'] });
    const group = await rollouts.group('east');
    const first = await rollouts.node(group, 'first');
    const second = await rollouts.node(group, 'second');
    const polls = [await pollingNode(rollouts, first), await pollingNode(rollouts, second)];
    const upgraded = await rollouts.call('nodes.upgrade', {
      params: { id: first.id },
      body: { version: '1.1.0' },
    });
    expect(upgraded.status).toBe(202);
    const { messages } = (await polls[0]?.listen()) ?? { messages: [] };
    const [pushed] = messages as { type: string; command: object }[];
    expect(pushed).toMatchObject({ type: 'command', command: { action: 'upgrade_binary' } });
    const told = await rollouts.call('link.heartbeat', { body: health }, first.token());
    expect(told.body).toMatchObject({ connected: true, directives: [pushed?.command] });
    const other = await rollouts.call('link.heartbeat', { body: health }, second.token());
    expect(other.body.directives).toEqual([]);
    await rollouts.stop();
  });

  it('of a connected one is taken as its health', async () => {
    await pollingNode(manager, node);
    const { body } = await manager.call('link.heartbeat', { body: health }, node.token());
    expect(body.connected).toBe(true);
    const services = async () =>
      (await manager.call('nodes.show', { params: { id: node.id } })).body.services;
    await expect.poll(services, { timeout: 5_000 }).toEqual([]);
  });
});
