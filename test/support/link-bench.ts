import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer, type WebSocket } from 'ws';
import {
  LINK_PATH,
  NODE_FRAME_BYTES_MAX,
  NodeMessage,
  SUBPROTOCOL,
  verifyNodeToken,
} from '../../src/protocol/node/index.js';
import { Spool, type SpoolEvent, type SpoolOptions } from '../../src/agent/report/index.js';
import type { IncomingCommand } from '../../src/agent/link/connection.js';
import { Link, type LinkOptions } from '../../src/agent/link/link.js';

const NODE_ID = 'nod_000000000001';
const { privateKey, publicKey } = generateKeyPairSync('ed25519');

export type Sent<T extends NodeMessage['type']> = Extract<NodeMessage, { type: T }>;

/** One link as the manager sees it. */
export class Peer {
  readonly socket: WebSocket;
  readonly messages: NodeMessage[] = [];
  readonly #arrivals: (() => void)[] = [];

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary) => {
      assert.equal(isBinary, false);
      assert.ok(data.length <= NODE_FRAME_BYTES_MAX);
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
export class WireManager {
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
      assert.equal(request.url, LINK_PATH);
      assert.equal(request.headers['sec-websocket-protocol'], SUBPROTOCOL);
      assert.equal(request.headers['sec-websocket-extensions'], undefined);
      const token = (request.headers.authorization ?? '').replace('Bearer ', '');
      const expected = { key: publicKey, origin: this.url, nowMs: Date.now() };
      assert.ok(verifyNodeToken(token, expected).ok);
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

/** A real link with a real spool, against a manager that a spec plays. */
export class LinkBench {
  readonly manager = new WireManager();
  readonly folder = mkdtempSync(join(tmpdir(), 'bellwether-link-'));
  readonly said: { message: string; fields: Record<string, unknown> }[] = [];
  readonly commands: IncomingCommand[] = [];
  readonly permits: string[] = [];
  answer: LinkOptions['onCommand'] = ({ command_id }) =>
    Promise.resolve({ type: 'ack', command_id, result: 'accepted' });
  spool!: Spool;
  link!: Link;

  async open(): Promise<void> {
    await this.manager.start();
    await this.openSpool({ bytesMax: 40_000, segmentBytesMax: 2_000 });
    this.link = this.makeLink();
  }

  async openSpool(options: SpoolOptions): Promise<void> {
    this.spool = await Spool.open(join(this.folder, 'spool'), options);
  }

  async remove(): Promise<void> {
    await this.link.stop('shutdown');
    await this.spool.close();
    await this.manager.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  makeLink(change: Partial<LinkOptions> = {}): Link {
    return new Link({
      manager: this.manager.url,
      nodeId: NODE_ID,
      key: privateKey,
      spool: this.spool,
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
        this.commands.push(command);
        return this.answer(command);
      },
      onPermit: ({ command_id, ask, lease_ms }) =>
        this.permits.push(`${command_id} ${ask} ${lease_ms}`),
      onPermitDenied: ({ command_id, ask, retry_after_ms, reason }) =>
        this.permits.push(`${command_id} ${ask} ${retry_after_ms} ${reason}`),
      clock: { now: () => Date.now(), monotonicMs: () => performance.now() },
      random: () => 0.5,
      log: (message, fields = {}) => this.said.push({ message, fields }),
      timing: { reconnectBaseMs: 4, answerTimeoutMs: 300 },
      ...change,
    });
  }

  async report(...ids: string[]): Promise<void> {
    await this.spool.append(ids.map((id) => anEvent(id)));
    this.link.pump();
  }

  ack(through: number): unknown {
    return { type: 'events_ack', spool_id: this.spool.id, through };
  }
}

export const anEvent = (id: string, message = id): { id: string; event: SpoolEvent } => ({
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
export const textsOf = (batch: Sent<'events'>): string[] =>
  batch.events.map((event) => event.message);
export const aCommand = (id: string): IncomingCommand => ({
  command_id: id,
  generation: 1,
  action: 'upgrade_binary',
});
/** Asks again until it is so. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(5);
}
