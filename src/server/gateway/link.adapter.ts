import { randomUUID } from 'node:crypto';
import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { INestApplicationContext, WebSocketAdapter } from '@nestjs/common';
import type { Logger } from 'pino';
import { WebSocketServer, type WebSocket } from 'ws';
import { FleetError } from '../../core/kernel/index.js';
import { ERRORS, isErrorCode, type ErrorCode } from '../../protocol/index.js';
import { LINK_PATH, NODE_FRAME_BYTES_MAX, SUBPROTOCOL } from '../../protocol/node/index.js';
import { CONFIG, LOGGER, TrustedProxies, type Config } from '../platform/index.js';
import { Links } from './links.js';
import { NodeAuthenticator } from './node-authenticator.js';
import type { NodeIdentity } from './ports.js';

/** What is wrong with who calls, not with how. */
const ERRORS_OF_SIGN_IN: Readonly<Partial<Record<string, true>>> = {
  unauthenticated: true,
  jwt_invalid: true,
  jwt_expired: true,
  jwt_wrong_audience: true,
  jwt_replayed: true,
};

/** A connection at the door: its upgrade was let through, its node is known. */
export interface Admission {
  readonly socket: WebSocket;
  readonly node: NodeIdentity;
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
  readonly #proxies: TrustedProxies;
  readonly #log: Logger;

  constructor(app: INestApplicationContext, http: Server) {
    this.#http = http;
    this.#links = app.get(Links);
    this.#authenticator = app.get(NodeAuthenticator);
    this.#proxies = new TrustedProxies(app.get<Config>(CONFIG).trustedProxies);
    this.#log = app.get<Logger>(LOGGER);
  }

  create(): WebSocketServer {
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: NODE_FRAME_BYTES_MAX,
      // Compression costs tens of KiB a socket and buys little on frames this small.
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    });
    this.#http.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
      stream.on('error', () => stream.destroy());
      this.#admit(request)
        .then((node) => {
          if (stream.destroyed) return;
          server.handleUpgrade(request, stream, head, (socket) => {
            server.emit('connection', { socket, node } satisfies Admission);
          });
        })
        .catch(async (error: unknown) => {
          const requestId = randomUUID();
          await this.#record(request, requestId, error);
          this.#turnAway(stream, requestId, error);
        });
    });
    return server;
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

  async #admit(request: IncomingMessage): Promise<NodeIdentity> {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== LINK_PATH) throw new FleetError('not_found', `nothing upgrades at ${path ?? '/'}`);
    if (this.#links.draining) throw new FleetError('unavailable', 'the manager is stopping');
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(/\s*,\s*/);
    if (!offered.includes(SUBPROTOCOL)) {
      throw new FleetError('invalid_request', `the link speaks subprotocol ${SUBPROTOCOL}`);
    }
    return this.#authenticator.authenticate(request.headers.authorization);
  }

  /** A wrong credential is audited before it is answered. Never rejects: it is refused anyway. */
  async #record(request: IncomingMessage, requestId: string, error: unknown): Promise<void> {
    if (!(error instanceof FleetError) || ERRORS_OF_SIGN_IN[error.code] !== true) return;
    if (request.headers.authorization === undefined) return;
    const { headers, socket } = request;
    const ip = this.#proxies.addressOf(socket.remoteAddress, headers['x-forwarded-for']);
    const userAgent = headers['user-agent'] ?? '';
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
    this.#log.warn({ code }, 'link refused');
    stream.end(
      `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n` +
        `${status === 503 ? 'Retry-After: 5\r\n' : ''}\r\n${body}`,
    );
  }
}
