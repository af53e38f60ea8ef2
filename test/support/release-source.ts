import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  documentBytes,
  formatPublicKey,
  manifestBytes,
  publicKeyOf,
  signMinisign,
  type Artifact,
  type Manifest,
} from '../../src/core/release/index.js';
import { BLOB_PATH, RELEASE_PATH } from '../../src/protocol/node/index.js';

export interface SigningKey {
  readonly privateKey: KeyObject;
  /** As a policy holds it. */
  readonly publicKey: string;
}

export function makeSigningKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  const publicKey = formatPublicKey(publicKeyOf(privateKey)).split('\n')[1] ?? '';
  return { privateKey, publicKey };
}

/** The signatures of all these keys over the same bytes. */
export const signaturesBy = (keys: readonly SigningKey[], bytes: Uint8Array): string[] =>
  keys.map(({ privateKey }) => {
    const signature = signMinisign(privateKey, bytes, 'signed by a spec');
    if (!signature.ok) throw new Error(signature.error.message);
    return signature.value;
  });

export const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

export interface Publication {
  /** `edge` when it is left out. */
  readonly product?: string;
  readonly version: string;
  readonly sequence: number;
  readonly archive: Buffer;
  readonly key: SigningKey;
  /** All who sign, in place of `key` alone. */
  readonly keys?: readonly SigningKey[];
  readonly channel?: Manifest['channel'];
  /** What the manifest says where that is not the truth. */
  readonly manifest?: Partial<Manifest>;
  readonly artifact?: Partial<Artifact>;
  /** Signs instead of `key`. */
  readonly sign?: (manifest: Uint8Array) => Promise<readonly string[]>;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A document and its signatures, as one answer. */
export function signDocument(
  document: Parameters<typeof documentBytes>[0],
  ...keys: readonly SigningKey[]
): { document: string; signatures: string[] } {
  const bytes = documentBytes(document);
  return { document: Buffer.from(bytes).toString('utf8'), signatures: signaturesBy(keys, bytes) };
}

/** Serves signed releases over HTTP as a manager does; a spec may take over any answer. */
export class ReleaseSource {
  readonly key = makeSigningKey();
  readonly requests: { readonly url: string; readonly range: string | null }[] = [];
  /** Answers instead, when it is set and returns true. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  readonly #answers = new Map<string, Handler>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const url = request.url ?? '';
      this.requests.push({ url, range: request.headers.range ?? null });
      if (this.intercept(request, response)) return;
      const answer = this.#answers.get(url);
      if (answer !== undefined) answer(request, response);
      else response.writeHead(404).end();
    });
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** For what a manager does besides: a bench adds links to it. */
  get server(): Server {
    return this.#server;
  }

  /** Answers these bytes under a path; null takes them away. */
  serve(path: string, body: string | Uint8Array | null): void {
    if (body === null) this.#answers.delete(path);
    else this.#answers.set(path, (_request, response) => response.end(body));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Answers `GET` and its ranges with these bytes; the digest is their name. */
  addBlob(bytes: Buffer, sha256 = digestOf(bytes)): string {
    this.#answers.set(`${BLOB_PATH}/${sha256}`, (request, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const part = bytes.subarray(from);
      const headers = { 'content-length': part.length };
      if (from === 0) response.writeHead(200, headers);
      else {
        const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
        response.writeHead(206, { ...headers, 'content-range': range });
      }
      response.end(part);
    });
    return sha256;
  }

  async publish(release: Publication): Promise<string> {
    const { product = 'edge', version, sequence, archive, channel = 'stable' } = release;
    const sha256 = this.addBlob(archive);
    const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
    const artifact: Artifact = {
      os: 'linux',
      arch,
      variant: 'default',
      format: 'tar.gz',
      file: `${product}-${version}.tar.gz`,
      size: archive.length,
      sha256,
      ...release.artifact,
    };
    const text = manifestBytes({
      schema: 'bellwether.manifest.v1',
      product,
      version,
      channel,
      released_at: '2026-11-20T08:00:00Z',
      sequence,
      artifacts: [artifact],
      ...release.manifest,
    });
    const { keys = [release.key] } = release;
    const signatures = await (release.sign?.(text) ?? signaturesBy(keys, text));
    const folder = `${RELEASE_PATH}/${product}/${version}/${channel}`;
    this.serve(`${folder}/manifest.json`, text);
    this.serve(`${folder}/signatures.json`, JSON.stringify(signatures));
    return sha256;
  }
}
