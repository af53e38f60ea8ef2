import { randomUUID, type KeyObject } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import { MANIFEST_BYTES_MAX, SIGNATURE_BYTES_MAX } from '../../core/release/index.js';
import { BLOB_PATH, makeNodeToken, RELEASE_PATH } from '../../protocol/node/index.js';
import { problemWithUrl } from '../safe-url.js';
import type { Fetcher } from '../updater/index.js';

/** Sixteen signatures of the largest size: as many as a release can be published with. */
const SIGNATURES_BYTES_MAX = 16 * SIGNATURE_BYTES_MAX;
/** For the head of an answer, and for small answers as a whole. */
const ANSWER_TIMEOUT_MS = 30_000;
const Signatures = z.array(z.string().max(SIGNATURE_BYTES_MAX)).max(32);

export interface FetcherOptions {
  readonly manager: string;
  readonly nodeId: string;
  readonly key: KeyObject;
  readonly allowPlaintext: boolean;
  /** Base addresses that the local policy of the service allows besides the manager. */
  readonly allowedSources: () => Promise<readonly string[]>;
  readonly now: () => number;
  /** For specs; `ANSWER_TIMEOUT_MS` when not given. */
  readonly answerTimeoutMs?: number;
}

const network = (message: string, cause?: unknown): FleetError =>
  new FleetError('upgrade_network_error', message, { kind: 'operational', cause });
const refused = (message: string): FleetError => new FleetError('upgrade_url_invalid', message);

interface Asking {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Releases over HTTP: from the manager, or from sources that both the command names and the local
 * policy allows, tried in their order. A source has the same tree of paths as the manager. Redirects
 * are not followed: they would lead past that check. What comes is not trusted, only bounded;
 * signature and digest are for the updater. Throws FleetError `upgrade_network_error`,
 * `upgrade_url_invalid`, `upgrade_manifest_invalid`, `upgrade_signature_invalid`.
 */
export class HttpFetcher implements Fetcher {
  readonly #options: FetcherOptions;
  readonly #origin: string;

  constructor(options: FetcherOptions) {
    this.#options = options;
    this.#origin = new URL(options.manager).origin;
  }

