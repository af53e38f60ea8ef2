import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
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

export const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

export interface Publication {
  readonly version: string;
  readonly sequence: number;
  readonly archive: Buffer;
  readonly key: SigningKey;
  readonly channel?: Manifest['channel'];
  /** What the manifest says where that is not the truth. */
  readonly manifest?: Partial<Manifest>;
  readonly artifact?: Partial<Artifact>;
  /** Signs instead of `key`. */
  readonly sign?: (manifest: Uint8Array) => Promise<readonly string[]>;
}

const minisignBy =
  ({ key, version }: Publication) =>
  (text: Uint8Array) => {
    const signature = signMinisign(key.privateKey, text, `edge ${version}`);
    if (!signature.ok) throw new Error(signature.error.message);
    return Promise.resolve([signature.value]);
  };

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

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
    const { version, sequence, archive, channel = 'stable' } = release;
    const sha256 = this.addBlob(archive);
    const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
    const artifact: Artifact = {
      os: 'linux',
      arch,
      variant: 'default',
      format: 'tar.gz',
      file: `edge-${version}.tar.gz`,
      size: archive.length,
      sha256,
      ...release.artifact,
    };
    const text = manifestBytes({
      schema: 'bellwether.manifest.v1',
      product: 'edge',
      version,
      channel,
      released_at: '2026-11-20T08:00:00Z',
      sequence,
      artifacts: [artifact],
      ...release.manifest,
    });
    const signatures = await (release.sign ?? minisignBy(release))(text);
    const folder = `${RELEASE_PATH}/edge/${version}/${channel}`;
    const say =
      (body: string | Uint8Array): Handler =>
      (_request, response) =>
        response.end(body);
    this.#answers.set(`${folder}/manifest.json`, say(text));
    this.#answers.set(`${folder}/signatures.json`, say(JSON.stringify(signatures)));
    return sha256;
  }
}
