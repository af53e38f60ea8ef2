import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  openEventsSocket,
  readSse,
  type SseReader,
  type WsReader,
} from '../../../../test/support/event-stream.js';
import { eventually } from '../../../../test/support/fleet.js';
import { startTestManager, type TestManager } from '../../../../test/support/manager.js';
import { Database } from '../../platform/index.js';
import { EventLog } from '../index.js';
import { STREAMS_PER_CREDENTIAL_MAX, Streams } from './index.js';

let manager: TestManager;
let east: string;
let below: string;
let west: string;
const readers: (SseReader | WsReader)[] = [];

beforeAll(async () => {
  manager = await startTestManager();
  east = await manager.group('east');
  below = await manager.group('below', east);
  west = await manager.group('west');
});
afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  await eventually(async () => expect(manager.manager.app.get(Streams).size).toBe(0));
});
afterAll(() => manager.stop());

const happen = async (
  groupId: string,
  count = 1,
  over: { severity?: 'info' | 'critical'; message?: string } = {},
): Promise<void> => {
  const log = manager.manager.app.get(EventLog);
  await manager.manager.app.get(Database).transaction(async (tx) => {
    log.append(
      tx,
      Array.from({ length: count }, (_, index) => ({
        category: 'service' as const,
        type: 'service_healthy' as const,
        severity: over.severity ?? 'info',
        nodeId: null,
        groupId,
        message: over.message ?? `event ${index + 1}`,
        details: {},
        at: Date.now(),
      })),
    );
  });
};
const newest = async (): Promise<number> =>
  (await manager.call('events.list', { query: { order: 'newest', limit: 1 } })).body.next_after;
const siem = async (groupId: string) => {
  const body = { name: 'siem', permissions: ['event.view'] as const, group_id: groupId };
  return (await manager.call('tokens.create', { body: { ...body, permissions: ['event.view'] } }))
    .body;
};
const sse = async (
  options: Omit<Parameters<typeof readSse>[1], 'token'> & { token?: string } = {},
): Promise<SseReader> => {
  const reader = await readSse(manager.url, { token: manager.admin, ...options });
  readers.push(reader);
  return reader;
};
const ws = async (token = manager.admin): Promise<WsReader> => {
  const reader = await openEventsSocket(manager.url, token);
  readers.push(reader);
  return reader;
};
const idsOf = (events: readonly { id: number }[]): number[] => events.map(({ id }) => id);
const from = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => first + index);

