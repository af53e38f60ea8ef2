import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { FleetError } from '../../core/kernel/index.js';
import type { Log } from '../../agent/parts/index.js';
import type { Pair } from './certificates.js';
import { answerTo, readReview, timeoutMsOf, type Asked, type Verdict } from './review.js';

/** Twice the largest object that the API server takes (an update has two), and room for the rest. */
export const BODY_BYTES_MAX = 8 * 1024 * 1024;
/** Reviews in hand at once. */
const REVIEWS_MAX = 64;
const CONNECTIONS_MAX = 512;
const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000;
/** An answer needs its way back: a tenth of the time, half a second at most. */
const marginMs = (timeoutMs: number): number => Math.min(500, timeoutMs / 10);

const STATUS_OF: Readonly<Record<string, number>> = {
  admission_review_invalid: 400,
  payload_too_large: 413,
  request_too_slow: 408,
  not_found: 404,
};

export interface WebhookServerOptions {
  readonly host: string;
  readonly port: number;
  /** Certificates of those who may call; everybody when not given. */
  readonly clientCa: string | undefined;
  /** Throws what it cannot decide; `untilMs` is on the clock of `performance.now`. */
  readonly decide: (asked: Asked, untilMs: number) => Promise<Verdict>;
  readonly isReady: () => Promise<boolean>;
  readonly log: Log;
}

/**
 * The door of the webhook: HTTPS, `POST /validate`, `GET /healthz`, `GET /readyz`. Every bound holds
 * before anything is parsed. What cannot be decided is no answer of a review but a status, so that
 * the API server does as `failurePolicy` says: 400 and 413 for what is no review, 503 for all else.
 */
export class WebhookServer {
  readonly #options: WebhookServerOptions;
  #server: Server | null = null;
  #inHand = 0;

  constructor(options: WebhookServerOptions) {
    this.#options = options;
  }

  /** Listens once it has a certificate; another one is taken over without a connection being cut. */
  async serve(pair: Pair): Promise<void> {
    const { clientCa } = this.#options;
    const asks = clientCa === undefined ? {} : { ca: clientCa };
    const context = { ...pair, ...asks, minVersion: 'TLSv1.2' as const };
    if (this.#server !== null) {
      this.#server.setSecureContext(context);
      return;
    }
    const needsClient = clientCa !== undefined;
    const options = { ...context, requestCert: needsClient, rejectUnauthorized: needsClient };
    const server = createServer(options, (request, response) => {
      void this.#handle(request, response);
    });
    server.headersTimeout = HEADERS_MS;
    server.requestTimeout = REQUEST_MS;
    server.maxConnections = CONNECTIONS_MAX;
    server.on('tlsClientError', () => undefined);
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#options.port, this.#options.host, resolve);
    });
  }

  get port(): number {
    return (this.#server?.address() as AddressInfo | null)?.port ?? 0;
  }

  /** What is in hand is answered; nothing new is taken. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeIdleConnections();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAtMs = performance.now();
    const url = new URL(request.url ?? '/', 'https://webhook');
    const { log, isReady } = this.#options;
    try {
      if (request.method === 'GET' && url.pathname === '/healthz') {
        reply(response, 200, { status: 'ok' });
      } else if (request.method === 'GET' && url.pathname === '/readyz') {
        const isGood = await isReady();
        reply(response, isGood ? 200 : 503, { status: isGood ? 'ok' : 'not ready' });
      } else if (request.method === 'POST' && url.pathname === '/validate') {
        const timeoutMs = timeoutMsOf(url.searchParams.get('timeout'));
        const untilMs = startedAtMs + timeoutMs - marginMs(timeoutMs);
        reply(response, 200, await this.#validate(request, untilMs));
      } else throw new FleetError('not_found', 'POST /validate, GET /healthz, GET /readyz');
    } catch (error) {
      const { code, message } =
        error instanceof FleetError ? error : { code: 'internal_error', message: String(error) };
      const status = STATUS_OF[code] ?? 503;
      if (code !== 'not_found') log('a review was not answered', { error_code: code, message });
      // What still comes of a body that nobody reads.
      if (!request.complete) response.setHeader('connection', 'close');
      reply(response, status, { code, message });
    }
  }

  async #validate(request: IncomingMessage, untilMs: number): Promise<object> {
    const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
    if (type !== 'application/json') {
      throw new FleetError('admission_review_invalid', 'a review comes as application/json');
    }
    if (this.#inHand >= REVIEWS_MAX) {
      throw new FleetError('admission_undecided', `${REVIEWS_MAX} reviews are in hand already`);
    }
    this.#inHand += 1;
    try {
      const asked = readReview(parse(await bodyOf(request, untilMs)));
      const verdict = await inTime(this.#options.decide(asked, untilMs), untilMs);
      return answerTo(asked.uid, verdict);
    } finally {
      this.#inHand -= 1;
    }
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function bodyOf(request: IncomingMessage, untilMs: number): Promise<string> {
  const tooLarge = (): FleetError =>
    new FleetError('payload_too_large', `a review has ${BODY_BYTES_MAX} bytes at most`);
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  const read = async (): Promise<void> => {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > BODY_BYTES_MAX) throw tooLarge();
      chunks.push(chunk);
    }
  };
  await inTime(read(), untilMs);
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new FleetError('admission_review_invalid', 'the body is not JSON');
  }
}

/** Throws `admission_undecided` when the time is up, and lets the work go on. */
async function inTime<T>(work: Promise<T>, untilMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  work.catch(() => undefined);
  const tooLate = new FleetError('admission_undecided', 'the time that the API server gave is up');
  const leftMs = untilMs - performance.now();
  if (leftMs <= 0) throw tooLate;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(tooLate);
    }, leftMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
