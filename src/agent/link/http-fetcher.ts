import { randomUUID, type KeyObject } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import {
  DOCUMENT_BYTES_MAX,
  MANIFEST_BYTES_MAX,
  SIGNATURE_BYTES_MAX,
  SignedDocument,
} from '../../core/release/index.js';
import {
  BLOB_PATH,
  CHANNEL_PATH,
  DOWNGRADE_PATH,
  makeNodeToken,
  RELEASE_PATH,
} from '../../protocol/node/index.js';
import { saysNo, type DocumentName, type Fetcher } from '../updater/index.js';
import { ask, bytesOf } from './ask.js';
import { agentFor, type Reach } from './reach.js';
import { retryAfterMs } from './retry-after.js';
import { refused, Sources, type Delivery } from './sources.js';

/** Sixteen signatures of the largest size: as many as a release can be published with. */
const SIGNATURES_BYTES_MAX = 16 * SIGNATURE_BYTES_MAX;
/** A document inside a JSON text, where each of its bytes may be written as two. */
const DOCUMENT_ANSWER_BYTES_MAX = 2 * DOCUMENT_BYTES_MAX + SIGNATURES_BYTES_MAX;
/** A store behind a manager or mirror is one or two away; more is a circle. */
const REDIRECTS_MAX = 5;
/** For the head of an answer, and for small answers as a whole. */
const ANSWER_TIMEOUT_MS = 30_000;
const Signatures = z.array(z.string().max(SIGNATURE_BYTES_MAX)).max(32);

export interface FetcherOptions {
  readonly manager: string;
  readonly nodeId: string;
  readonly key: KeyObject;
  readonly allowPlaintext: boolean;
  /** What the local policy of the service says of the way here; asked for each fetch. */
  readonly delivery: () => Promise<Delivery>;
  /** The proxy is for all, authorities and pins are for the manager. Neither when not given. */
  readonly reach?: Reach;
  /** Where the manager is reached now: one of its addresses; `manager` when not given. */
  readonly managerOrigin?: () => string;
  readonly now: () => number;
  /** For specs; `ANSWER_TIMEOUT_MS` when not given. */
  readonly answerTimeoutMs?: number;
}

const network = (
  message: string,
  cause?: unknown,
  context: Readonly<Record<string, number>> = {},
): FleetError =>
  new FleetError('upgrade_network_error', message, { kind: 'operational', cause, context });
const isMissing = (error: unknown): boolean =>
  error instanceof FleetError && error.context['status'] === 404;

interface Asking {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly sources: Sources;
}

/**
 * Releases over HTTP: from the manager, and from sources that the local policy allows, one after
 * another until one of them gives what can be used. A source has the same tree of paths as the
 * manager. Redirects are followed a few times, to hosts of the policy only. What comes is not
 * trusted, only bounded; signature and digest are for the updater. Throws FleetError
 * `upgrade_network_error`, `upgrade_url_invalid`, `upgrade_manifest_invalid`,
 * `upgrade_signature_invalid`, `release_document_invalid`, `upgrade_length_mismatch`.
 */
export class HttpFetcher implements Fetcher {
  readonly #options: FetcherOptions;
  readonly #origin: string;
  readonly #toOthers: HttpsAgent;
  readonly #toManager: HttpsAgent;

  constructor(options: FetcherOptions) {
    this.#options = options;
    this.#origin = new URL(options.manager).origin;
    const { reach = {} } = options;
    this.#toOthers = agentFor({ proxy: reach.proxy }, false);
    this.#toManager = agentFor(reach, false);
  }

