import { randomUUID, type KeyObject } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import { MANIFEST_BYTES_MAX } from '../../core/release/index.js';
import { BLOB_PATH, makeNodeToken, RELEASE_PATH } from '../../protocol/node/index.js';
import type { Fetcher } from '../updater/index.js';

/** Sixteen signatures of 64 KiB. */
const SIGNATURES_BYTES_MAX = 1024 * 1024;
const ANSWER_TIMEOUT_MS = 30_000;
const Signatures = z.array(z.string()).max(32);
/** Kinds of answers after which another try may go better. */
const MAY_PASS: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

export interface FetcherOptions {
  readonly manager: string;
  readonly nodeId: string;
  readonly key: KeyObject;
  /** Base addresses that the local policies allow besides the manager. */
  readonly allowedSources: () => Promise<readonly string[]>;
  readonly now: () => number;
}

const network = (message: string, cause?: unknown): FleetError =>
  new FleetError('upgrade_network_error', message, { kind: 'operational', cause });

/**
 * Releases over HTTP, from the manager or from a source that both the command names and the local
 * policy allows. Redirects are not followed: they would lead past that check. What comes is not
 * trusted, only bounded; signature and digest are checked by the updater.
 */
export class HttpFetcher implements Fetcher {
  readonly #options: FetcherOptions;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  async fetchRelease(
    wanted: Parameters<Fetcher['fetchRelease']>[0],
  ): ReturnType<Fetcher['fetchRelease']> {
    const base = await this.#base(wanted.sources);
    const { product, version, channel } = wanted;
    const folder = `${base}${RELEASE_PATH}/${product}/${version}/${channel}`;
    const manifest = await this.#whole(`${folder}/manifest.json`, MANIFEST_BYTES_MAX);
    const text = await this.#whole(`${folder}/signatures.json`, SIGNATURES_BYTES_MAX);
    try {
      return { manifest, signatures: Signatures.parse(JSON.parse(text.toString('utf8'))) };
    } catch {
      throw new FleetError('upgrade_signature_invalid', 'the signatures are not a list of texts');
    }
  }

  async openArtifact(
    wanted: Parameters<Fetcher['openArtifact']>[0],
  ): ReturnType<Fetcher['openArtifact']> {
    const base = await this.#base(wanted.sources);
    const headers: Record<string, string> =
      wanted.offset > 0 ? { range: `bytes=${wanted.offset}-` } : {};
    const url = `${base}${BLOB_PATH}/${wanted.sha256}`;
    const response = await this.#open(url, headers, wanted.signal);
    if (response.statusCode === 200) return { stream: response, from: 0 };
    const start = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '')?.[1];
    if (response.statusCode === 206 && Number(start) === wanted.offset) {
      return { stream: response, from: wanted.offset };
    }
    response.destroy();
    throw network(`${url} answered ${response.statusCode ?? 0}`);
  }

  async #whole(url: string, bytesMax: number): Promise<Buffer> {
    const response = await this.#open(url, {}, AbortSignal.timeout(ANSWER_TIMEOUT_MS));
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > bytesMax) break;
        chunks.push(chunk);
      }
    } catch (error) {
      throw network(`${url} broke off`, error);
    }
    if (length > bytesMax) {
      throw new FleetError('upgrade_manifest_invalid', `${url} is larger than ${bytesMax} bytes`);
    }
    return Buffer.concat(chunks);
  }

  /** The first source that is allowed; the manager when the command names none. */
  async #base(sources: readonly string[]): Promise<string> {
    const { origin } = new URL(this.#options.manager);
    if (sources.length === 0) return origin;
    const allowed = new Set([
      origin,
      ...(await this.#options.allowedSources()).map((source) => new URL(source).origin),
    ]);
    const source = sources.find((one) => URL.canParse(one) && allowed.has(new URL(one).origin));
    if (source !== undefined) return source.replace(/\/+$/, '');
    throw new FleetError('upgrade_url_invalid', 'the policy allows none of the sources named');
  }

  #open(
    url: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { manager, nodeId, key, now } = this.#options;
    const { origin } = new URL(manager);
    // The token is for the manager; a mirror must never see it.
    const token = makeNodeToken({ nodeId, origin, key, nowMs: now(), jti: randomUUID() });
    const isManager = new URL(url).origin === origin;
    const authorization: Record<string, string> = isManager
      ? { authorization: `Bearer ${token}` }
      : {};
    const ask = url.startsWith('https:') ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const asking = ask(url, { headers: { ...headers, ...authorization }, signal }, (response) => {
        const status = response.statusCode ?? 0;
        if (status === 200 || status === 206) {
          resolve(response);
          return;
        }
        response.destroy();
        reject(refusalOf(url, status));
      });
      asking.setTimeout(ANSWER_TIMEOUT_MS, () => asking.destroy(network(`${url} did not answer`)));
      asking.on('error', (error) => {
        reject(error instanceof FleetError ? error : network(`${url} cannot be reached`, error));
      });
      asking.end();
    });
  }
}

function refusalOf(url: string, status: number): FleetError {
  if (status >= 300 && status < 400) {
    return new FleetError('upgrade_url_invalid', `${url} redirects; redirects are not followed`);
  }
  // A 404 is the network's fault too: a mirror may be behind.
  const hint = MAY_PASS.has(status) ? 'try again' : 'is it published?';
  return network(`${url} answered ${status} (${hint})`);
}
