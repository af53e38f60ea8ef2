import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/fleet.js';
import {
  startTestManager,
  type TestManager,
  type TestNode,
} from '../../../test/support/manager.js';
import { connectNode, type NodeLink } from '../../../test/support/node-link.js';
import { CLOSE, EVENTS_PER_BATCH_MAX, type NodeEvent } from '../../protocol/node/index.js';

let manager: TestManager;
let east: string;
let west: string;
let eastNode: TestNode;
let westNode: TestNode;
const links: NodeLink[] = [];

beforeAll(async () => {
  manager = await startTestManager();
  east = await manager.group('east');
  west = await manager.group('west');
  eastNode = await manager.node(east, 'edge-east');
  westNode = await manager.node(west, 'edge-west');
});
afterAll(async () => {
  for (const link of links) await link.close();
  await manager.stop();
});

const open = async (node: TestNode, spool = 'spl_000001', first_seq = 1): Promise<NodeLink> => {
  const link = await connectNode(manager, node, {
    spool: { id: spool, first_seq, next_seq: 1_000 },
  });
  links.push(link);
  return link;
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
const from = (first: number, count: number) => ({
  type: 'events' as const,
  spool_id: 'spl_000001',
  events: Array.from({ length: count }, (_, index) => anEvent(first + index)),
});
const list = (query: object = {}, token?: string) =>
  manager.call('events.list', { query: { limit: 1_000, ...query } }, token);
const serviceEvents = async (node: TestNode): Promise<string[]> => {
  const { body } = await list({ node_id: node.id, category: 'service' });
  return body.items.map((event) => event.message);
};

describe('events over a link', () => {
  it('are acknowledged when they can be read, and told in the next welcome', async () => {
    const link = await open(eastNode);
    expect((await link.next('welcome')).events_through).toBe(0);
    link.send(from(1, EVENTS_PER_BATCH_MAX));
    expect(await link.next('events_ack')).toEqual({
      type: 'events_ack',
      spool_id: 'spl_000001',
      through: 100,
    });
    expect(await serviceEvents(eastNode)).toHaveLength(100);
    await link.close();
    expect((await (await open(eastNode)).next('welcome')).events_through).toBe(100);
  });

  it('that are sent again are acknowledged again and not stored again', async () => {
    const link = links.at(-1) ?? (await open(eastNode));
    link.send(from(91, 12));
    expect((await link.next('events_ack')).through).toBe(102);
    link.send(from(91, 12));
    expect((await link.next('events_ack')).through).toBe(102);
    expect(await serviceEvents(eastNode)).toHaveLength(102);
  });

  it('with a gap are answered with the number to go on after, and the link stays', async () => {
    const link = links.at(-1) ?? (await open(eastNode));
    link.send(from(110, 2));
    expect((await link.next('error')).error_code).toBe('events_out_of_order');
    expect((await link.next('events_ack')).through).toBe(102);
    link.send(from(103, 1));
    expect((await link.next('events_ack')).through).toBe(103);
  });

  it('that were dropped are told once, with how many', async () => {
    await links.at(-1)?.close();
    const link = await open(eastNode, 'spl_000001', 111);
    expect((await link.next('welcome')).events_through).toBe(110);
    await link.close();
    await (await open(eastNode, 'spl_000001', 111)).close();
    const { body } = await list({ node_id: eastNode.id, severity: 'critical' });
    expect(body.items).toMatchObject([
      { type: 'events_lost', category: 'agent', details: { from_seq: 104, to_seq: 110 } },
    ]);
  });

  it('in too large a batch, or none, close the link and store nothing', async () => {
    for (const batch of [from(1, EVENTS_PER_BATCH_MAX + 1), from(1, 0)]) {
      const link = await open(westNode);
      link.send(batch);
      expect(await link.closed).toBe(CLOSE.message_invalid);
    }
    expect(await serviceEvents(westNode)).toEqual([]);
  });
});

describe('the list of events', () => {
  it('holds what the caller may see, each group for itself', async () => {
    const link = await open(westNode);
    link.send(from(1, 2));
    await link.next('events_ack');
    const groupsOf = async (token?: string): Promise<Set<string>> => {
      const { body } = await list({}, token);
      return new Set(body.items.map((event) => event.group_id));
    };
    for (const role of ['viewer', 'operator', 'admin']) {
      expect(await groupsOf(await manager.token(role, west))).toEqual(new Set([west]));
    }
    expect([...(await groupsOf())].sort()).toEqual([east, west].sort());
    const other = await list({ node_id: eastNode.id }, await manager.token('admin', west));
    expect([other.status, other.body.items]).toEqual([200, []]);
    expect((await list({}, await manager.token('release'))).status).toBe(403);
    expect((await manager.call('events.list', {}, null)).status).toBe(401);
  });

  it('is read in pages that lead to its end, however little the filter lets through', async () => {
    const { body: all } = await list();
    const seen: number[] = [];
    let after = 0;
    for (let last = -1; last !== after;) {
      last = after;
      const { body } = await list({ after, limit: 7 });
      seen.push(...body.items.map((event) => event.id));
      after = body.next_after;
    }
    expect(seen).toEqual(all.items.map((event) => event.id));
    expect(seen).toEqual(seen.map((_, index) => index + 1));
    const none = await list({ category: 'release' });
    expect(none.body).toEqual({ items: [], next_after: seen.length, next_before: null });
  });

  it.each([
    ['limit', { limit: 1_001 }],
    ['limit', { limit: 0 }],
    ['after', { after: -1 }],
    ['severity', { severity: 'bad' }],
    ['node_id', { node_id: 'edge 1' }],
  ])('refuses a wrong %s', async (name, query) => {
    const { status, body } = await list(query);
    expect([status, body.code]).toEqual([400, 'invalid_request']);
    expect(body.problems?.map((problem) => problem.path)).toEqual([`query.${name}`]);
  });

  it('tells who came and went', async () => {
    const node = await manager.node(west, 'edge-guest');
    await (await open(node)).close();
    await eventually(async () => {
      const { body } = await list({ node_id: node.id, category: 'connection' });
      expect(body.items.map((event) => event.type)).toEqual([
        'node_connected',
        'node_disconnected',
      ]);
    });
  });
});
