import { Readable } from 'node:stream';
import { sourceFailed } from './reader.port.js';

const REDIRECTS_MAX = 5;
/** Until the head of an answer is there. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Without a byte for this long the connection is taken for dead. */
const STALL_TIMEOUT_MS = 60_000;

export interface BoundedHttpOptions {
  /** The source itself: its host may always be asked, and it alone sees the token. */
  readonly base: string;
  readonly allowedHosts: readonly string[];
  readonly token: string | null;
}

interface Asking {
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * HTTP to a source that may be broken or hostile: five redirects at most, to hosts on a list, never from
 * TLS to without; sizes and times are bounded. Throws `release_source_failed`.
 */
export class BoundedHttp {
  readonly #origin: string;
  readonly #hosts: ReadonlySet<string>;
  readonly #token: string | null;

  constructor({ base, allowedHosts, token }: BoundedHttpOptions) {
    const { origin, host } = new URL(base);
    this.#origin = origin;
    this.#hosts = new Set([host, ...allowedHosts]);
    this.#token = token;
  }

  /** Null when the answer is 304. */
  async whole(
    url: string,
    { bytesMax, ...asking }: Asking & { readonly bytesMax: number },
  ): Promise<{ readonly bytes: Buffer; readonly etag: string | null } | null> {
    const response = await this.#ask(url, asking);
    if (response.status === 304) {
      await response.body?.cancel();
      return null;
    }
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of streamOf(url, response)) {
      length += (chunk as Buffer).length;
      if (length > bytesMax) throw sourceFailed(`${url} is larger than ${bytesMax} bytes`);
      chunks.push(chunk as Buffer);
    }
    return { bytes: Buffer.concat(chunks), etag: response.headers.get('etag') };
  }

  /** The body as it comes; how much of it is read is for the caller. */
  async stream(url: string, asking: Asking): Promise<Readable> {
    return streamOf(url, await this.#ask(url, asking));
  }

  async #ask(url: string, { signal, headers = {} }: Asking): Promise<Response> {
    let at = this.#checked(url, null);
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
      const response = await this.#once(at, headers, signal);
      const location = response.headers.get('location');
      if (response.ok || response.status === 304) return response;
      await response.body?.cancel();
      if (response.status < 300 || response.status >= 400 || location === null) {
        throw sourceFailed(`${at.host} answered ${response.status} for ${at.pathname}`);
      }
      at = this.#checked(location, at);
    }
    throw sourceFailed(`${url} redirects more than ${REDIRECTS_MAX} times`);
  }

  async #once(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), ANSWER_TIMEOUT_MS);
    const isOwn = url.origin === this.#origin && this.#token !== null;
    try {
      return await fetch(url, {
        headers: {
          'user-agent': 'bellwether',
          // Digests are over bytes as they are stored, and nothing may unpack to more.
          'accept-encoding': 'identity',
          ...headers,
          ...(isOwn ? { authorization: `Bearer ${this.#token}` } : {}),
        },
        redirect: 'manual',
        signal: AbortSignal.any([signal, giveUp.signal]),
      });
    } catch (error) {
      throw sourceFailed(`${url.host} does not answer`, error);
    } finally {
      clearTimeout(timer);
    }
  }

  #checked(text: string, from: URL | null): URL {
    if (!URL.canParse(text, from?.href)) throw sourceFailed('an address that is none was given');
    const url = new URL(text, from?.href);
    if (!this.#hosts.has(url.host)) throw sourceFailed(`${url.host} is not an allowed host`);
    const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && !isTls(from));
    if (!isSafe || (from === null && isTls(new URL(this.#origin)) && !isTls(url))) {
      throw sourceFailed(`${url.host} was to be asked without TLS`);
    }
    return url;
  }
}

const isTls = (url: URL | null): boolean => url?.protocol === 'https:';

function streamOf(url: string, response: Response): Readable {
  const encoding = response.headers.get('content-encoding') ?? 'identity';
  if (encoding !== 'identity') throw sourceFailed(`${url} answers in the encoding ${encoding}`);
  if (response.body === null) return Readable.from([]);
  const stream = Readable.fromWeb(response.body);
  const stall = setTimeout(() => {
    stream.destroy(sourceFailed(`${url} stalled`));
  }, STALL_TIMEOUT_MS);
  stream.on('data', () => stall.refresh()).on('close', () => clearTimeout(stall));
  return stream.pause();
}
