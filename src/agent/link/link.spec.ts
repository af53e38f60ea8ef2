import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import {
  CLOSE,
  HEARTBEATS_MISSED_MAX,
  LINK_PATH,
  MANAGER_FRAME_BYTES_MAX,
  NODE_FRAME_BYTES_MAX,
  NodeMessage,
  SUBPROTOCOL,
  verifyNodeToken,
} from '../../protocol/node/index.js';
import { Spool, type SpoolEvent } from '../report/index.js';
import { Link, type IncomingCommand, type LinkOptions } from './index.js';

const NODE_ID = 'nod_000000000001';
const { privateKey, publicKey } = generateKeyPairSync('ed25519');

type Sent<T extends NodeMessage['type']> = Extract<NodeMessage, { type: T }>;

/** One link as the manager sees it. */
class Peer {
  readonly socket: WebSocket;
  readonly messages: NodeMessage[] = [];
  readonly #arrivals: (() => void)[] = [];

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary) => {
      expect(isBinary).toBe(false);
      expect(data.length).toBeLessThanOrEqual(NODE_FRAME_BYTES_MAX);
      this.messages.push(NodeMessage.parse(JSON.parse(data.toString())));
      for (const arrived of this.#arrivals.splice(0)) arrived();
    });
  }

  say(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** The n-th message of a type; waits for it. */
  async heard<T extends NodeMessage['type']>(type: T, n = 1): Promise<Sent<T>> {
    for (;;) {
      const found = this.messages.filter((one): one is Sent<T> => one.type === type)[n - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#arrivals.push(resolve));
    }
  }

  async welcome(change: Record<string, unknown> = {}): Promise<Sent<'hello'>> {
    const hello = await this.heard('hello');
    this.say({
      type: 'welcome',
      session_id: 'ses_000000000001',
      server_time: '2026-11-20T08:00:00.000Z',
      heartbeat_interval_ms: 60_000,
      events_through: 0,
      commands: [],
      ...change,
    });
    return hello;
  }

  async closed(): Promise<number> {
    if (this.socket.readyState === this.socket.CLOSED) return 0;
    const [code] = (await once(this.socket, 'close')) as [number];
    return code;
  }
}

/** The wire side of a manager, and nothing else: takes sockets, checks tokens and every frame. */
class WireManager {
  readonly peers: Peer[] = [];
  readonly tokens: string[] = [];
  readonly #http: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true });
  /** An HTTP answer instead of an upgrade, once. */
  refusal: string | null = null;
  readonly #waiting: (() => void)[] = [];

  constructor() {
    this.#http = createServer();
    this.#http.on('upgrade', (request: IncomingMessage, stream, head) => {
      expect(request.url).toBe(LINK_PATH);
      expect(request.headers['sec-websocket-protocol']).toBe(SUBPROTOCOL);
      expect(request.headers['sec-websocket-extensions']).toBeUndefined();
      const token = (request.headers.authorization ?? '').replace('Bearer ', '');
      const expected = { key: publicKey, origin: this.url, nowMs: Date.now() };
      expect(verifyNodeToken(token, expected).ok).toBe(true);
      this.tokens.push(token);
      if (this.refusal !== null) {
        stream.end(this.refusal);
        this.refusal = null;
        return;
      }
      this.#sockets.handleUpgrade(request, stream, head, (socket) => {
        this.peers.push(new Peer(socket));
        for (const came of this.#waiting.splice(0)) came();
      });
    });
  }

  async start(): Promise<void> {
    this.#http.listen(0, '127.0.0.1');
    await once(this.#http, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async peer(n = 1): Promise<Peer> {
    while (this.peers.length < n) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.peers[n - 1] as Peer;
  }

  async stop(): Promise<void> {
    for (const { socket } of this.peers) socket.terminate();
    this.#http.closeAllConnections();
    this.#http.close();
    await once(this.#http, 'close');
  }
}

let folder: string;
let manager: WireManager;
let spool: Spool;
let link: Link;
let said: { message: string; fields: Record<string, unknown> }[];
let commands: IncomingCommand[];
let permits: string[];
let answer: LinkOptions['onCommand'];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-link-'));
  manager = new WireManager();
  await manager.start();
  spool = await Spool.open(join(folder, 'spool'), { bytesMax: 40_000, segmentBytesMax: 2_000 });
  said = [];
  commands = [];
  permits = [];
  answer = ({ command_id }) => Promise.resolve({ type: 'ack', command_id, result: 'accepted' });
  link = makeLink();
});
afterEach(async () => {
  await link.stop('shutdown');
  await spool.close();
  await manager.stop();
  rmSync(folder, { recursive: true, force: true });
});

