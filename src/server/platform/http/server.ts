import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { TlsFiles } from './tls-files.js';

/** A browser or agent sends its headers at once; whoever trickles them holds a socket for nothing. */
export const HEADERS_MS_MAX = 10_000;
/** A whole request, with its body: an upload of gigabytes over a slow line, which can be gone on with. */
const REQUEST_MS_MAX = 60 * 60_000;
/**
 * A connection on which nothing moves, in either direction: a caller that does not read its answer. Held polls move
 * every 25 s, streams every 15 s; the longest silence of ours is a large upload that is being checked.
 */
export const IDLE_MS_MAX = 5 * 60_000;
/** How often those limits are looked at; so much later they may hold. */
export const LIMITS_CHECK_MS = 2_000;
/** Ours are below twenty. */
const HEADERS_MAX = 100;

/** Express on a server that bounds how slow a caller may be; with TLS when there are files for it. */
export class ManagerHttpAdapter extends ExpressAdapter {
  readonly #tls: TlsFiles | null;

  constructor(tls: TlsFiles | null) {
    super();
    this.#tls = tls;
  }

  override initHttpServer(): void {
    const limits = {
      headersTimeout: HEADERS_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      connectionsCheckingInterval: LIMITS_CHECK_MS,
    };
    const app = this.getInstance<RequestListener>();
    const server: Server | TlsServer =
      this.#tls === null
        ? createServer(limits, app)
        : createTlsServer(
            { ...limits, ...this.#tls.options, handshakeTimeout: HEADERS_MS_MAX },
            app,
          );
    server.maxHeadersCount = HEADERS_MAX;
    server.timeout = IDLE_MS_MAX;
    if (this.#tls !== null) this.#tls.follow(server as TlsServer);
    this.setHttpServer(server);
  }
}
