import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  closeCode,
  nextMessage,
  NODE_ID,
  startGateway,
  type TestGateway,
} from '../../../test/support/gateway.js';
import { aHello } from '../../../test/support/node-link.js';
import { CLOSE, type ManagerMessage } from '../../protocol/node/index.js';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.stop());

const push = (reason: string): boolean =>
  gateway.links.push(NODE_ID, { type: 'reconnect', after_ms: 1, reason });

/** A link in the middle of its greeting, and the way to let it go on. */
async function greeting() {
  const gate = Promise.withResolvers<number>();
  gateway.below.resume = () => gate.promise;
  const socket = gateway.connect();
  const came: ManagerMessage[] = [];
  socket.on('message', (data: Buffer) => came.push(JSON.parse(data.toString()) as ManagerMessage));
  await once(socket, 'open');
  socket.send(JSON.stringify(aHello()));
  await vi.waitFor(() => expect(gateway.links.online(NODE_ID)).toBe(true));
  return { socket, came, goOn: () => gate.resolve(0) };
}

describe('a session', () => {
  it('that has not been welcomed gets nothing before its welcome, and loses nothing', async () => {
    const { came, goOn } = await greeting();
    expect([push('first'), push('second')]).toEqual([true, true]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(came).toEqual([]);
    goOn();
    await vi.waitFor(() => expect(came).toHaveLength(3));
    expect(came.map((message) => message.type)).toEqual(['welcome', 'reconnect', 'reconnect']);
    expect(came.slice(1)).toMatchObject([{ reason: 'first' }, { reason: 'second' }]);
  });

  it('that speaks before its welcome is closed', async () => {
    const { socket, goOn } = await greeting();
    socket.send('{"type":"ack","command_id":"cmd_000001","result":"accepted"}');
    expect(await closeCode(socket)).toBe(CLOSE.message_out_of_order);
    goOn();
  });

  it('that ends while it is greeted is recorded as gone after it is recorded as there', async () => {
    const { socket, goOn } = await greeting();
    socket.terminate();
    await vi.waitFor(() => expect(gateway.links.online(NODE_ID)).toBe(false));
    expect(gateway.below.log).toEqual([]);
    goOn();
    await vi.waitFor(() => expect(gateway.below.log).toHaveLength(2));
    expect(gateway.below.log[0]).toMatch(/^arrived/);
    expect(gateway.below.log[1]).toMatch(/^left/);
  });

  it('that does not read is cut off before it fills the memory', async () => {
    const socket = await gateway.greeted();
    socket.pause();
    let pushed = 0;
    while (push('x'.repeat(60_000)) && pushed < 2_000) {
      pushed += 1;
      if (pushed % 20 === 0) await turn();
    }
    // What the kernel takes is some MiB; above that, 1 MiB of ours and no more.
    expect(pushed).toBeLessThan(2_000);
    expect(gateway.links.counters().slow_reader).toBe(1);
    await vi.waitFor(() => expect(gateway.below.log.at(-1)).toMatch(/slow_reader$/));
    expect([gateway.links.online(NODE_ID), push('again')]).toEqual([false, false]);
  });

  it('acknowledges events with what is durable, and says when they do not follow on it', async () => {
    gateway.below.ingest = (_node, batch) =>
      Promise.resolve(
        batch.events[0]?.seq === 1
          ? { through: 1, error: null }
          : { through: 1, error: 'events_out_of_order' },
      );
    const socket = await gateway.greeted();
    const came: ManagerMessage[] = [];
    socket.on('message', (data: Buffer) =>
      came.push(JSON.parse(data.toString()) as ManagerMessage),
    );
    for (const seq of [1, 9]) {
      const event = {
        seq,
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
    }
    await vi.waitFor(() => expect(came).toHaveLength(3));
    expect(came).toMatchObject([
      { type: 'events_ack', through: 1 },
      { type: 'error', error_code: 'events_out_of_order' },
      { type: 'events_ack', through: 1 },
    ]);
  });
});

describe('the links of a process', () => {
  it('take nothing for a node that is not here', () => {
    expect(push('nobody')).toBe(false);
    expect(gateway.links.count()).toBe(0);
    gateway.links.close(NODE_ID, 'revoked');
  });

  it('tell a node why it is closed, and count it', async () => {
    const socket = await gateway.greeted();
    gateway.links.close(NODE_ID, 'revoked');
    expect(await closeCode(socket)).toBe(CLOSE.revoked);
    expect(gateway.links.counters()).toEqual({ revoked: 1 });
  });

  it('cost nothing for a peer that is turned away', async () => {
    await gateway.refusal({});
    await gateway.refusal({ authorization: 'Bearer hello' });
    expect(gateway.links.counters()).toEqual({ upgrade_refused: 2 });
    expect([gateway.links.count(), gateway.below.log]).toEqual([0, []]);
  });

  it('when drained are closed, and each end is recorded before that resolves', async () => {
    const socket = await gateway.greeted();
    const closed = closeCode(socket);
    await gateway.links.drain();
    expect(gateway.below.log.at(-1)).toMatch(/^left ses_\w+ going_away$/);
    expect(await closed).toBe(CLOSE.going_away);
  });

  it('hold the newest of a node, however many open at once', async () => {
    const sockets = await Promise.all(Array.from({ length: 5 }, () => gateway.greeted()));
    await vi.waitFor(() => {
      expect(sockets.filter((socket) => socket.readyState === socket.OPEN)).toHaveLength(1);
    });
    expect(gateway.links.count()).toBe(1);
    const newest = sockets.find((socket) => socket.readyState === socket.OPEN);
    expect(push('hello')).toBe(true);
    if (newest !== undefined) expect((await nextMessage(newest)).type).toBe('reconnect');
    expect(gateway.below.log.filter((line) => line.startsWith('left'))).toEqual([]);
    expect(gateway.links.counters()).toEqual({ superseded: 4 });
  });
});