const makeLink = (change: Partial<LinkOptions> = {}): Link =>
  new Link({
    manager: manager.url,
    nodeId: NODE_ID,
    key: privateKey,
    spool,
    hello: () =>
      Promise.resolve({
        agent_version: '0.1.0',
        boot_id: 'boot-1',
        host: {
          os: 'linux',
          arch: 'x64',
          hostname: 'edge-01',
          kernel: '6.12.9',
          memory_bytes: 1,
          labels: {},
        },
        services: [],
        capabilities: ['upgrade'],
        policy_digest: '',
      }),
    health: () => Promise.resolve({ services: [], disk_free_bytes: 1 }),
    onCommand: (command) => {
      commands.push(command);
      return answer(command);
    },
    onPermit: (commandId, leaseMs) => permits.push(`${commandId} ${leaseMs}`),
    onPermitDenied: (commandId, retryMs, reason) =>
      permits.push(`${commandId} ${retryMs} ${reason}`),
    clock: { now: () => Date.now(), monotonicMs: () => performance.now() },
    random: () => 0.5,
    log: (message, fields = {}) => said.push({ message, fields }),
    timing: { reconnectBaseMs: 4, answerTimeoutMs: 300 },
    ...change,
  });

const anEvent = (id: string, message = id): { id: string; event: SpoolEvent } => ({
  id,
  event: {
    at: '2026-11-20T08:00:00.000Z',
    type: 'upgrade_started',
    category: 'upgrade',
    severity: 'info',
    service: 'edge',
    command_id: null,
    message,
    details: {},
  },
});
const report = async (...ids: string[]): Promise<void> => {
  await spool.append(ids.map((id) => anEvent(id)));
  link.pump();
};
const ack = (through: number): unknown => ({ type: 'events_ack', spool_id: spool.id, through });
const textsOf = (batch: Sent<'events'>): string[] => batch.events.map((event) => event.message);
const aCommand = (id: string): IncomingCommand => ({
  command_id: id,
  generation: 1,
  action: 'upgrade_binary',
});
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(5);
}

