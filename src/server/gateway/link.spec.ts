import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import {
  CLOSE,
  LINK_PATH,
  makeNodeToken,
  MESSAGE_BURST_MAX,
  NODE_FRAME_BYTES_MAX,
  rawPublicKey,
  SUBPROTOCOL,
  type Hello,
  type ManagerMessage,
} from '../../protocol/node/index.js';
import { loadConfig, openDatabase, PlatformModule, type Database } from '../platform/index.js';
import { GatewayModule, LinkAdapter, Links } from './index.js';

const NODE_ID = 'nod_000000000001';
const HEARTBEAT_MS = 300;

/** The manager below the gateway: real ports, with a memory instead of a database. */
class Below {
  readonly log: string[] = [];
  readonly commands: { command_id: string; generation: number; action: string }[] = [];
  ingest: () => Promise<{ through: number; error: null }> = () =>
    Promise.resolve({ through: 1, error: null });
}

let app: INestApplication;
let database: Database;
let below: Below;
let dataDir: string;
let origin: string;
let key: KeyObject;
let isRevoked: boolean;
let clockMs: number | null;
const sockets: WebSocket[] = [];

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'bellwether-link-'));
  const pair = generateKeyPairSync('ed25519');
  key = pair.privateKey;
  isRevoked = false;
  clockMs = null;
  below = new Below();
  const log = pino({ level: 'silent' });
  // Any free port first: the origin of the manager is part of every token.
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  const config = loadConfig({
    BELLWETHER_DATA_DIR: dataDir,
    BELLWETHER_PORT: String(port),
    BELLWETHER_HEARTBEAT_MS: String(HEARTBEAT_MS),
  });
  database = await openDatabase({ url: null, dataDir, log });
  const clock = { now: () => clockMs ?? Date.now() };
  class Root {}
  Module({ imports: [PlatformModule.on({ config, database, clock, log }), GatewayModule] })(Root);
  app = await NestFactory.create(Root, { logger: false });
  app.useWebSocketAdapter(new LinkAdapter(app, app.getHttpServer() as never));
  register(app.get(Links), rawPublicKey(pair.publicKey));
  await app.listen(port, '127.0.0.1');
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await app.close();
  await database.close();
  rmSync(dataDir, { recursive: true, force: true });
});

function register(links: Links, publicKey: string): void {
  links.useIdentities({
    find: (nodeId) =>
      Promise.resolve(
        nodeId === NODE_ID
          ? { nodeId, groupId: 'grp_default', publicKey, revoked: isRevoked }
          : null,
      ),
  });
  links.usePresence({
    arrived: (_node, sessionId) => Promise.resolve(void below.log.push(`arrived ${sessionId}`)),
    health: () => void below.log.push('health'),
    left: (_node, sessionId, reason) =>
      Promise.resolve(void below.log.push(`left ${sessionId} ${reason}`)),
  });
  links.useEvents({ resume: () => Promise.resolve(7), ingest: () => below.ingest() });
  links.useCommands({
    open: () => Promise.resolve(below.commands),
    acked: (_node, ack) => Promise.resolve(void below.log.push(`ack ${ack.command_id}`)),
    rejected: (_node, no) => Promise.resolve(void below.log.push(`reject ${no.error_code}`)),
    reported: () => Promise.resolve(),
    permit: () => Promise.resolve({ granted: true, leaseMs: 10_000 }),
  });
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const token = (change: Partial<Parameters<typeof makeNodeToken>[0]> = {}): string =>
  makeNodeToken({ nodeId: NODE_ID, origin, key, nowMs: Date.now(), jti: randomUUID(), ...change });

function connect(bearer: string, protocol: string = SUBPROTOCOL): WebSocket {
  const socket = new WebSocket(`${origin.replace('http', 'ws')}${LINK_PATH}`, protocol, {
    headers: { authorization: `Bearer ${bearer}` },
  });
  sockets.push(socket);
  socket.on('error', () => undefined);
  return socket;
}

const HELLO: Hello = {
  type: 'hello',
  protocol: 1,
  agent_version: '0.1.0',
  boot_id: 'boot-1',
  last_session: null,
  spool: { id: 'spl_000001', first_seq: 1, next_seq: 1 },
  host: {
    os: 'linux',
    arch: 'x64',
    hostname: 'edge-01',
    kernel: '6.1',
    memory_bytes: 1,
    labels: {},
  },
  services: [],
  capabilities: ['upgrade'],
  policy_digest: '',
};

async function next(socket: WebSocket): Promise<ManagerMessage> {
  const [data] = (await once(socket, 'message')) as [Buffer];
  return JSON.parse(data.toString()) as ManagerMessage;
}

async function greeted(): Promise<WebSocket> {
  const socket = connect(token());
  await once(socket, 'open');
  socket.send(JSON.stringify(HELLO));
  expect((await next(socket)).type).toBe('welcome');
  return socket;
}

async function closeCode(socket: WebSocket): Promise<number> {
  const [code] = (await once(socket, 'close')) as [number];
  return code;
}

/** Tries an upgrade and answers with the HTTP refusal. */
function refusal(headers: Record<string, string>): Promise<{ status: number; code: string }> {
  return new Promise((resolve, reject) => {
    const attempt = request(`${origin}${LINK_PATH}`, {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
        'sec-websocket-protocol': SUBPROTOCOL,
        ...headers,
      },
    });
    attempt.on('response', (response) => {
      response.setEncoding('utf8');
      let body = '';
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => {
        const { code } = JSON.parse(body) as { code: string };
        resolve({ status: response.statusCode ?? 0, code });
      });
    });
    attempt.on('upgrade', () => {
      reject(new Error('was let in'));
    });
    attempt.on('error', reject);
    attempt.end();
  });
}

