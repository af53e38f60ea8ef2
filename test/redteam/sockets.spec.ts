import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { runProgram } from '../../src/cli/program.js';
import { CLOSE, LINK_PATH, SUBPROTOCOL } from '../../src/protocol/node/index.js';
import { LoadWatch, TAKEOVERS_MAX } from '../../src/server/gateway/index.js';
import { IDLE_MS_MAX } from '../../src/server/platform/http/index.js';
import { aHello } from '../support/node-link.js';
import { makeTempDir } from '../support/databases.js';
import {
  startTestManager,
  type ProblemBody,
  type TestManager,
  type TestNode,
} from '../support/manager.js';
import { recordingTerminal } from '../support/recording-terminal.js';

/** Both ends are files of this process, which may have 20 000 here and fewer elsewhere. */
const HALF_OPEN = 2_500;
/** Much above what the manager may need, much below what an attack without a bound takes. */
const MEMORY_MAX = 256 * 1024 * 1024;

const eventually = (check: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(check, { timeout: 40_000, interval: 50 });

describe('hostile sockets', () => {
  let manager: TestManager;
  let honest: TestNode;
  let rssBefore = 0;
  beforeAll(async () => {
    manager = await startTestManager({ BELLWETHER_HEARTBEAT_MS: '5000' });
    honest = await manager.node();
    (await linked(honest)).terminate();
    rssBefore = process.memoryUsage().rss;
  });
  afterAll(() => manager.stop());

  const port = (): number => Number(new URL(manager.url).port);
  async function opened(): Promise<Socket> {
    const socket = connect(port(), '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }
  function linkOf(node: TestNode, options: object = {}): WebSocket {
    const socket = new WebSocket(manager.url.replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${node.token()}` },
      ...options,
    });
    socket.on('error', () => undefined);
    return socket;
  }
  async function linked(node: TestNode): Promise<WebSocket> {
    const socket = linkOf(node);
    await once(socket, 'open');
    socket.send(JSON.stringify(aHello()));
    await once(socket, 'message');
    return socket;
  }
  /** An honest node, and a person, beside whatever goes on. */
  async function isServed(): Promise<void> {
    // A kept connection may end while this process, which plays both sides, is busy.
    await eventually(async () => {
      expect((await manager.call('health.live')).status).toBe(200);
    });
    const beside = await manager.node(undefined, `edge-${Math.random()}`.slice(0, 20));
    const socket = await linked(beside);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    socket.terminate();
    expect(process.memoryUsage().rss - rssBefore).toBeLessThan(MEMORY_MAX);
  }
  const hungUp = async (socket: Socket): Promise<string> => {
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    if (!socket.closed) await once(socket, 'close');
    return text;
  };

  it('that are opened by the thousand and say nothing are closed, and others are served beside them', async () => {
    let closed = 0;
    // No more at once than the kernel keeps for a program that is about to take them (511).
    for (let opening = 0; opening < HALF_OPEN; opening += 250) {
      const sockets = await Promise.all(Array.from({ length: 250 }, opened));
      for (const socket of sockets) {
        if (socket.closed) closed += 1;
        else socket.once('close', () => (closed += 1)).resume();
      }
    }
    await isServed();
    await eventually(() => {
      expect(closed).toBe(HALF_OPEN);
    });
  }, 120_000);

  it('that trickle the handshake of a link are closed', async () => {
    const sockets = await Promise.all(Array.from({ length: 100 }, opened));
    for (const socket of sockets) {
      socket.write(
        `GET ${LINK_PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`,
      );
    }
    const drip = setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write('x-a: b\r\n');
    }, 500);
    try {
      await isServed();
      const texts = await Promise.all(sockets.map(hungUp));
      expect(texts.every((text) => text.includes(' 408 '))).toBe(true);
    } finally {
      clearInterval(drip);
    }
  }, 120_000);

  it('that trickle a body are closed, and nothing of it is kept', async () => {
    const sockets = await Promise.all(Array.from({ length: 50 }, opened));
    for (const socket of sockets) {
      socket.write(
        'POST /node/v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{',
      );
    }
    const drip = setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write(' ');
    }, 1_000);
    try {
      await isServed();
      const texts = await Promise.all(sockets.map(hungUp));
      expect(texts.every((text) => text.includes(' 408 '))).toBe(true);
    } finally {
      clearInterval(drip);
    }
  }, 120_000);

  it('that were refused and do not hang up are hung up on', async () => {
    const socket = connect({ port: port(), host: '127.0.0.1', allowHalfOpen: true });
    socket.write(
      `GET ${LINK_PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\nAuthorization: Bearer x\r\n\r\n`,
    );
    socket.on('error', () => undefined);
    const ended = once(socket, 'end');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    await ended;
    expect(text).toContain(' 401 ');
    // Whoever writes on finds nobody there.
    await eventually(() => {
      socket.write('x');
      expect(socket.destroyed).toBe(true);
    });
  }, 60_000);

  it('that ask for compression get none, and a compressed frame ends the link', async () => {
    const socket = linkOf(honest, { perMessageDeflate: true });
    await once(socket, 'open');
    expect(socket.extensions).toBe('');
    socket.send(JSON.stringify(aHello()));
    await once(socket, 'message');
    const raw = (socket as unknown as { _socket: Socket })._socket;
    // FIN, RSV1 and text: a frame as permessage-deflate would make it, masked with zeros.
    const bomb = gzipSync(Buffer.alloc(40_000_000)).subarray(0, 100);
    raw.write(Buffer.concat([Buffer.from([0xc1, 0x80 | bomb.length, 0, 0, 0, 0]), bomb]));
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(1002);
    await isServed();
  });

  it.each(['gzip', 'deflate', 'br', 'gzip, gzip', 'zstd'])(
    'that send a body as %s are refused before it is unpacked',
    async (encoding) => {
      const bomb = gzipSync(Buffer.alloc(30_000_000, ' '));
      const response = await fetch(`${manager.url}/node/v1/enroll`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-encoding': encoding },
        body: bomb,
      });
      expect(response.status).toBe(400);
      expect(process.memoryUsage().rss - rssBefore).toBeLessThan(MEMORY_MAX);
    },
  );

  it('of one node that floods are closed, again and again, and others are served beside it', async () => {
    for (let round = 0; round < 3; round += 1) {
      const socket = await linked(honest);
      const closed = once(socket, 'close');
      const frame = JSON.stringify({ type: 'later', padding: 'x'.repeat(20_000) });
      for (let i = 0; i < 1_000; i += 1) socket.send(frame);
      const [code] = (await closed) as [number];
      // 1006: the manager was gone before the flood was through.
      expect([CLOSE.message_rate_exceeded, 1006]).toContain(code);
      await isServed();
    }
  }, 120_000);

  it('of a node that stops reading are given up, whatever its kernel still takes', async () => {
    const socket = await linked(honest);
    (socket as unknown as { _socket: Socket })._socket.pause();
    expect((await manager.call('health.live')).body.links).toBeGreaterThan(0);
    await eventually(async () => {
      expect((await manager.call('health.live')).body.links).toBe(0);
    });
    socket.terminate();
    await isServed();
  }, 120_000);

  it('that never read what they asked for by HTTP are answered no further, and hung up on after a time', async () => {
    const socket = await opened();
    socket.pause();
    const ask = `GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${manager.admin}\r\n\r\n`;
    // Far more than the kernel buffers on both sides hold.
    for (let i = 0; i < 40; i += 1) socket.write(ask);
    await isServed();
    expect(socket.bytesRead).toBeLessThan(16 * 1024 * 1024);
    const server = manager.manager.app.getHttpServer();
    expect(server.timeout).toBe(IDLE_MS_MAX);
    socket.destroy();
  }, 60_000);

  it('of two programs with one identity do not throw each other out for ever; that is told', async () => {
    const shared = await manager.node(undefined, 'shared');
    let newest = await linked(shared);
    for (let i = 0; i < TAKEOVERS_MAX; i += 1) {
      const before = newest;
      const closed = once(before, 'close');
      newest = await linked(shared);
      await closed;
    }
    const intruder = linkOf(shared);
    const [, response] = (await once(intruder, 'unexpected-response')) as [
      unknown,
      { statusCode: number; headers: Record<string, string> },
    ];
    expect(response.statusCode).toBe(429);
    expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
    intruder.terminate();
    expect(newest.readyState).toBe(WebSocket.OPEN);
    const query = { type: 'node_superseded' as const, severity: 'warning' as const };
    const { body } = await manager.call('events.list', { query: { ...query, limit: 100 } });
    expect(body.items[0]?.details).toMatchObject({ takeovers: TAKEOVERS_MAX });
    // Once the link is gone, nobody has to wait.
    newest.terminate();
    await eventually(async () => {
      expect((await manager.call('health.live')).body.links).toBe(0);
    });
    (await linked(shared)).terminate();
  }, 120_000);
});

describe('a manager under load', () => {
  it('refuses exports, says so in its health, and goes on with everything else', async () => {
    const manager = await startTestManager();
    try {
      const load = manager.manager.app.get(LoadWatch);
      expect((await manager.call('health.live')).body.load?.step).toBe('calm');
      for (let i = 0; i < 8; i += 1) load.judge({ loopDelayMs: 700, databaseDelayMs: 0 });
      expect((await manager.call('health.live')).body.load?.step).toBe('strained');
      const { headers, status, body } = await manager.call('audit.export', {
        query: { format: 'ndjson' },
      });
      expect([status, (body as ProblemBody).code]).toEqual([503, 'manager_busy']);
      expect(Number(headers.get('retry-after'))).toBe(10);
      expect((await manager.call('nodes.list')).status).toBe(200);
      // The command line comes back by itself, until there is room again.
      let slept = 0;
      const sleep = (): Promise<void> => {
        slept += 1;
        const calm = { loopDelayMs: 0, databaseDelayMs: 0 };
        for (const ms of [0, 11_000]) load.judge(calm, performance.now() + ms);
        return Promise.resolve();
      };
      const env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: manager.admin };
      const terminal = recordingTerminal(env, { sleep });
      const dir = makeTempDir();
      const code = await runProgram(['events', 'export', join(dir.path, 'events')], terminal);
      dir.remove();
      expect([code, terminal.errText()]).toEqual([0, expect.stringContaining('is busy')]);
      expect(slept).toBeGreaterThan(0);
    } finally {
      await manager.stop();
    }
  });
});
