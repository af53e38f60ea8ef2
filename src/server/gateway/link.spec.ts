import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import {
  closeCode,
  HEARTBEAT_MS,
  nextMessage,
  NODE_ID,
  startGateway,
  type TestGateway,
} from '../../../test/support/gateway.js';
import { aHello } from '../../../test/support/node-link.js';
import { HOUR_MS } from '../../core/kernel/index.js';
import { CLOSE, MESSAGE_BURST_MAX, NODE_FRAME_BYTES_MAX } from '../../protocol/node/index.js';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.stop());

describe('a link', () => {
  it('is welcomed with its session, what is durable, and the open commands', async () => {
    gateway.below.commands.push({
      command_id: 'cmd_000001',
      generation: 1,
      action: 'upgrade_binary',
    });
    const socket = gateway.connect();
    await once(socket, 'open');
    socket.send(JSON.stringify(aHello()));
    expect(await nextMessage(socket)).toMatchObject({
      type: 'welcome',
      heartbeat_interval_ms: HEARTBEAT_MS,
      events_through: 7,
      commands: [{ command_id: 'cmd_000001' }],
    });
    expect(gateway.links.online(NODE_ID)).toBe(true);
  });

  it.each([
    ['a frame that is not JSON', 'hello?', 'frame_not_json'],
    ['a frame that is not an object', '[1]', 'frame_not_json'],
    ['a binary frame', Buffer.from([1, 2, 3]), 'frame_binary'],
    ['a frame above the limit', 'x'.repeat(NODE_FRAME_BYTES_MAX + 1), 'frame_too_large'],
    ['a message that breaks its schema', '{"type":"ack","command_id":7}', 'message_invalid'],
    ['a second hello', JSON.stringify(aHello()), 'message_out_of_order'],
  ] as const)('is closed for %s', async (_what, frame, reason) => {
    const socket = await gateway.greeted();
    socket.send(frame);
    expect(await closeCode(socket)).toBe(CLOSE[reason]);
    await vi.waitFor(() => {
      expect(gateway.links.counters()[reason]).toBe(1);
      expect(gateway.below.log.at(-1)).toMatch(new RegExp(`^left ses_\\w+ ${reason}$`));
    });
  });

  it('is closed when anything comes before hello', async () => {
    const socket = gateway.connect();
    await once(socket, 'open');
    socket.send('{"type":"ack","command_id":"cmd_000001","result":"accepted"}');
    expect(await closeCode(socket)).toBe(CLOSE.message_out_of_order);
  });

  it('is closed for a protocol version of another time', async () => {
    const socket = gateway.connect();
    await once(socket, 'open');
    socket.send(JSON.stringify(aHello({ protocol: 2 })));
    expect(await closeCode(socket)).toBe(CLOSE.protocol_unsupported);
  });

  it('is closed when it sends faster than it may', async () => {
    const socket = await gateway.greeted();
    for (let i = 0; i < MESSAGE_BURST_MAX + 50; i += 1) socket.send('{"type":"later"}');
    expect(await closeCode(socket)).toBe(CLOSE.message_rate_exceeded);
  });

  it('answers a message of an unknown type and goes on', async () => {
    const socket = await gateway.greeted();
    socket.send('{"type":"later"}');
    expect(await nextMessage(socket)).toMatchObject({
      type: 'error',
      error_code: 'message_unknown',
    });
    socket.send(
      '{"type":"permit_request","command_id":"cmd_000001","ask":7,"service":"edge","version":"1.0.0"}',
    );
    expect(await nextMessage(socket)).toMatchObject({ type: 'permit', ask: 7, lease_ms: 10_000 });
  });

  it('ignores fields that it does not know', async () => {
    const socket = await gateway.greeted();
    socket.send('{"type":"ack","command_id":"cmd_000001","result":"accepted","mood":"good"}');
    await vi.waitFor(() => {
      expect(gateway.below.log).toContain('ack cmd_000001');
    });
  });

  it('gives way to a newer one of the same node, whose place its end does not touch', async () => {
    const older = await gateway.greeted();
    const closed = closeCode(older);
    const newer = await gateway.greeted();
    expect(await closed).toBe(CLOSE.superseded);
    expect(gateway.links.online(NODE_ID)).toBe(true);
    expect(gateway.below.log.filter((line) => line.startsWith('left'))).toEqual([]);
    expect(gateway.links.push(NODE_ID, { type: 'reconnect', after_ms: 1, reason: 'x' })).toBe(true);
    expect((await nextMessage(newer)).type).toBe('reconnect');
  });

  it('that has gone half-open is found by its silence', async () => {
    const socket = await gateway.greeted();
    socket.pause();
    await vi.waitFor(() => {
      expect(gateway.links.online(NODE_ID)).toBe(false);
    }, HEARTBEAT_MS * 10);
    expect(gateway.below.log.at(-1)).toMatch(/heartbeat_lost$/);
  });

  it('that answers pings stays, however quiet', async () => {
    const socket = await gateway.greeted();
    await new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS * 5));
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  it('that never says hello is closed', async () => {
    const socket = gateway.connect();
    await once(socket, 'open');
    const sinceStart = performance.now.bind(performance);
    const later = vi.spyOn(performance, 'now').mockImplementation(() => sinceStart() + 60_000);
    try {
      expect(await closeCode(socket)).toBe(CLOSE.hello_timeout);
    } finally {
      later.mockRestore();
    }
  });

  it.each(['ahead', 'back'])('outlives a clock that is set an hour %s', async (way) => {
    const socket = await gateway.greeted();
    gateway.below.clockMs = Date.now() + (way === 'ahead' ? HOUR_MS : -HOUR_MS);
    await new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS * 2));
    socket.pause();
    expect(gateway.links.online(NODE_ID)).toBe(true);
    // And silence is still found.
    await vi.waitFor(() => {
      expect(gateway.links.online(NODE_ID)).toBe(false);
    }, HEARTBEAT_MS * 10);
  });

  it('is closed, unacknowledged, when its events cannot be stored', async () => {
    gateway.below.ingest = () => Promise.reject(new Error('disk full'));
    const socket = await gateway.greeted();
    const event = {
      seq: 1,
      at: '2026-11-20T08:00:00.000Z',
      type: 'service_healthy',
      category: 'service',
      severity: 'info',
      service: 'edge',
      command_id: null,
      message: 'healthy',
      details: {},
    };
    socket.send(JSON.stringify({ type: 'events', spool_id: 'spl_000001', events: [event] }));
    const answers: string[] = [];
    socket.on('message', (data: Buffer) => answers.push(data.toString()));
    expect(await closeCode(socket)).toBe(CLOSE.internal_error);
    expect(answers).toEqual([]);
  });
});
