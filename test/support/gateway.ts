import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import {
  LINK_PATH,
  makeNodeToken,
  rawPublicKey,
  SUBPROTOCOL,
  type ManagerMessage,
} from '../../src/protocol/node/index.js';
import {
  FrontDoor,
  GatewayModule,
  LinkAdapter,
  Links,
  LoadWatch,
  type CommandHandler,
  type EventHandler,
} from '../../src/server/gateway/index.js';
import { loadConfig, openDatabase, PlatformModule } from '../../src/server/platform/index.js';
import { makeTempDir, silentLog } from './databases.js';
import { freePort } from './fleet.js';
import { aHello } from './node-link.js';
import { putMigratedSqlite } from './run/migrated.js';
import { secretsUnder } from './secrets.js';

export const NODE_ID = 'nod_000000000001';
export const HEARTBEAT_MS = 300;
/** Any number of other nodes, all with the key of the first. */
export const otherNode = (index: number): string => `nod_many${String(index).padStart(8, '0')}`;

/** What stands below the gateway in a manager: here a memory that a spec looks into. */
export interface Below {
  /** What the gateway told, one line each. */
  readonly log: string[];
  readonly commands: Awaited<ReturnType<CommandHandler['open']>>[number][];
  resume: EventHandler['resume'];
  ingest: EventHandler['ingest'];
  isRevoked: boolean;
  /** Whose identity was looked up. */
  readonly looks: string[];
  /** Null is the real time. */
  clockMs: number | null;
}

/** A gateway alone on a real port, with one node that may come. */
export interface TestGateway {
  readonly below: Below;
  readonly links: Links;
  readonly front: FrontDoor;
  readonly load: LoadWatch;
  readonly port: number;
  /** A token of the node, good unless it is changed. */
  token(change?: Partial<Parameters<typeof makeNodeToken>[0]>): string;
  /** Starts to open a link. */
  connect(bearer?: string, protocol?: string): WebSocket;
  /** A link that said hello and was welcomed. */
  greeted(): Promise<WebSocket>;
  /** Tries an upgrade and answers with the HTTP refusal. */
  refusal(headers: Readonly<Record<string, string>>): Promise<{ status: number; code: string }>;
  stop(): Promise<void>;
}

export async function startGateway(): Promise<TestGateway> {
  const dir = makeTempDir();
  const { privateKey: key } = generateKeyPairSync('ed25519');
  const below: Below = {
    log: [],
    commands: [],
    resume: () => Promise.resolve(7),
    ingest: () => Promise.resolve({ through: 1, error: null }),
    isRevoked: false,
    looks: [],
    clockMs: null,
  };
  // The port first: the origin of the manager is part of every token.
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const config = loadConfig({
    BELLWETHER_DATA_DIR: dir.path,
    BELLWETHER_PORT: String(port),
    BELLWETHER_HEARTBEAT_MS: String(HEARTBEAT_MS),
  });
  await putMigratedSqlite(dir.path);
  const database = await openDatabase({ url: null, dataDir: dir.path, log: silentLog });
  const clock = { now: () => below.clockMs ?? Date.now() };
  const platform = { config, database, secrets: secretsUnder(), clock, log: silentLog };
  class Root {}
  Module({ imports: [PlatformModule.on(platform), GatewayModule] })(Root);
  const app = await NestFactory.create(Root, { logger: false });
  app.useWebSocketAdapter(new LinkAdapter(app, app.getHttpServer() as never));
  const links = app.get(Links);
  register(links, below, rawPublicKey(key));
  await app.listen(port, '127.0.0.1');

  const sockets: WebSocket[] = [];
  const token: TestGateway['token'] = (change = {}) => {
    const jti = randomUUID();
    return makeNodeToken({ nodeId: NODE_ID, origin, key, nowMs: Date.now(), jti, ...change });
  };
  const connect: TestGateway['connect'] = (bearer = token(), protocol = SUBPROTOCOL) => {
    const socket = new WebSocket(`${origin.replace('http', 'ws')}${LINK_PATH}`, protocol, {
      headers: { authorization: `Bearer ${bearer}` },
    });
    sockets.push(socket);
    socket.on('error', () => undefined);
    return socket;
  };
  return {
    below,
    links,
    front: app.get(FrontDoor),
    load: app.get(LoadWatch),
    port,
    token,
    connect,
    greeted: async () => {
      const socket = connect();
      await once(socket, 'open');
      socket.send(JSON.stringify(aHello()));
      expect((await nextMessage(socket)).type).toBe('welcome');
      return socket;
    },
    refusal: (headers) => refusalOf(`${origin}${LINK_PATH}`, headers),
    stop: async () => {
      for (const socket of sockets) socket.terminate();
      try {
        await app.close();
        await database.close();
      } finally {
        dir.remove();
      }
    },
  };
}

function register(links: Links, below: Below, publicKey: string): void {
  const note = (line: string): Promise<void> => Promise.resolve(void below.log.push(line));
  links.useIdentities({
    find: (nodeId) => {
      below.looks.push(nodeId);
      const isKnown = nodeId === NODE_ID || nodeId.startsWith('nod_many');
      const node = { nodeId, groupId: 'grp_default', publicKey, revoked: below.isRevoked };
      return Promise.resolve(isKnown ? node : null);
    },
    holderOf: () => Promise.resolve(null),
  });
  links.usePresence({
    arrived: (_node, sessionId) => note(`arrived ${sessionId}`),
    health: () => void note('health'),
    left: (_node, sessionId, reason) => note(`left ${sessionId} ${reason}`),
  });
  links.useEvents({
    resume: (...given) => below.resume(...given),
    ingest: (...given) => below.ingest(...given),
  });
  links.useCommands({
    open: () => Promise.resolve(below.commands),
    acked: (_node, ack) => note(`ack ${ack.command_id}`),
    rejected: (_node, no) => note(`reject ${no.error_code}`),
    reported: () => Promise.resolve(),
    permit: () => Promise.resolve({ granted: true, leaseMs: 10_000 }),
  });
}

export async function nextMessage(socket: WebSocket): Promise<ManagerMessage> {
  const [data] = (await once(socket, 'message')) as [Buffer];
  return JSON.parse(data.toString()) as ManagerMessage;
}

export async function closeCode(socket: WebSocket): Promise<number> {
  const [code] = (await once(socket, 'close')) as [number];
  return code;
}

function refusalOf(
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ status: number; code: string }> {
  return new Promise((resolve, reject) => {
    const attempt = request(url, {
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
