import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { manifestBytes, type Image, type Manifest } from '../../../src/core/release/index.js';
import { aManifest, signedManifest } from '../catalog.js';
import { digestOf } from './operator-bench.js';

const REFERENCE = 'registry.example.com/shop/edge';

/** A manager that says whatever a spec wants of it, true or not. */
export class ScriptedManager {
  readonly answers = new Map<string, string>();
  asked = 0;
  #port = 0;
  #server: Server | null = null;

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      this.asked += 1;
      const answer = this.answers.get(request.url ?? '');
      if (answer === undefined) response.writeHead(404).end();
      else response.end(answer);
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }
  /** Says that the release names the image of `of`, and hands the release out. */
  offer(version: string, of: string, change: Partial<Manifest> = {}): void {
    const image: Image = { reference: REFERENCE, digest: digestOf(version) };
    const manifest = aManifest(
      { version, sequence: 1, image, artifacts: [], ...change },
      Buffer.from('x'),
    );
    const signed = signedManifest(manifest);
    const { channel } = manifest;
    this.hint(of, [{ version, channel }]);
    const base = `/node/v1/releases/edge/${version}/${channel}`;
    this.answers.set(`${base}/manifest.json`, Buffer.from(manifestBytes(manifest)).toString());
    this.answers.set(`${base}/signatures.json`, JSON.stringify(signed.signatures));
  }
  hint(of: string, releases: readonly object[]): void {
    const path = `/node/v1/images/edge/${digestOf(of).slice('sha256:'.length)}`;
    this.answers.set(path, JSON.stringify({ releases }));
  }
  index(signed: object | null): void {
    const path = '/node/v1/channels/edge/stable';
    if (signed === null) this.answers.delete(path);
    else this.answers.set(path, JSON.stringify(signed));
  }
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }
}
