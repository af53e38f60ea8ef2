import { randomUUID } from 'node:crypto';
import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { INestApplicationContext, WebSocketAdapter } from '@nestjs/common';
import type { Logger } from 'pino';
import { WebSocketServer, type WebSocket } from 'ws';
import { FleetError, invariant } from '../../core/kernel/index.js';
import { ERRORS, isErrorCode, type ErrorCode } from '../../protocol/index.js';
import { LINK_PATH, NODE_FRAME_BYTES_MAX, SUBPROTOCOL } from '../../protocol/node/index.js';
import { CONFIG, LOGGER, TrustedProxies, type Config } from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import { Doors, type Door, type Knock } from './doors.js';
import { Links } from './links.js';
import { FrontDoor, type Place } from './front-door.js';
import { NodeAuthenticator } from './node-authenticator.js';
import type { NodeIdentity } from './ports.js';

/** Of a manager that stops, or is without its database. */
const RETRY_AFTER_SECONDS = 5;

/** What is wrong with who calls, not with how. */
const ERRORS_OF_SIGN_IN: Readonly<Partial<Record<string, true>>> = {
  unauthenticated: true,
  jwt_invalid: true,
  jwt_expired: true,
  jwt_wrong_audience: true,
  jwt_replayed: true,
};

/** A connection at the door: its upgrade was let through, who it is is known. */
export interface Admission<Who = NodeIdentity> {
  readonly socket: WebSocket;
  readonly who: Who;
  /** Of a node. */
  readonly place: Place | null;
}

/** Not a closure: it lives as long as the link, and would keep the whole request of the upgrade with it. */
function endItself(this: Duplex): void {
  this.destroy();
}

interface Entrance {
  readonly server: WebSocketServer;
  readonly door: Door;
}

/**
 * Our adapter between `@nestjs/websockets` and `ws` (DESIGN 3.7). It authenticates in the HTTP
 * upgrade, so an unknown peer gets a plain 401 and never a WebSocket; it hands the gateway each
 * socket with its identity; and it binds no per-message handlers: the Session reads its own socket.
 */
export class LinkAdapter implements WebSocketAdapter<WebSocketServer, WebSocket> {
  readonly #http: Server;
  readonly #links: Links;
  readonly #authenticator: NodeAuthenticator;
  readonly #doors: Doors;
  readonly #front: FrontDoor;
  readonly #entrances = new Map<string, Entrance>();
  readonly #proxies: TrustedProxies;
  readonly #log: Logger;

  constructor(app: INestApplicationContext, http: Server) {
    this.#http = http;
    this.#links = app.get(Links);
    this.#authenticator = app.get(NodeAuthenticator);
    this.#doors = app.get(Doors);
    this.#front = app.get(FrontDoor);
    this.#proxies = new TrustedProxies(app.get<Config>(CONFIG).trustedProxies);
    this.#log = app.get<Logger>(LOGGER);
  }