  async fetchRelease(
    wanted: Parameters<Fetcher['fetchRelease']>[0],
  ): ReturnType<Fetcher['fetchRelease']> {
    const { product, version, channel, signal } = wanted;
    const path = [product, version, channel].map(encodeURIComponent).join('/');
    return this.#fromEach(wanted.sources, async (base) => {
      const folder = `${base}${RELEASE_PATH}/${path}`;
      const manifest = await this.#whole(`${folder}/manifest.json`, {
        bytesMax: MANIFEST_BYTES_MAX,
        code: 'upgrade_manifest_invalid',
        signal,
      });
      const list = await this.#whole(`${folder}/signatures.json`, {
        bytesMax: SIGNATURES_BYTES_MAX,
        code: 'upgrade_signature_invalid',
        signal,
      });
      return { manifest, signatures: parseSignatures(list) };
    });
  }

  async openArtifact(
    wanted: Parameters<Fetcher['openArtifact']>[0],
  ): ReturnType<Fetcher['openArtifact']> {
    const { sha256, offset, signal } = wanted;
    return this.#fromEach(wanted.sources, async (base) => {
      const url = `${base}${BLOB_PATH}/${sha256}`;
      const headers: Record<string, string> = {};
      if (offset > 0) headers['range'] = `bytes=${offset}-`;
      const response = await this.#ask(url, { headers, signal });
      if (response.statusCode === 200) return { stream: response, from: 0 };
      const start = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '')?.[1];
      if (offset > 0 && Number(start) === offset) return { stream: response, from: offset };
      response.destroy();
      throw network(`${url} answered another range than asked for`);
    });
  }

  /** The first source that answers; the error of the last when none does. */
  async #fromEach<T>(
    sources: readonly string[],
    fetchFrom: (base: string) => Promise<T>,
  ): Promise<T> {
    const bases = await this.#bases(sources);
    let last: unknown;
    for (const base of bases) {
      try {
        return await fetchFrom(base);
      } catch (error) {
        const mayPass = error instanceof FleetError && error.code === 'upgrade_network_error';
        if (!mayPass) throw error;
        last = error;
      }
    }
    throw last;
  }

  /** One address that is not allowed refuses all: a command that names it is not from a friend. */
  async #bases(sources: readonly string[]): Promise<readonly string[]> {
    if (sources.length === 0) return [this.#origin];
    const allowed = new Set([this.#origin]);
    for (const source of await this.#options.allowedSources()) {
      if (URL.canParse(source)) allowed.add(new URL(source).origin);
    }
    return sources.map((source) => {
      const problem = problemWithUrl(source, this.#options.allowPlaintext);
      if (problem !== null) throw refused(problem);
      const { origin, pathname, search, hash } = new URL(source);
      if (!allowed.has(origin)) throw refused(`${origin} is not a source of the local policy`);
      if (search !== '' || hash !== '') throw refused(`${source}: a base address has no query`);
      // The manager has one tree only; a path here would be a way around its routes.
      return origin === this.#origin ? origin : `${origin}${pathname.replace(/\/+$/, '')}`;
    });
  }

  async #whole(
    url: string,
    limit: { readonly bytesMax: number; readonly code: string; readonly signal: AbortSignal },
  ): Promise<Buffer> {
    const timeoutMs = this.#options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
    const signal = AbortSignal.any([limit.signal, AbortSignal.timeout(timeoutMs)]);
    const response = await this.#ask(url, { headers: {}, signal });
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > limit.bytesMax) break;
        chunks.push(chunk);
      }
    } catch (error) {
      throw network(`${url} broke off`, error);
    }
    if (length > limit.bytesMax) {
      throw new FleetError(limit.code, `${url} is larger than ${limit.bytesMax} bytes`);
    }
    return Buffer.concat(chunks);
  }

  #headersFor(url: string): Record<string, string> {
    // Bytes as they are stored: a digest is over them, and nothing may unpack to more.
    const headers = { 'accept-encoding': 'identity' };
    // The token is for the manager; a mirror must never see it.
    if (new URL(url).origin !== this.#origin) return headers;
    const { nodeId, key, now } = this.#options;
    const wanted = { nodeId, origin: this.#origin, key, nowMs: now(), jti: randomUUID() };
    return { ...headers, authorization: `Bearer ${makeNodeToken(wanted)}` };
  }

  /** Resolves with an answer of 200 or 206, its body unread. */
  #ask(url: string, { headers, signal }: Asking): Promise<IncomingMessage> {
    const all = { ...this.#headersFor(url), ...headers };
    const ask = url.startsWith('https:') ? httpsRequest : httpRequest;
    const timeoutMs = this.#options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const asking = ask(url, { headers: all, signal, agent: false }, (response) => {
        clearTimeout(timer);
        const problem = problemOf(url, response, all);
        if (problem === null) {
          resolve(response);
          return;
        }
        response.destroy();
        reject(problem);
      });
      // Until the head is there; the body is watched by who reads it.
      const timer = setTimeout(() => {
        asking.destroy(network(`${url} did not answer in time`));
      }, timeoutMs);
      asking.on('error', (error) => {
        clearTimeout(timer);
        reject(error instanceof FleetError ? error : network(`${url} cannot be reached`, error));
      });
      asking.end();
    });
  }
}

function problemOf(
  url: string,
  response: IncomingMessage,
  asked: Readonly<Record<string, string>>,
): FleetError | null {
  const status = response.statusCode ?? 0;
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') return network(`${url} answered in the encoding ${encoding}`);
  if (status === 200 || (status === 206 && asked['range'] !== undefined)) return null;
  if (status >= 300 && status < 400) {
    return refused(`${url} redirects; redirects are not followed`);
  }
  if (status === 401) {
    return network(`${url} answered 401: the manager does not accept the token of this node`);
  }
  return network(`${url} answered ${status}`);
}

function parseSignatures(bytes: Buffer): readonly string[] {
  try {
    return Signatures.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    throw new FleetError('upgrade_signature_invalid', 'the signatures are not a list of texts');
  }
}