describe('the link of a node', () => {
  it('says hello first, takes welcome, and answers the open commands', async () => {
    link.start();
    const peer = await manager.peer();
    const hello = await peer.welcome({
      commands: [aCommand('cmd_000001'), aCommand('cmd_000002')],
    });
    expect(hello.spool).toEqual({ id: spool.id, first_seq: 1, next_seq: 1 });
    expect(hello.last_session).toBeNull();
    await peer.heard('ack', 2);
    expect(peer.messages.map((message) => message.type)).toEqual(['hello', 'ack', 'ack']);
    expect(commands.map((command) => command.command_id)).toEqual(['cmd_000001', 'cmd_000002']);
  });

  it('sends nothing but hello before welcome, and gives up waiting for it', async () => {
    link.start();
    await report('a');
    expect(link.askPermit({ command_id: 'cmd_000001', service: 'edge', version: '1.0.0' })).toBe(
      false,
    );
    const first = await manager.peer();
    first.say({ type: 'command', command: aCommand('cmd_000001') });
    first.say({ type: 'permit', command_id: 'cmd_000001', lease_ms: 1_000 });
    const second = await manager.peer(2);
    expect(first.messages.map((message) => message.type)).toEqual(['hello']);
    expect([commands, permits]).toEqual([[], []]);
    await second.welcome();
    expect(textsOf(await second.heard('events'))).toEqual(['a']);
  });

  it('makes a new token for every try and tells the session before it', async () => {
    link.start();
    const first = await manager.peer();
    await first.welcome();
    first.socket.close(1001);
    const second = await manager.peer(2);
    expect((await second.welcome()).last_session).toBe('ses_000000000001');
    expect(new Set(manager.tokens).size).toBe(2);
  });

  it('sends events in order, one batch in flight, and goes on when they are acknowledged', async () => {
    link.start();
    const peer = await manager.peer();
    await peer.welcome();
    await report('a', 'b');
    expect((await peer.heard('events')).events.map((event) => event.seq)).toEqual([1, 2]);
    await report('c');
    await sleep(50);
    expect(peer.messages.filter((message) => message.type === 'events')).toHaveLength(1);
    peer.say(ack(2));
    expect(textsOf(await peer.heard('events', 2))).toEqual(['c']);
    peer.say(ack(3));
    await until(() => spool.backlog === 0);
  });

  it('splits a backlog into batches of at most a hundred events and 64 KiB', async () => {
    await spool.append(Array.from({ length: 60 }, (_, i) => anEvent(`s${i}`)));
    await spool.append(
      Array.from({ length: 30 }, (_, i) => anEvent(`l${i}`, '\u0001'.repeat(100))),
    );
    link.start();
    const peer = await manager.peer();
    await peer.welcome();
    const seqs: number[] = [];
    for (let n = 1; seqs.length < 90; n += 1) {
      const batch = await peer.heard('events', n);
      expect(batch.events.length).toBeLessThanOrEqual(100);
      seqs.push(...batch.events.map((event) => event.seq));
      peer.say(ack(seqs.length));
    }
    expect(seqs).toEqual(Array.from({ length: 90 }, (_, i) => i + 1));
  });

  it('sends again, under the same numbers, what was received but never acknowledged', async () => {
    link.start();
    const first = await manager.peer();
    await first.welcome();
    await report('a', 'b');
    const before = await first.heard('events');
    first.socket.terminate();
    const second = await manager.peer(2);
    await second.welcome({ events_through: 0 });
    expect(await second.heard('events')).toEqual(before);
  });

  it('does not send again what welcome says is stored', async () => {
    await spool.append([anEvent('a'), anEvent('b'), anEvent('c')]);
    link.start();
    const peer = await manager.peer();
    await peer.welcome({ events_through: 2 });
    expect(textsOf(await peer.heard('events'))).toEqual(['c']);
    expect(spool.firstSeq).toBe(3);
  });

  it('ignores acknowledgements of another spool and of events that it never sent', async () => {
    link.start();
    const peer = await manager.peer();
    await peer.welcome();
    await report('a');
    await peer.heard('events');
    peer.say({ type: 'events_ack', spool_id: 'spl_somebodyelse', through: 1 });
    peer.say(ack(9));
    await until(() => said.some(({ message }) => message.includes('never sent')));
    expect(spool.backlog).toBe(1);
    peer.say(ack(1));
    await until(() => spool.backlog === 0);
  });

  it('says hello again with a higher first_seq when the next event is gone', async () => {
    await spool.close();
    rmSync(join(folder, 'spool'), { recursive: true });
    spool = await Spool.open(join(folder, 'spool'), { bytesMax: 6_000, segmentBytesMax: 1_000 });
    link = makeLink();
    await spool.append([
      { ...anEvent('first'), event: { ...anEvent('first').event, severity: 'critical' } },
    ]);
    for (let i = 0; i < 60; i += 1) await spool.append([anEvent(`e${i}`)]);
    expect(spool.dropped).toBeGreaterThan(0);
    link.start();
    const first = await manager.peer();
    expect((await first.welcome()).spool.first_seq).toBe(1);
    expect(textsOf(await first.heard('events'))).toEqual(['first']);
    first.say(ack(1));
    await first.heard('goodbye');
    const second = await manager.peer(2);
    const { first_seq } = (await second.welcome({ events_through: spool.firstSeq - 1 })).spool;
    expect(first_seq).toBe(spool.firstSeq);
    expect(first_seq).toBeGreaterThan(2);
    expect((await second.heard('events')).events[0]?.seq).toBe(first_seq);
  });

  it('begins its spool anew when the manager holds numbers that it never gave', async () => {
    const { id } = spool;
    let toldTimes = 0;
    link = makeLink({ onSetBack: () => Promise.resolve(void (toldTimes += 1)) });
    await report('a');
    link.start();
    await (await manager.peer()).welcome({ events_through: 7 });
    const second = await manager.peer(2);
    const hello = await second.welcome();
    expect(hello.spool.id).not.toBe(id);
    expect(textsOf(await second.heard('events'))).toEqual(['a']);
    expect(toldTimes).toBe(1);
  });

  it('gives a repeated command to the updater again and sends its answer', async () => {
    answer = ({ command_id }) =>
      Promise.resolve({
        type: 'ack',
        command_id,
        result: commands.length > 1 ? 'duplicate' : 'accepted',
      });
    link.start();
    const peer = await manager.peer();
    await peer.welcome();
    peer.say({ type: 'command', command: aCommand('cmd_000001') });
    peer.say({ type: 'command', command: aCommand('cmd_000001') });
    expect((await peer.heard('ack')).result).toBe('accepted');
    expect((await peer.heard('ack', 2)).result).toBe('duplicate');
  });

  it('does not answer a command that failed, and lives on', async () => {
    answer = () => Promise.reject(new Error('disk full'));
    link.start();
    const peer = await manager.peer();
    await peer.welcome({ commands: [aCommand('cmd_000001')] });
    await until(() => said.some(({ message }) => message === 'a command failed'));
    answer = ({ command_id }) =>
      Promise.resolve({
        type: 'reject',
        command_id,
        error_code: 'command_unknown_service',
        message: '',
      });
    peer.say({ type: 'command', command: aCommand('cmd_000002') });
    expect((await peer.heard('reject')).command_id).toBe('cmd_000002');
  });

  it('asks for permits and hands the answers on', async () => {
    link.start();
    const peer = await manager.peer();
    await peer.welcome();
    await until(() =>
      link.askPermit({ command_id: 'cmd_000001', service: 'edge', version: '1.0.0' }),
    );
    expect((await peer.heard('permit_request')).version).toBe('1.0.0');
    peer.say({ type: 'permit', command_id: 'cmd_000001', lease_ms: 900 });
    peer.say({
      type: 'permit_denied',
      command_id: 'cmd_000001',
      reason: 'paused',
      retry_after_ms: 700,
    });
    await until(() => permits.length === 2);
    expect(permits).toEqual(['cmd_000001 900', 'cmd_000001 700 paused']);
  });

  it('tells its health at the interval that the manager chose', async () => {
    link.start();
    const peer = await manager.peer();
    await peer.welcome({ heartbeat_interval_ms: 100 });
    expect((await peer.heard('health', 3)).spool_backlog).toBe(0);
  });

  it('takes a manager that answers nothing for gone, and connects anew', async () => {
    link.start();
    const first = await manager.peer();
    // Half open: the bytes are taken, nothing comes back, not even a pong.
    await first.welcome({ heartbeat_interval_ms: 100 });
    (first.socket as unknown as { _socket: { pause(): void } })._socket.pause();
    await manager.peer(2);
    const lost = said.find(({ fields }) => fields['error_code'] === 'heartbeat_lost');
    expect(lost?.message).toContain('three');
    expect(HEARTBEATS_MISSED_MAX).toBe(3);
  });

  it('stays connected to a manager that only answers pings', async () => {
    link.start();
    const first = await manager.peer();
    await first.welcome({ heartbeat_interval_ms: 100 });
    await first.heard('health', 8);
    expect(manager.peers).toHaveLength(1);
  });

  it('comes back when it was told to, and no earlier', async () => {
    link.start();
    const first = await manager.peer();
    await first.welcome();
    first.say({ type: 'reconnect', after_ms: 150, reason: 'drain' });
    expect((await first.heard('goodbye')).reason).toBe('restart');
    await manager.peer(2);
    const closed = said.find(({ message }) => message === 'the link is closed');
    expect(closed?.fields['next_try_ms']).toBe(150);
  });

  it('says goodbye when it stops, and does not come back', async () => {
    link.start();
    const peer = await manager.peer();
    await peer.welcome();
    await until(() =>
      link.askPermit({ command_id: 'cmd_000001', service: 'edge', version: '1.0.0' }),
    );
    await link.stop('shutdown');
    expect((await peer.heard('goodbye')).reason).toBe('shutdown');
    await sleep(50);
    expect(manager.peers).toHaveLength(1);
  });

  it('logs why an upgrade was refused and waits as long as it was asked to', async () => {
    const body = JSON.stringify({ code: 'jwt_expired', detail: 'node token is expired' });
    manager.refusal =
      'HTTP/1.1 401 Unauthorized\r\nRetry-After: 1\r\nConnection: close\r\n' +
      `Content-Length: ${body.length}\r\n\r\n${body}`;
    link.start();
    await until(() => said.some(({ message }) => message === 'the link is closed'));
    expect(said[0]?.fields).toEqual({
      status: 401,
      error_code: 'jwt_expired',
      detail: 'node token is expired',
    });
    expect(said[1]?.fields['next_try_ms']).toBe(1_000);
  });

  for (const [reason, code] of Object.entries(CLOSE)) {
    const isRevoked = reason === 'revoked';
    it(`${isRevoked ? 'waits an hour' : 'comes back'} after the close code ${reason}`, async () => {
      link.start();
      const first = await manager.peer();
      await first.welcome();
      await sleep(5);
      first.socket.close(code, reason);
      await until(() => said.some(({ message }) => message === 'the link is closed'));
      const closed = said.find(({ message }) => message === 'the link is closed');
      expect(closed?.fields['code']).toBe(code);
      if (isRevoked) expect(closed?.fields['next_try_ms']).toBeGreaterThanOrEqual(3_600_000);
      else await manager.peer(2);
    });
  }
});