  async fetchRelease(
    wanted: Parameters<Fetcher['fetchRelease']>[0],
  ): ReturnType<Fetcher['fetchRelease']> {
    const { product, version, channel, signal, accept } = wanted;
    const path = [product, version, channel].map(encodeURIComponent).join('/');
    const sources = await this.#sources();
    return firstOf(sources.bases(wanted.sources), async (base) => {
      const folder = `${base}${RELEASE_PATH}/${path}`;
      const manifest = await this.#whole(`${folder}/manifest.json`, {
        bytesMax: MANIFEST_BYTES_MAX,
        code: 'upgrade_manifest_invalid',
        signal,
        sources,
      });
      const list = await this.#whole(`${folder}/signatures.json`, {
        bytesMax: SIGNATURES_BYTES_MAX,
        code: 'upgrade_signature_invalid',
        signal,
        sources,
      });
      const release = { manifest, signatures: parseSignatures(list) };
      accept?.(release);
      return release;
    });
  }

  async fetchDocument(
    wanted: Parameters<Fetcher['fetchDocument']>[0],
  ): ReturnType<Fetcher['fetchDocument']> {
    const sources = await this.#sources();
    const errors: unknown[] = [];
    const path = pathOf(wanted.name);
    for (const base of sources.bases(wanted.sources)) {
      try {
        const bytes = await this.#whole(`${base}${path}`, {
          bytesMax: DOCUMENT_ANSWER_BYTES_MAX,
          code: 'release_document_invalid',
          signal: wanted.signal,
          sources,
        });
        const signed = parseSigned(bytes);
        wanted.accept?.(signed);
        return signed;
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        if (!isMissing(error)) errors.push(error);
      }
    }
    if (errors.length > 0) throw worstOf(errors);
    return null;
  }

  async openArtifact(
    wanted: Parameters<Fetcher['openArtifact']>[0],
  ): ReturnType<Fetcher['openArtifact']> {
    const { sha256, offset, signal, url: besides, avoid } = wanted;
    const sources = await this.#sources();
    const urls = sources.bases(wanted.sources).map((base) => `${base}${BLOB_PATH}/${sha256}`);
    if (besides !== undefined && sources.allows(besides)) urls.push(besides);
    const left = urls.filter((url) => avoid?.has(url) !== true);
    if (left.length === 0) {
      const context = { none_left: true };
      throw new FleetError('upgrade_network_error', 'no source is left to ask', { context });
    }
    const openAt = async (url: string): ReturnType<Fetcher['openArtifact']> => {
      const headers: Record<string, string> = {};
      if (offset > 0) headers['range'] = `bytes=${offset}-`;
      const response = await this.#ask(url, { headers, signal, sources });
      try {
        const from = startOf(url, response, offset);
        checkLength(url, response, { from, size: wanted.size });
        return { stream: response, from, source: url };
      } catch (error) {
        response.destroy();
        throw error;
      }
    };
    return firstOf(left, openAt, mildestOf);
  }

  async #sources(): Promise<Sources> {
    const { delivery, allowPlaintext } = this.#options;
    const { sources, ...more } = await delivery();
    const usable = sources.filter((source) => URL.canParse(source));
    return new Sources(this.#origin, { sources: usable, ...more }, allowPlaintext);
  }

  async #whole(
    url: string,
    limit: Omit<Asking, 'headers'> & { readonly bytesMax: number; readonly code: string },
  ): Promise<Buffer> {
    const timeoutMs = this.#options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
    const signal = AbortSignal.any([limit.signal, AbortSignal.timeout(timeoutMs)]);
    const response = await this.#ask(url, { headers: {}, signal, sources: limit.sources });
    let bytes: Buffer | null;
    try {
      bytes = await bytesOf(response, limit.bytesMax);
    } catch (error) {
      throw network(`${url} broke off`, error);
    }
    if (bytes !== null) return bytes;
    throw new FleetError(limit.code, `${url} is larger than ${limit.bytesMax} bytes`);
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

  /** Resolves with an answer of 200 or 206, its body unread. Each step is checked before it is made. */
  async #ask(url: string, asking: Asking): Promise<IncomingMessage> {
    let at = url;
    for (let step = 0; step <= REDIRECTS_MAX; step += 1) {
      const response = await this.#askOnce(at, asking);
      const { location } = response.headers;
      if (!REDIRECTS.has(response.statusCode ?? 0) || location === undefined) return response;
      response.destroy();
      const next = URL.canParse(location, at) ? new URL(location, at).href : location;
      asking.sources.checkRedirect(at, next);
      at = next;
    }
    throw refused(`${url} redirects more than ${REDIRECTS_MAX} times`);
  }

  /** The manager may be reached elsewhere than it is called; tokens are for its name. */
  #wayTo(url: string): { readonly to: string; readonly agent: HttpsAgent } {
    if (new URL(url).origin !== this.#origin) return { to: url, agent: this.#toOthers };
    const origin = this.#options.managerOrigin?.() ?? this.#origin;
    return { to: `${origin}${url.slice(this.#origin.length)}`, agent: this.#toManager };
  }

  async #askOnce(url: string, { headers, signal }: Asking): Promise<IncomingMessage> {
    const all = { ...this.#headersFor(url), ...headers };
    const way = this.#wayTo(url);
    const agent = way.to.startsWith('https:') && way.agent;
    const timeoutMs = this.#options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
    let response: IncomingMessage;
    try {
      response = await ask(way.to, { headers: all, agent, timeoutMs, signal });
    } catch (error) {
      // Somebody in between may be gone with the next try: as much as a line that is down.
      const isPin = error instanceof FleetError && error.code === 'manager_pin_mismatch';
      if (error instanceof FleetError && !isPin) throw error;
      const { message } = error as Error;
      throw network(`${url} cannot be reached: ${message}`, error);
    }
    const problem = problemOf(url, response, all);
    if (problem === null) return response;
    response.destroy();
    throw problem;
  }
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

function problemOf(
  url: string,
  response: IncomingMessage,
  asked: Readonly<Record<string, string>>,
): FleetError | null {
  const status = response.statusCode ?? 0;
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') return network(`${url} answered in the encoding ${encoding}`);
  if (status === 200 || (status === 206 && asked['range'] !== undefined)) return null;
  if (REDIRECTS.has(status) && response.headers.location !== undefined) return null;
  if (status >= 300 && status < 400) return refused(`${url} redirects to nowhere`);
  if (status === 401) {
    const why = 'the manager does not accept the token of this node';
    return network(`${url} answered 401: ${why}`, undefined, { status });
  }
  const retryMs = retryAfterMs(status, response.headers['retry-after']);
  return network(`${url} answered ${status}`, undefined, {
    status,
    ...(retryMs === null ? {} : { retry_after_ms: retryMs }),
  });
}

function parseSignatures(bytes: Buffer): readonly string[] {
  try {
    return Signatures.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    throw new FleetError('upgrade_signature_invalid', 'the signatures are not a list of texts');
  }
}

/** One request, one answer: a document and its signatures cannot come from two moments. */
function parseSigned(bytes: Buffer): SignedDocument {
  try {
    return SignedDocument.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    throw new FleetError('release_document_invalid', 'not a document with its signatures');
  }
}

function pathOf(name: DocumentName): string {
  const words = [name.product, name.channel, ...(name.kind === 'downgrade' ? [name.version] : [])];
  const root = name.kind === 'channel' ? CHANNEL_PATH : DOWNGRADE_PATH;
  return `${root}/${words.map(encodeURIComponent).join('/')}`;
}

/** What the first one gives that gives anything; else the error that says most. */
async function firstOf<T>(
  all: readonly string[],
  fetchFrom: (from: string) => Promise<T>,
  whatIsWrong = worstOf,
): Promise<T> {
  const errors: unknown[] = [];
  for (const from of all) {
    try {
      return await fetchFrom(from);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      errors.push(error);
    }
  }
  throw whatIsWrong(errors);
}

/** What is wrong with an answer says more than that another source did not answer. */
function worstOf(errors: readonly unknown[]): unknown {
  const isTelling = (error: unknown): boolean =>
    error instanceof FleetError && error.code !== 'upgrade_network_error';
  return errors.find(isTelling) ?? mildestOf(errors);
}

/** What may pass is worth waiting for, whatever the others answered; most of all what says how long. */
function mildestOf(errors: readonly unknown[]): unknown {
  const isMild = (error: unknown): error is FleetError =>
    error instanceof FleetError && error.code === 'upgrade_network_error';
  const mild = errors.filter(isMild);
  const willCome = mild.find(({ context }) => 'retry_after_ms' in context);
  return willCome ?? mild.find((error) => !saysNo(error)) ?? errors.at(-1);
}

/** Where the answer begins: where it was asked to, or at the beginning. */
function startOf(url: string, response: IncomingMessage, offset: number): number {
  if (response.statusCode === 200) return 0;
  const start = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '')?.[1];
  if (offset > 0 && Number(start) === offset) return offset;
  throw network(`${url} answered another range than asked for`);
}

/** A length that is announced must be the signed one; one that is not is counted as it comes. */
function checkLength(
  url: string,
  { headers, statusCode }: IncomingMessage,
  { from, size }: { readonly from: number; readonly size: number | undefined },
): void {
  if (size === undefined) return;
  const total = /\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1];
  const rest = headers['content-length'];
  const isTotalWrong = statusCode === 206 && total !== undefined && Number(total) !== size;
  const isRestWrong = rest !== undefined && Number(rest) !== size - from;
  if (!isTotalWrong && !isRestWrong) return;
  const message = `${url} announces ${total ?? rest ?? ''} bytes; ${size} were signed`;
  throw new FleetError('upgrade_length_mismatch', message);
}