async function eventually(check: () => void): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      check();
      return;
    } catch (error) {
      if (tries > 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

describe('the upgrade', () => {
  const otherKey = generateKeyPairSync('ed25519').privateKey;

  it.each([
    ['no token', () => ({}), 'jwt_invalid'],
    ['not a JWT', () => ({ authorization: 'Bearer hello' }), 'jwt_invalid'],
    ['another key', () => ({ authorization: `Bearer ${token({ key: otherKey })}` }), 'jwt_invalid'],
    [
      'an unknown node',
      () => ({ authorization: `Bearer ${token({ nodeId: 'nod_unknown1' })}` }),
      'jwt_invalid',
    ],
    [
      'another audience',
      () => ({ authorization: `Bearer ${token({ origin: 'https://other.example' })}` }),
      'jwt_wrong_audience',
    ],
    [
      'an expired token',
      () => ({ authorization: `Bearer ${token({ nowMs: Date.now() - 600_000 })}` }),
      'jwt_expired',
    ],
    [
      'a token from the future',
      () => ({ authorization: `Bearer ${token({ nowMs: Date.now() + 600_000 })}` }),
      'jwt_expired',
    ],
  ])('is refused with 401 for %s', async (_what, headers, code) => {
    expect(await refusal(headers())).toEqual({ status: 401, code });
  });

  it('is refused for a token that was used before', async () => {
    const once_ = token();
    const socket = connect(once_);
    await once(socket, 'open');
    expect(await refusal({ authorization: `Bearer ${once_}` })).toEqual({
      status: 401,
      code: 'jwt_replayed',
    });
  });

  it('is refused for a revoked node', async () => {
    isRevoked = true;
    expect(await refusal({ authorization: `Bearer ${token()}` })).toMatchObject({ status: 401 });
  });

  it('is refused for another subprotocol', async () => {
    const headers = { authorization: `Bearer ${token()}`, 'sec-websocket-protocol': 'chat' };
    expect(await refusal(headers)).toEqual({ status: 400, code: 'invalid_request' });
  });

  it('is refused while the manager is stopping', async () => {
    app.get(Links).drain();
    expect(await refusal({ authorization: `Bearer ${token()}` })).toEqual({
      status: 503,
      code: 'unavailable',
    });
  });
});

describe('a link', () => {
  it('is welcomed with its session, what is durable, and the open commands', async () => {
    below.commands.push({ command_id: 'cmd_000001', generation: 1, action: 'upgrade_binary' });
    const socket = connect(token());
    await once(socket, 'open');
    socket.send(JSON.stringify(HELLO));
    expect(await next(socket)).toMatchObject({
      type: 'welcome',
      heartbeat_interval_ms: HEARTBEAT_MS,
      events_through: 7,
      commands: [{ command_id: 'cmd_000001' }],
    });
    expect(app.get(Links).online(NODE_ID)).toBe(true);
  });

  it.each([
    ['a frame that is not JSON', 'hello?', 'frame_not_json'],
    ['a frame that is not an object', '[1]', 'frame_not_json'],
    ['a binary frame', Buffer.from([1, 2, 3]), 'frame_binary'],
    ['a frame above the limit', 'x'.repeat(NODE_FRAME_BYTES_MAX + 1), 'frame_too_large'],
    ['a message that breaks its schema', '{"type":"ack","command_id":7}', 'message_invalid'],
    ['a second hello', JSON.stringify(HELLO), 'message_out_of_order'],
  ] as const)('is closed for %s', async (_what, frame, reason) => {
    const socket = await greeted();
    socket.send(frame);
    expect(await closeCode(socket)).toBe(CLOSE[reason]);
    await eventually(() => {
      expect(app.get(Links).counters()[reason]).toBe(1);
      expect(below.log.at(-1)).toMatch(new RegExp(`^left ses_\\w+ ${reason}$`));
    });
  });

  it('is closed when anything comes before hello', async () => {
    const socket = connect(token());
    await once(socket, 'open');
    socket.send('{"type":"ack","command_id":"cmd_000001","result":"accepted"}');
    expect(await closeCode(socket)).toBe(CLOSE.message_out_of_order);
  });

  it('is closed for a protocol version of another time', async () => {
    const socket = connect(token());
    await once(socket, 'open');
    socket.send(JSON.stringify({ ...HELLO, protocol: 2 }));
    expect(await closeCode(socket)).toBe(CLOSE.protocol_unsupported);
  });

  it('is closed when it sends faster than it may', async () => {
    const socket = await greeted();
    for (let i = 0; i < MESSAGE_BURST_MAX + 50; i += 1) socket.send('{"type":"later"}');
    expect(await closeCode(socket)).toBe(CLOSE.message_rate_exceeded);
  });

  it('answers a message of an unknown type and goes on', async () => {
    const socket = await greeted();
    socket.send('{"type":"later"}');
    expect(await next(socket)).toMatchObject({ type: 'error', error_code: 'message_unknown' });
    socket.send(
      '{"type":"permit_request","command_id":"cmd_000001","service":"edge","version":"1.0.0"}',
    );
    expect(await next(socket)).toMatchObject({ type: 'permit', lease_ms: 10_000 });
  });

  it('ignores fields that it does not know', async () => {
    const socket = await greeted();
    socket.send('{"type":"ack","command_id":"cmd_000001","result":"accepted","mood":"good"}');
    await eventually(() => {
      expect(below.log).toContain('ack cmd_000001');
    });
  });

  it('gives way to a newer one of the same node, whose place its end does not touch', async () => {
    const older = await greeted();
    const closed = closeCode(older);
    const newer = await greeted();
    expect(await closed).toBe(CLOSE.superseded);
    expect(app.get(Links).online(NODE_ID)).toBe(true);
    expect(below.log.filter((line) => line.startsWith('left'))).toEqual([]);
    expect(app.get(Links).push(NODE_ID, { type: 'reconnect', after_ms: 1, reason: 'x' })).toBe(
      true,
    );
    expect((await next(newer)).type).toBe('reconnect');
  });

  it('that has gone half-open is found by its silence', async () => {
    const socket = await greeted();
    socket.pause();
    await eventually(() => {
      expect(app.get(Links).online(NODE_ID)).toBe(false);
    });
    expect(below.log.at(-1)).toMatch(/heartbeat_lost$/);
  });

  it('that answers pings stays, however quiet', async () => {
    const socket = await greeted();
    await new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS * 5));
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  it('that never says hello is closed', async () => {
    const socket = connect(token());
    await once(socket, 'open');
    clockMs = Date.now() + 60_000;
    expect(await closeCode(socket)).toBe(CLOSE.hello_timeout);
  });

  it('is closed, unacknowledged, when its events cannot be stored', async () => {
    below.ingest = () => Promise.reject(new Error('disk full'));
    const socket = await greeted();
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
