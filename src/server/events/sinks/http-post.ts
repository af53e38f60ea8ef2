import { Agent, request, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { readRetryAfter } from '../../../core/event/index.js';
import { DeliveryError, failureOf, oneLine } from './delivery-error.js';
import { openSocket, type TlsSettings } from './guarded-socket.js';
import type { NetworkGuard } from './network-guard.js';
import { failure, type DeliveryFailure } from './sink.port.js';

/** One request with its answer; a receiver that needs longer is taken for stuck. */
export const ANSWER_TIMEOUT_MS = 30_000;
/** Of an answer so much is read; the rest is cut off with the connection. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

export interface HttpAnswer {
  readonly status: number;
  readonly retryAfterMs: number | null;
  readonly text: string;
  /** It was longer than what is read. */
  readonly isCut: boolean;
}

export interface PosterOptions {
  readonly url: string;
  readonly tls: TlsSettings;
  readonly guard: NetworkGuard;
  readonly now: () => number;
  /** ANSWER_TIMEOUT_MS when left out. */
  readonly answerMs?: number | undefined;
}

/**
 * POSTs to one origin over one connection that is kept. Each new connection resolves and checks the address
 * anew; redirects are answers like others and are never followed; times and sizes are bounded.
 */
export class HttpPoster {
  readonly #base: URL;
  readonly #agent: Agent;
  readonly #now: () => number;
  readonly #answerMs: number;

  constructor({ url, tls, guard, now, answerMs = ANSWER_TIMEOUT_MS }: PosterOptions) {
    this.#base = new URL(url);
    this.#now = now;
    this.#answerMs = answerMs;
    const { hostname, protocol } = this.#base;
    const isTls = protocol === 'https:';
    const port = Number(this.#base.port) || (isTls ? 443 : 80);
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
    this.#agent.createConnection = (_, done): undefined => {
      const signal = AbortSignal.timeout(answerMs);
      openSocket({ host: hostname, port, tls: isTls ? tls : null }, guard, signal).then(
        (socket) => {
          // HTTP is not used half open: when the receiver has closed there is no answer to wait for.
          socket.allowHalfOpen = false;
          done?.(null, socket);
        },
        (error: unknown) => done?.(error as Error, null as unknown as Duplex),
      );
      return undefined;
    };
  }

  get host(): string {
    return this.#base.host;
  }

  /**
   * Throws DeliveryError when there is no answer. `path` stands behind that of the address, or replaces its
   * end when it begins with `/`.
   */
  async post(
    asked: {
      readonly path?: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    },
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#answerMs)]);
    const once = async (): Promise<HttpAnswer> => this.#once(asked, limit);
    try {
      return await once().catch(async (error: unknown) => {
        // The receiver closed a kept connection as we took it up again: nobody's failure.
        if (error instanceof StaleConnection && !limit.aborted) return once();
        throw error;
      });
    } catch (error) {
      const { code, message, retryAfterMs, isFaultOfEvent } = failureOf(
        error instanceof StaleConnection ? error.cause : limit.aborted ? limit.reason : error,
        this.host,
      );
      throw new DeliveryError(code, message, { retryAfterMs, isFaultOfEvent });
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #once(
    asked: { path?: string; headers: Readonly<Record<string, string>>; body: string },
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const body = Buffer.from(asked.body);
    const sending = request({
      agent: this.#agent,
      method: 'POST',
      host: this.#base.hostname,
      path: asked.path ?? `${this.#base.pathname}${this.#base.search}`,
      headers: {
        host: this.#base.host,
        'user-agent': 'bellwether',
        'accept-encoding': 'identity',
        'content-length': String(body.length),
        ...asked.headers,
      },
      signal,
    });
    let isAnswered = false;
    sending.on('response', (response) => {
      isAnswered = true;
      this.#read(response).then(resolve, reject);
    });
    sending.on('error', (error: Error & { code?: string }) => {
      const isStale = sending.reusedSocket && !isAnswered && error.code === 'ECONNRESET';
      reject(
        isStale ? new StaleConnection('a kept connection was closed', { cause: error }) : error,
      );
    });
    sending.end(body);
    return promise;
  }

  async #read(response: IncomingMessage): Promise<HttpAnswer> {
    const chunks: Buffer[] = [];
    let length = 0;
    let isCut = false;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length;
      chunks.push(chunk);
      if (length > ANSWER_BYTES_MAX) {
        isCut = true;
        break;
      }
    }
    if (isCut) response.destroy();
    return {
      status: response.statusCode ?? 0,
      retryAfterMs: readRetryAfter(response.headers['retry-after'], this.#now()),
      text: Buffer.concat(chunks).toString('utf8').slice(0, ANSWER_BYTES_MAX),
      isCut,
    };
  }
}

class StaleConnection extends Error {}

/** What the receiver does not take because of what was sent, and not because of who sent it. */
const FAULTS_OF_EVENTS = [400, 413, 422];

const kindOf = (status: number): Pick<DeliveryFailure, 'code' | 'isFaultOfEvent'> => {
  const isFaultOfEvent = FAULTS_OF_EVENTS.includes(status);
  if (isFaultOfEvent) return { code: 'sink_event_refused', isFaultOfEvent };
  if (status === 429) return { code: 'sink_receiver_busy', isFaultOfEvent };
  if (status >= 300 && status < 400) return { code: 'sink_redirected', isFaultOfEvent };
  if (status === 408 || status === 425) return { code: 'sink_receiver_timeout', isFaultOfEvent };
  if (status >= 400 && status < 500) return { code: 'sink_receiver_refused', isFaultOfEvent };
  return { code: 'sink_receiver_failed', isFaultOfEvent };
};

/** What an answer means; null when the status says that all is well. */
export function failureOfAnswer(answer: HttpAnswer, host: string): DeliveryFailure | null {
  if (answer.status >= 200 && answer.status < 300) return null;
  const { code, isFaultOfEvent } = kindOf(answer.status);
  const { retryAfterMs } = answer;
  return failure(code, `${host} answered ${answer.status}`, { retryAfterMs, isFaultOfEvent });
}

/** Status and the begin of the body. */
export const saidIn = (answer: HttpAnswer): string =>
  oneLine(`${answer.status} ${answer.text.slice(0, 400)}`);
