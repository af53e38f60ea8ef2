import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import {
  aHost,
  startTestManager,
  type TestManager,
  type TestNode,
} from '../../../test/support/manager.js';
import { CLOSE, LINK_PATH, SUBPROTOCOL } from '../../protocol/node/index.js';

let manager: TestManager;
beforeEach(async () => {
  manager = await startTestManager();
});
afterEach(() => manager.stop());

/** A link that has said hello and was welcomed. */
async function link(node: TestNode, says: { generation?: number } = {}): Promise<WebSocket> {
  const socket = new WebSocket(manager.url.replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
    headers: { authorization: `Bearer ${node.token()}` },
  });
  await once(socket, 'open');
  socket.send(
    JSON.stringify({
      type: 'hello',
      protocol: 1,
      agent_version: '0.1.0',
      boot_id: 'boot-1',
      last_session: null,
      spool: { id: 'spl_000000', first_seq: 1, next_seq: 1 },
      host: aHost('edge-01'),
      services: [],
      capabilities: ['upgrade'],
      policy_digest: 'abc',
      ...says,
    }),
  );
  await once(socket, 'message');
  return socket;
}

const show = async (node: TestNode) =>
  (await manager.call('nodes.show', { params: { id: node.id } })).body;

async function eventTypes(): Promise<string[]> {
  const { body } = await manager.call('events.list', { query: { limit: 1000 } });
  return body.items.map((event) => event.type);
}

describe('presence', () => {
  it('goes on behind what the node has seen, when the manager was restored from an older time', async () => {
    const node = await manager.node();
    const ahead = async () => {
      const { body } = await manager.call('events.list', { query: { limit: 1000 } });
      return body.items.filter((event) => event.type === 'node_ahead');
    };
    const first = await link(node, { generation: 0 });
    expect(await ahead()).toEqual([]);
    first.terminate();
    const second = await link(node, { generation: 41 });
    expect(await ahead()).toMatchObject([
      { severity: 'warning', node_id: node.id, details: { behind: 41, generation: 41 } },
    ]);
    second.terminate();
    // It is told once, and a node that has seen less takes nothing back.
    for (const generation of [41, 7]) (await link(node, { generation })).terminate();
    expect(await ahead()).toHaveLength(1);
  });

  it('is what the links say, and each change is one event', async () => {
    const node = await manager.node();
    expect(await show(node)).toMatchObject({ status: 'offline', transport: null });
    const socket = await link(node);
    expect(await show(node)).toMatchObject({
      status: 'online',
      transport: 'socket',
      agent_version: '0.1.0',
    });
    const online = await manager.call('nodes.list', { query: { status: 'online' } });
    expect(online.body.items.map(({ id }) => id)).toEqual([node.id]);
    socket.close();
    await once(socket, 'close');
    await expect.poll(eventTypes).toEqual(['node_enrolled', 'node_connected', 'node_disconnected']);
    expect(await show(node)).toMatchObject({ status: 'offline', transport: null });
  });

  it('survives a newer link that takes over', async () => {
    const node = await manager.node();
    const older = await link(node);
    const closed = once(older, 'close');
    const newer = await link(node);
    expect((await closed)[0]).toBe(CLOSE.superseded);
    expect((await show(node)).status).toBe('online');
    expect(await eventTypes()).toEqual(['node_enrolled', 'node_connected', 'node_superseded']);
    newer.terminate();
  });
});

describe('a revoked node', () => {
  it('loses its link and its token is worth nothing', async () => {
    const node = await manager.node();
    const socket = await link(node);
    const closed = once(socket, 'close');
    const revoke = () => manager.call('nodes.revoke', { params: { id: node.id } });
    expect((await revoke()).body.status).toBe('revoked');
    expect((await closed)[0]).toBe(CLOSE.revoked);
    await expect(link(node)).rejects.toThrow('401');
    expect((await revoke()).status).toBe(200);
    expect(await show(node)).toMatchObject({ status: 'revoked', transport: null });
    const audit = await manager.call('audit.list', { query: { action: 'node.revoke' } });
    expect(audit.body.items).toHaveLength(1);
    expect(await eventTypes()).toContain('node_revoked');
  });
});
