import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';

const ANSWER_TIMEOUT_MS = 30_000;
/** A page of 500 large objects; an answer beyond it is broken off. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** A token of a ServiceAccount is written anew long before its end; reading it once a minute is often enough. */
const TOKEN_READ_MS = 60_000;

export interface KubeClientOptions {
  readonly url: string;
  /** Certificates in PEM of the API server; whom Node trusts when not given. */
  readonly ca?: string | undefined;
  /** File with the token; it is read again now and then. */
  readonly tokenFile?: string | undefined;
  readonly timeoutMs?: number | undefined;
}

export type PatchType = 'strategic-merge-patch' | 'merge-patch';
export interface Asking {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly patch?: PatchType;
  readonly signal?: AbortSignal;
}

const Status = z.looseObject({
  kind: z.literal('Status'),
  message: z.string().default(''),
  reason: z.string().default(''),
});

/** What the API server refused, with the word that it has for it. */
export class KubeError extends FleetError {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(codeOf(status), message.slice(0, 800), { kind: 'operational' });
    this.status = status;
    this.reason = reason;
  }
}
const codeOf = (status: number): string => {
  if (status === 401 || status === 403) return 'kubernetes_forbidden';
  return status === 0 || status === 429 || status >= 500
    ? 'kubernetes_unavailable'
    : 'kubernetes_refused';
};
export const isStatus = (error: unknown, ...statuses: readonly number[]): boolean =>
  error instanceof KubeError && statuses.includes(error.status);

/** Nobody knows whether it was done: there was no answer, or none of an API server that is well. */
export const isUnanswered = (error: unknown): boolean =>
  error instanceof KubeError && error.code === 'kubernetes_unavailable';

/**
 * The API server over HTTP, typed by whoever asks: answers are parsed by schemas of the callers. Tokens
 * go over https only, or to this machine. Throws KubeError: `kubernetes_forbidden` (401, 403),
 * `kubernetes_unavailable` (no answer, 429, 5xx), `kubernetes_refused` (all else: 404, 409, 410, 422).
 */
export class KubeClient {
  readonly #options: KubeClientOptions;
  readonly #agent: HttpAgent | HttpsAgent;
  #token: { readonly text: string; readonly readAtMs: number } | null = null;

  constructor(options: KubeClientOptions) {
    const url = new URL(options.url);
    const isLocal = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
    if (url.protocol !== 'https:' && !isLocal) {
      throw new FleetError('config_invalid', 'the API server must be reached by https');
    }
    this.#options = options;
    this.#agent =
      url.protocol === 'https:'
        ? new HttpsAgent({ keepAlive: true, maxSockets: 64, ca: options.ca })
        : new HttpAgent({ keepAlive: true, maxSockets: 64 });
  }

  close(): void {
    this.#agent.destroy();
  }

  async ask<T>(path: string, schema: z.ZodType<T>, asking: Asking = {}): Promise<T> {
    const response = await this.#open(path, asking);
    const text = (await wholeOf(response)).toString('utf8');
    const status = response.statusCode ?? 0;
    const json = parseJson(text);
    if (status < 200 || status >= 300) throw refusalOf(status, json);
    const parsed = schema.safeParse(json);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    const what = `${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`;
    throw new KubeError(0, 'Unreadable', `the API server did not answer as one: ${what}`);
  }

  /** An answer that goes on: lines of JSON, until it ends. */
  async *lines(path: string, asking: Asking): AsyncGenerator {
    const response = await this.#open(path, asking);
    const status = response.statusCode ?? 0;
    if (status !== 200) {
      throw refusalOf(status, parseJson((await wholeOf(response)).toString('utf8')));
    }
    let rest = '';
    response.setEncoding('utf8');
    for await (const chunk of response as AsyncIterable<string>) {
      rest += chunk;
      if (rest.length > ANSWER_BYTES_MAX) throw new KubeError(0, 'TooLarge', 'a line without end');
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') yield parseJson(line);
    }
  }

  async #open(path: string, asking: Asking): Promise<IncomingMessage> {
    const { method = 'GET', query = {}, body, patch, signal } = asking;
    const url = new URL(path, this.#options.url);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    const token = await this.#readToken();
    const bytes = body === undefined ? null : Buffer.from(JSON.stringify(body));
    const type = patch === undefined ? 'application/json' : `application/${patch}+json`;
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        reject(new KubeError(0, 'NoAnswer', `the API server cannot be reached: ${error.message}`));
      };
      const request = send(url, {
        method,
        agent: this.#agent,
        headers: {
          accept: 'application/json',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(bytes === null ? {} : { 'content-type': type, 'content-length': bytes.length }),
        },
        ...(signal === undefined ? {} : { signal }),
      });
      const timer = setTimeout(() => {
        request.destroy(new Error('no answer in time'));
      }, this.#options.timeoutMs ?? ANSWER_TIMEOUT_MS);
      request.once('error', (error) => {
        clearTimeout(timer);
        fail(error);
      });
      request.once('response', (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      request.end(bytes ?? undefined);
    });
  }

  async #readToken(): Promise<string | null> {
    const { tokenFile } = this.#options;
    if (tokenFile === undefined) return null;
    const nowMs = performance.now();
    if (this.#token === null || nowMs - this.#token.readAtMs > TOKEN_READ_MS) {
      const text = (await readFile(tokenFile, 'utf8')).trim();
      this.#token = { text, readAtMs: nowMs };
    }
    return this.#token.text;
  }
}

async function wholeOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => response.destroy(new Error('too slow')), ANSWER_TIMEOUT_MS);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > ANSWER_BYTES_MAX) throw new Error('the answer is too large');
      chunks.push(chunk);
    }
  } catch (error) {
    throw new KubeError(0, 'NoAnswer', `the API server broke off: ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks);
}

function refusalOf(status: number, json: unknown): KubeError {
  const parsed = Status.safeParse(json);
  if (parsed.success) return new KubeError(status, parsed.data.reason, parsed.data.message);
  return new KubeError(status, 'Unknown', `the API server answered ${status}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