describe('a manager that misbehaves', () => {
  const HOSTILE: Record<string, unknown> = {
    'that is not JSON': '{"type":"welcome"',
    'that is empty': '',
    'that is null': 'null',
    'that is an array': [],
    'that is a number': '1e999',
    'of an unknown type': { type: 'reboot' },
    'whose type is an object': { type: { toString: 'x' } },
    'that lacks a field': { type: 'permit', command_id: 'cmd_000001' },
    'with a wrong id': { type: 'permit', command_id: '../../etc', lease_ms: 1_000 },
    'with a lease of a year': {
      type: 'permit',
      command_id: 'cmd_000001',
      lease_ms: 31_536_000_000,
    },
    'with a heartbeat of nothing': { type: 'welcome', heartbeat_interval_ms: 0 },
    'that names prototypes':
      '{"type":"permit","__proto__":{"lease_ms":1},"command_id":"cmd_000001"}',
    'nested very deeply': '['.repeat(50_000),
    'with a negative wait': { type: 'reconnect', after_ms: -1, reason: 'x' },
    'that is a second welcome': {
      type: 'welcome',
      session_id: 'ses_000000000002',
      server_time: '2026-11-20T08:00:00.000Z',
      heartbeat_interval_ms: 100,
      events_through: 0,
      commands: [],
    },
  };
  for (const [name, frame] of Object.entries(HOSTILE)) {
    it(`ignores a frame ${name} and lives on`, async () => {
      link.start();
      const peer = await manager.peer();
      peer.say(frame === HOSTILE['that is a second welcome'] ? '{}' : frame);
      await peer.welcome();
      peer.say(frame);
      peer.say({ type: 'command', command: aCommand('cmd_000009') });
      expect((await peer.heard('ack')).command_id).toBe('cmd_000009');
      expect(permits).toEqual([]);
      expect(manager.peers).toHaveLength(1);
    });
  }

  it('ignores binary frames', async () => {
    link.start();
    const peer = await manager.peer();
    await peer.welcome();
    peer.socket.send(Buffer.from('{}'), { binary: true });
    await until(() => said.some(({ fields }) => fields['error_code'] === 'frame_binary'));
    peer.say({ type: 'command', command: aCommand('cmd_000009') });
    await peer.heard('ack');
  });

  it('refuses a frame above the limit by closing, and comes back', async () => {
    link.start();
    const first = await manager.peer();
    await first.welcome();
    const closed = first.closed();
    first.say('x'.repeat(MANAGER_FRAME_BYTES_MAX + 1));
    expect(await closed).toBe(CLOSE.frame_too_large);
    await manager.peer(2);
  });

  it('answers a flood of commands only as far as it can', async () => {
    const gate = Promise.withResolvers<undefined>();
    answer = async ({ command_id }) => {
      await gate.promise;
      return { type: 'ack', command_id, result: 'accepted' };
    };
    link.start();
    const peer = await manager.peer();
    await peer.welcome();
    for (let i = 0; i < 300; i += 1) {
      peer.say({ type: 'command', command: aCommand(`cmd_${String(i).padStart(6, '0')}`) });
    }
    await until(() => said.some(({ message }) => message.startsWith('too many commands')));
    gate.resolve(undefined);
    await peer.heard('ack', 256);
    expect(commands).toHaveLength(256);
  });

  it('lives through answers that are not HTTP, and through a closed door', async () => {
    manager.refusal = `garbage ${randomUUID()}\r\n\r\n`;
    link.start();
    const peer = await manager.peer();
    await peer.welcome();
    expect(said.some(({ message }) => message === 'link error')).toBe(true);
  });
});
