import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import type { Logger } from 'pino';
import { CONFIG, invalidConfig, LOGGER, type Config } from '../platform/index.js';
import { CONTENT_TYPE, formatFor } from '../platform/telemetry/index.js';
import { Scrape } from './scrape.js';

/** A scraper asks in one packet. */
const REQUEST_MS_MAX = 5_000;
/** Prometheus holds one connection; a few people may look as well. */
const CONNECTIONS_MAX = 32;

/**
 * `GET /metrics` on an address of its own, where nobody is asked who he is: whoever reaches it reads
 * all numbers, and nothing else. There only when `BELLWETHER_METRICS_LISTEN` is set.
 */
@Injectable()
export class MetricsListener implements OnModuleInit, BeforeApplicationShutdown {
  #server: Server | null = null;

  constructor(
    private readonly scrape: Scrape,
    @Inject(CONFIG) private readonly config: Pick<Config, 'metricsListen'>,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  /** Where it listens; null when it is off. */
  get address(): AddressInfo | null {
    return (this.#server?.address() ?? null) as AddressInfo | null;
  }

  async onModuleInit(): Promise<void> {
    const { metricsListen: where } = this.config;
    if (where === null) return;
    const limits = { headersTimeout: REQUEST_MS_MAX, requestTimeout: REQUEST_MS_MAX };
    const server = createServer({ ...limits, maxHeaderSize: 8_192 }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        this.log.error({ err: error }, 'metrics could not be told');
        response.destroy();
      });
    });
    server.maxConnections = CONNECTIONS_MAX;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        const problem = `cannot listen on ${where.host} port ${where.port} (${error.message})`;
        reject(invalidConfig([`BELLWETHER_METRICS_LISTEN: ${problem}; take another one`], error));
      });
      server.listen({ ...where, exclusive: true }, resolve);
    });
    this.#server = server;
  }

  async beforeApplicationShutdown(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isKnown = request.url === '/metrics' && request.method === 'GET';
    if (!isKnown) {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('here is GET /metrics only\n');
      return;
    }
    const format = formatFor(request.headers.accept);
    const text = await this.scrape.text(format);
    response
      .writeHead(200, {
        'Content-Type': CONTENT_TYPE[format],
        'Cache-Control': 'no-store',
        'X-Content-Type-Options': 'nosniff',
      })
      .end(text);
  }
}
