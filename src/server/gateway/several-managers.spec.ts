import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectNode } from '../../../test/support/node-link.js';
import { aHello } from '../../../test/support/node-link.js';
import { aPollId, type PollReply } from '../../../test/support/poll-node.js';
import {
  startManagers,
  type OneOfSeveral,
  type SeveralManagers,
} from '../../../test/support/several/managers.js';
import type { TestNode } from '../../../test/support/manager.js';
import { CLOSE, type SyncRequest } from '../../protocol/node/index.js';
import { BUS, type Bus } from '../platform/bus/index.js';
import { Secrets } from '../platform/index.js';
import { Links } from './index.js';

let managers: SeveralManagers;
let a: OneOfSeveral;
let b: OneOfSeveral;
let node: TestNode;
beforeEach(async () => {
  managers = await startManagers(2, { BELLWETHER_HEARTBEAT_MS: '5000' });
  [a, b] = managers.all as [OneOfSeveral, OneOfSeveral];
  node = await a.node();
});
afterEach(() => managers.stop());

const connection = async (): Promise<string[]> => {
  const { body } = await a.call('events.list', { query: { category: 'connection' } });
  return body.items.map(({ type }) => type);
};

describe('a node token', () => {
  it('counts once over all managers, for links and for requests', async () => {
    const token = node.token();
    const health = { type: 'health' as const, services: [], disk_free_bytes: 1, spool_backlog: 0 };
    const first = await a.call('link.heartbeat', { body: health }, token);
    expect(first.status).toBe(200);
    for (const manager of [b, a, b]) {
      const { status, body } = await manager.call('link.heartbeat', { body: health }, token);
      expect([status, body.code]).toEqual([401, 'jwt_replayed']);
    }
    await expect(connectNode(b, { ...node, token: () => token })).rejects.toThrow('401');
  });

  it('that comes to both at one moment is taken by one', async () => {
    const health = { type: 'health' as const, services: [], disk_free_bytes: 1, spool_backlog: 0 };
    const tokens = Array.from({ length: 20 }, () => node.token());
    const asked = tokens.flatMap((token) =>
      [a, b].map(async (manager) => {
        const { status } = await manager.call('link.heartbeat', { body: health }, token);
        return { token, status };
      }),
    );
    const answers = await Promise.all(asked);
    for (const token of tokens) {
      const statuses = answers.filter((one) => one.token === token).map(({ status }) => status);
      expect(statuses.sort()).toEqual([200, 401]);
    }
  });
});

/** A poll each of whose requests goes to the next manager. */
function roundRobin() {
  const pollId = aPollId();
  let turn = 0;
  let said = 0;
  let received = 0;
  const ask = async (given: Partial<SyncRequest> = {}, to?: OneOfSeveral): Promise<PollReply> => {
    const manager = to ?? [a, b][(turn += 1) % 2] ?? a;
    const body = { poll_id: pollId, seq: said + 1, messages: [], received, wait_ms: 0, ...given };
    const reply = await manager.call(
      'link.sync',
      { body: { close: false, ...body } },
      node.token(),
    );
    if (reply.status === 200) {
      said = Math.max(said, reply.body.received);
      received = Math.max(received, reply.body.seq + reply.body.messages.length - 1);
    }
    return reply;
  };
  return { pollId, ask };
}