describe('events over server-sent events', () => {
  it('come as they happen, each with its id, and the same as in the list', async () => {
    const before = await newest();
    const reader = await sse();
    expect(reader.headers.get('content-type')).toContain('text/event-stream');
    await happen(east, 3);
    const events = await reader.events(3);
    expect(idsOf(events)).toEqual(from(before + 1, 3));
    const { body } = await manager.call('events.list', { query: { after: before } });
    expect(events).toEqual(body.items);
    await happen(west, 2);
    expect(idsOf(await reader.events(2))).toEqual(from(before + 4, 2));
  });

  it('go on after any id that is kept: from the header before the query', async () => {
    const before = await newest();
    await happen(east, 2_600);
    const all = await sse({ query: { after: before } });
    expect(idsOf(await all.events(2_600))).toEqual(from(before + 1, 2_600));
    const last = await sse({ query: { after: before }, lastEventId: String(before + 2_598) });
    expect(idsOf(await last.events(2))).toEqual(from(before + 2_599, 2));
    expect((await sse({ lastEventId: 'x' })).status).toBe(400);
  });

  it('end when there is no more, if that was asked for', async () => {
    const after = await newest();
    await happen(east, 3);
    const reader = await sse({ query: { after, follow: false } });
    expect(await reader.events(3)).toHaveLength(3);
    const end = await reader.next();
    expect(end?.event).toBe('end');
    expect(JSON.parse(end?.data ?? '')).toMatchObject({
      code: 'complete',
      resume_after: after + 3,
    });
    expect(await reader.next()).toBeNull();
  });

  it('are those of the own groups, and of the filter', async () => {
    const { secret } = await siem(east);
    const reader = await sse({ token: secret, query: { min_severity: 'critical' } });
    await happen(west, 1, { severity: 'critical', message: 'foreign' });
    await happen(east, 1, { message: 'mild' });
    await happen(below, 1, { severity: 'critical', message: 'below' });
    await happen(east, 1, { severity: 'critical', message: 'here' });
    expect((await reader.events(2)).map(({ message }) => message)).toEqual(['below', 'here']);
    expect((await sse({ token: secret, query: { group_id: west } })).status).toBe(404);
  });

  it('end within seconds when the token is revoked, or the role is gone', async () => {
    const { id, secret } = await siem(east);
    const reader = await sse({ token: secret });
    const socket = await ws(secret);
    socket.send({ type: 'start', credit: 10 });
    expect((await socket.next()).type).toBe('ready');
    await manager.call('tokens.revoke', { params: { id } });
    expect(await reader.next()).toBeNull();
    expect(await socket.next()).toMatchObject({ type: 'end', code: 'stream_access_ended' });
    expect(await socket.closed).toBe(1008);
  });

  it('end when the token has run out', async () => {
    const { secret } = await siem(east);
    const reader = await sse({ token: secret });
    const socket = await ws(secret);
    socket.send({ type: 'start' });
    await socket.next();
    manager.clock.advance(91 * 24 * 3_600_000);
    expect(await reader.next()).not.toMatchObject({ event: 'message' });
    expect(await socket.next()).toMatchObject({ type: 'end', code: 'stream_access_ended' });
    manager.clock.advance(-91 * 24 * 3_600_000);
  });

  it('of one credential are few at once', async () => {
    const { secret } = await siem(east);
    for (let count = 0; count < STREAMS_PER_CREDENTIAL_MAX; count += 1) {
      expect((await sse({ token: secret })).status).toBe(200);
    }
    expect((await sse({ token: secret })).status).toBe(429);
    await expect(openEventsSocket(manager.url, secret)).rejects.toThrow('429');
    readers.pop()?.close();
    readers.pop()?.close();
    await eventually(async () => expect((await sse({ token: secret })).status).toBe(200));
  });
});

describe('events over a WebSocket', () => {
  const start = async (message: object = {}, token?: string): Promise<WsReader> => {
    const socket = await ws(token);
    socket.send({ type: 'start', ...message });
    expect((await socket.next()).type).toBe('ready');
    return socket;
  };
  const take = async (socket: WsReader, count: number): Promise<number[]> => {
    const ids: number[] = [];
    while (ids.length < count) {
      const message = await socket.next();
      if (message.type === 'events') ids.push(...idsOf(message.items));
      else if (message.type === 'end') throw new Error(message.code);
    }
    return ids;
  };

  it('come as many as were granted, and not one more', async () => {
    const after = await newest();
    await happen(east, 300);
    const socket = await start({ after, credit: 150 });
    expect(await take(socket, 150)).toEqual(from(after + 1, 150));
    await happen(east);
    await sleep(100);
    expect(socket.waiting()).toBe(0);
    socket.send({ type: 'credit', events: 1 });
    expect(await take(socket, 1)).toEqual([after + 151]);
    socket.send({ type: 'credit', events: 1_000 });
    expect(await take(socket, 150)).toEqual(from(after + 152, 150));
    await happen(east);
    expect(await take(socket, 1)).toEqual([after + 302]);
  });

  it('are those of the own groups, and of the filter', async () => {
    const { secret } = await siem(below);
    const socket = await start({ credit: 10, filter: { min_severity: 'critical' } }, secret);
    await happen(east, 1, { severity: 'critical' });
    await happen(below, 1, { severity: 'info' });
    await happen(below, 1, { severity: 'critical' });
    expect(await take(socket, 1)).toEqual([await newest()]);
  });

  it.each([
    ['what is not JSON', ['{']],
    ['credit without a start that fits', [{ type: 'start', after: -1 }]],
    ['a second start', [{ type: 'start' }, { type: 'start' }]],
    [
      'more credit than may be',
      [
        { type: 'start', credit: 10_000 },
        { type: 'credit', events: 1 },
      ],
    ],
    ['filters that nobody knows', [{ type: 'start', filter: { colour: 'blue' } }]],
  ])('end at %s, and say why', async (_, messages) => {
    const socket = await ws();
    for (const message of messages) socket.send(message);
    for (;;) {
      const message = await socket.next();
      if (message.type === 'ready') continue;
      expect(message).toMatchObject({ type: 'end', code: 'stream_message_invalid' });
      break;
    }
    expect(await socket.closed).toBe(1008);
  });

  it('are refused to whoever may not see any', async () => {
    const refused = (token: string | null, protocol?: string) =>
      expect(openEventsSocket(manager.url, token, protocol)).rejects;
    await refused(null).toThrow('401');
    await refused('bwt_0000000000000000000000000000000000000000').toThrow('401');
    await refused(await manager.token('release')).toThrow('403');
    await refused(manager.admin, 'chat').toThrow('400');
    expect((await manager.call('events.ws')).status).toBe(426);
  });
});