  /** One server a path, without a port of its own; all share the one of the HTTP server. */
  create(_port: number, options: { readonly path?: string } = {}): WebSocketServer {
    const path = options.path ?? LINK_PATH;
    const door = path === LINK_PATH ? this.#linkDoor() : this.#doors.find(path);
    invariant(door !== null, `no module registered a door at ${path}`);
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: door.frameBytesMax,
      // Compression costs tens of KiB a socket and buys little on frames this small.
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has(door.subprotocol) ? door.subprotocol : false),
    });
    if (this.#entrances.size === 0) this.#listen();
    this.#entrances.set(path, { server, door });
    return server;
  }

  #listen(): void {
    this.#http.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
      stream.on('error', endItself);
      const { headers, socket } = request;
      const ip = this.#proxies.addressOf(socket.remoteAddress, headers['x-forwarded-for']);
      const knock: Knock = { request, ip, requestId: randomUUID() };
      this.#admit(knock, stream)
        .then(({ server, who, place }) => {
          // Whoever hangs up, or asks for what is no WebSocket, gives its place back.
          const leave = (): void => place?.lost();
          if (stream.destroyed) {
            leave();
            return;
          }
          stream.once('close', leave);
          place?.pause();
          server.handleUpgrade(request, stream, head, (opened) => {
            stream.off('close', leave);
            server.emit('connection', { socket: opened, who, place } satisfies Admission<unknown>);
          });
        })
        .catch((error: unknown) => {
          this.#turnAway(stream, knock.requestId, error);
        });
    });
  }

  bindClientConnect(server: WebSocketServer, callback: (admission: Admission) => void): void {
    server.on('connection', callback as never);
  }

  bindMessageHandlers(): void {
    // The Session reads its socket by itself: see above.
  }

  close(server: WebSocketServer): void {
    server.close();
  }

  dispose(): void {
    // Sockets are ended by `Links.drain`, which also waits until that is recorded.
  }

  async #admit(
    knock: Knock,
    stream: Duplex,
  ): Promise<Omit<Admission<unknown>, 'socket'> & { readonly server: WebSocketServer }> {
    const { headers, url } = knock.request;
    const path = (url ?? '').split('?', 1)[0] ?? '';
    const entrance = this.#entrances.get(path);
    if (entrance === undefined) throw new FleetError('not_found', `nothing upgrades at ${path}`);
    if (this.#links.draining) throw new FleetError('unavailable', 'the manager is stopping');
    const { door, server } = entrance;
    const offered = (headers['sec-websocket-protocol'] ?? '').split(/\s*,\s*/);
    if (!offered.includes(door.subprotocol)) {
      throw new FleetError('invalid_request', `${path} speaks subprotocol ${door.subprotocol}`);
    }
    if (path !== LINK_PATH) return { server, who: await door.admit(knock), place: null };
    const place = await this.#placeFor(knock, stream);
    try {
      const who = (await door.admit(knock)) as NodeIdentity;
      this.#links.requireUncontested(who.nodeId);
      return { server, who, place };
    } catch (error) {
      place.lost();
      throw error;
    }
  }

  /** Before anything is checked or read. Throws `manager_busy`. */
  async #placeFor({ request }: Knock, stream: Duplex): Promise<Place> {
    const gone = new AbortController();
    const leave = (): void => {
      gone.abort();
    };
    stream.once('close', leave);
    try {
      return await this.#front.enter(
        () => NodeAuthenticator.claimOf(request.headers.authorization),
        gone.signal,
      );
    } finally {
      stream.off('close', leave);
    }
  }

  #linkDoor(): Door {
    return {
      subprotocol: SUBPROTOCOL,
      frameBytesMax: NODE_FRAME_BYTES_MAX,
      admit: async (knock) => {
        try {
          return await this.#authenticator.authenticate(knock.request.headers.authorization);
        } catch (error) {
          await this.#record(knock, error);
          throw error;
        }
      },
    };
  }

  /** A wrong credential is audited before it is answered. Never rejects: it is refused anyway. */
  async #record({ request, ip, requestId }: Knock, error: unknown): Promise<void> {
    if (!(error instanceof FleetError) || ERRORS_OF_SIGN_IN[error.code] !== true) return;
    if (request.headers.authorization === undefined) return;
    const userAgent = request.headers['user-agent'] ?? '';
    try {
      await this.#links.refusals?.refused({ ip, userAgent, requestId, error });
    } catch (problem) {
      this.#log.error({ err: problem }, 'a refused link could not be audited');
    }
  }

  /** Answers in HTTP, with the same problem document as any route, and closes. */
  #turnAway(stream: Duplex, requestId: string, error: unknown): void {
    const known = error instanceof FleetError && isErrorCode(error.code);
    const code: ErrorCode = known ? error.code : 'internal_error';
    if (!known) this.#log.error({ err: error }, 'upgrade failed');
    this.#links.tally('upgrade_refused');
    meters.count('bellwether_link_refusals_total', code);
    const status = ERRORS[code].http ?? 400;
    const title = STATUS_CODES[status] ?? 'Error';
    const body = JSON.stringify({
      type: `urn:bellwether:error:${code}`,
      title,
      status,
      detail: known ? error.message : ERRORS[code].meaning,
      code,
      fix: ERRORS[code].fix,
      request_id: requestId,
    });
    // In a storm there are thousands of these, and the counter has them.
    this.#log[code === 'manager_busy' ? 'debug' : 'warn']({ code }, 'link refused');
    const told = known ? error.context['retry_after_seconds'] : undefined;
    const wait = status === 503 ? RETRY_AFTER_SECONDS : null;
    const retryAfter = typeof told === 'number' ? told : wait;
    // The other half of the connection is of no use either; a peer that keeps it open would keep a file of ours.
    stream.once('finish', () => stream.destroy());
    stream.end(
      `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n` +
        `${retryAfter === null ? '' : `Retry-After: ${retryAfter}\r\n`}\r\n${body}`,
    );
  }
}