describe('a poll behind a load balancer', () => {
  it('is one poll, whichever manager each request comes to', async () => {
    const { ask } = roundRobin();
    const first = await ask({ messages: [aHello()], wait_ms: 4_000 });
    expect(first.body.messages).toMatchObject([{ type: 'welcome' }]);
    const holder = a.get(Links).count() === 1 ? a : b;
    for (let seq = 2; seq < 10; seq += 1) {
      const health = { type: 'health', services: [], disk_free_bytes: 1, spool_backlog: 0 };
      const { status, body } = await ask({ messages: [health] });
      expect([status, body.received, body.closed]).toEqual([200, seq, null]);
    }
    // What is said to it comes by the other manager, too, while a request is held there.
    const other = holder === a ? b : a;
    const held = ask({ wait_ms: 4_000 }, other);
    await expect
      .poll(() =>
        holder.get(Links).push(node.id, { type: 'reconnect', after_ms: 1, reason: 'now' }),
      )
      .toBe(true);
    expect((await held).body.messages).toMatchObject([{ type: 'reconnect' }]);
    const out = await ask({ seq: 99, messages: [{ type: 'goodbye', reason: 'restart' }] }, other);
    expect([out.status, out.body.code]).toEqual([409, 'poll_out_of_order']);
    expect(await connection()).toEqual(['node_connected']);
    expect(a.get(Links).count() + b.get(Links).count()).toBe(1);
    const shown = await other.call('nodes.show', { params: { id: node.id } });
    expect(shown.body).toMatchObject({ status: 'online', transport: 'poll' });
    const health = { type: 'health' as const, services: [], disk_free_bytes: 1, spool_backlog: 0 };
    const told = await other.call('link.heartbeat', { body: health }, node.token());
    expect(told.body.connected).toBe(true);
  });

  it('is told at any manager that a socket took over at another', async () => {
    const { ask } = roundRobin();
    await ask({ messages: [aHello()], wait_ms: 4_000 }, a);
    const link = await connectNode(b, node);
    await expect.poll(() => a.get(Links).count()).toBe(0);
    const late = await ask({}, a);
    expect(late.body.closed?.code).toBe(CLOSE.superseded);
    const unknown = await ask({ seq: 2 }, b);
    expect([unknown.status, unknown.body.code]).toEqual([409, 'poll_unknown']);
    await link.close();
  });

  it('ends when the manager that has it does not answer, and is not taken over by a stranger', async () => {
    const { ask, pollId } = roundRobin();
    await ask({ messages: [aHello()], wait_ms: 4_000 }, a);
    const other = await a.node('grp_default', 'edge-02');
    const body = { poll_id: pollId, seq: 2, messages: [], received: 0, wait_ms: 0, close: false };
    const stolen = await b.call('link.sync', { body }, other.token());
    expect([stolen.status, stolen.body.code]).toEqual([409, 'poll_unknown']);
    // Nothing that is meant for it comes.
    a.get<Bus>(BUS).answerTo('mgr_elsewhere');
    const lost = await ask({}, b);
    expect([lost.status, lost.body.code]).toEqual([503, 'unavailable']);
  });

  it('cannot be spoken for, or answered, by who writes to Redis', async () => {
    const { ask, pollId } = roundRobin();
    await ask({ messages: [aHello()], wait_ms: 4_000 }, a);
    const request = { poll_id: pollId, seq: 2, messages: [], received: 1, wait_ms: 0, close: true };
    const forged = { at: Date.now(), node_id: node.id, wait_ms: 0, request };
    const text = JSON.stringify({ from: b.id, body: forged });
    const secrets = b.get(Secrets);
    const bus = b.get<Bus>(BUS);
    const tell = (id: string, sealed: string): boolean =>
      bus.tell('poll_ask', { id, sealed }, a.id);
    tell('ask_1', text);
    tell('ask_2', Buffer.from(text).toString('base64url'));
    // A real one, for somebody else, or under another number, or of another hour.
    tell('ask_3', secrets.wrap('poll-ask', `${b.id} ask_3`, text));
    tell('ask_4', secrets.wrap('poll-ask', `${a.id} ask_5`, text));
    tell('ask_6', secrets.wrap('poll-answer', `${a.id} ask_6`, text));
    const old = JSON.stringify({ from: b.id, body: { ...forged, at: Date.now() - 3_600_000 } });
    tell('ask_7', secrets.wrap('poll-ask', `${a.id} ask_7`, old));
    const { status, body } = await ask({}, b);
    expect([status, body.closed]).toEqual([200, null]);
    tell('ask_8', secrets.wrap('poll-ask', `${a.id} ask_8`, text));
    await expect.poll(async () => (await ask({}, a)).body.closed?.code).toBe(1_000);
  });
});

describe('a manager that stops', () => {
  it('sends its nodes to the others, one after the other', async () => {
    const links = [await connectNode(a, node)];
    for (const name of ['edge-02', 'edge-03']) {
      links.push(await connectNode(a, await a.node('grp_default', name)));
    }
    await a.get(Links).sendAway(100);
    for (const link of links) {
      const { reason, after_ms } = await link.next('reconnect');
      expect(reason).toBe('drain');
      expect(after_ms).toBeLessThan(1_000);
    }
    await expect(connectNode(a, node)).rejects.toThrow('503');
    const again = await connectNode(b, node);
    expect(await links[0]?.closed).toBe(CLOSE.superseded);
    // It does not come back through the one that stops, and that takes nothing from it.
    await a.get(Links).drain();
    const shown = await b.call('nodes.show', { params: { id: node.id } });
    expect(shown.body.status).toBe('online');
    await again.close();
  });
});