describe('a reader that does not read', () => {
  const patience = { slowMs: 30_000, creditMs: 600_000 };
  const hurry = (): void =>
    void Object.assign(manager.manager.app.get(Streams).patience, { slowMs: 300, creditMs: 300 });
  afterEach(() => void Object.assign(manager.manager.app.get(Streams).patience, patience));

  it('of server-sent events is sent away, and holds up nobody', async () => {
    hurry();
    const after = await newest();
    const text = 'x'.repeat(2_000);
    for (let count = 0; count < 20; count += 1) await happen(east, 500, { message: text });
    const { hostname, port } = new URL(manager.url);
    const socket = connect(Number(port), hostname);
    readers.push({ close: () => socket.destroy() } as never);
    socket.write(
      `GET /api/v1/events/stream?after=${after} HTTP/1.1\r\nHost: x\r\n` +
        `Authorization: Bearer ${manager.admin}\r\n\r\n`,
    );
    socket.pause();
    const closed = once(socket, 'close');
    await eventually(async () => expect(manager.manager.app.get(Streams).size).toBe(1));
    await eventually(async () => expect(manager.manager.app.get(Streams).size).toBe(0));
    // What is in the buffers of the kernel is all that was ever written of 20 MB.
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
    socket.resume();
    await closed;
    expect(bytes).toBeLessThan(20 * 500 * 2_000);
    Object.assign(manager.manager.app.get(Streams).patience, patience);
    expect(idsOf(await (await sse({ query: { after } })).events(10_000))).toHaveLength(10_000);
  });

  it('of a WebSocket, granting nothing, is told where to go on', async () => {
    hurry();
    const after = await newest();
    await happen(east, 5);
    const socket = await ws();
    socket.send({ type: 'start', after, credit: 3 });
    expect((await socket.next()).type).toBe('ready');
    expect(await socket.next()).toMatchObject({ type: 'events' });
    expect(await socket.next()).toMatchObject({
      type: 'end',
      code: 'stream_too_slow',
      resume_after: after + 3,
    });
    expect(await socket.closed).toBe(1013);
  });
});

describe('a manager that stops', () => {
  it('tells its readers where to go on, and waits for none of them', async () => {
    const other = await startTestManager();
    const reader = await readSse(other.url, { token: other.admin, query: { after: 0 } });
    const [silent, started] = await Promise.all(
      [0, 1].map(() => openEventsSocket(other.url, other.admin)),
    );
    started?.send({ type: 'start', credit: 1 });
    expect((await started?.next())?.type).toBe('ready');
    await other.stop();
    // The manager may have told something of its own meanwhile.
    const lastOf = async (socket: WsReader | undefined) => {
      for (;;) {
        const message = await socket?.next();
        if (message === undefined || message.type === 'end') return message;
      }
    };
    for (const socket of [silent, started]) {
      expect(await lastOf(socket)).toMatchObject({ type: 'end', code: 'unavailable' });
    }
    expect(await silent?.closed).toBe(1001);
    let last = await reader.next();
    while (last?.event === 'message') last = await reader.next();
    expect(JSON.parse(last?.data ?? '{}')).toMatchObject({ code: 'unavailable' });
  });
});
