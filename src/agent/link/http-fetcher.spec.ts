import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FleetError } from '../../core/kernel/index.js';
import { MANIFEST_BYTES_MAX } from '../../core/release/index.js';
import { verifyNodeToken } from '../../protocol/node/index.js';
import { HttpFetcher, MANAGER_ONLY, type FetcherOptions } from './index.js';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const DIGEST = 'ab'.repeat(32);
const RELEASE = { product: 'edge', version: '1.2.0', channel: 'stable' };

/** A server that answers what a spec tells it to. */
class Source {
  readonly requests: IncomingMessage[] = [];
  readonly #server: Server;
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => {
    response.statusCode = 404;
    response.end();
  };

  constructor() {
    this.#server = createServer((request, response) => {
      this.requests.push(request);
      this.answer(request, response);
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
}

let manager: Source;
let mirror: Source;
let allowed: string[];

beforeEach(async () => {
  manager = await new Source().start();
  mirror = await new Source().start();
  allowed = [];
});
afterEach(async () => {
  await manager.stop();
  await mirror.stop();
});

const fetcher = (change: Partial<FetcherOptions> = {}): HttpFetcher =>
  new HttpFetcher({
    manager: manager.url,
    nodeId: 'nod_000000000001',
    key: privateKey,
    allowPlaintext: false,
    delivery: () => Promise.resolve({ ...MANAGER_ONLY, sources: allowed }),
    now: () => Date.now(),
    answerTimeoutMs: 300,
    ...change,
  });
const release = (sources: readonly string[] = []): ReturnType<HttpFetcher['fetchRelease']> =>
  fetcher().fetchRelease({ ...RELEASE, sources, signal: new AbortController().signal });
const artifact = (
  offset: number,
  sources: readonly string[] = [],
): ReturnType<HttpFetcher['openArtifact']> =>
  fetcher().openArtifact({ sha256: DIGEST, offset, sources, signal: new AbortController().signal });

const serveRelease = (source: Source, manifest = '{}', signatures = '["sig"]'): void => {
  source.answer = (request, response) => {
    response.end(request.url?.endsWith('manifest.json') === true ? manifest : signatures);
  };
};

describe('fetching a release', () => {
  it('asks the manager, with a token of its own for each request', async () => {
    serveRelease(manager);
    const { manifest, signatures } = await release();
    expect(Buffer.from(manifest).toString()).toBe('{}');
    expect(signatures).toEqual(['sig']);
    expect(manager.requests.map((request) => request.url)).toEqual([
      '/node/v1/releases/edge/1.2.0/stable/manifest.json',
      '/node/v1/releases/edge/1.2.0/stable/signatures.json',
    ]);
    const tokens = manager.requests.map((r) => r.headers.authorization?.slice(7) ?? '');
    expect(new Set(tokens).size).toBe(2);
    for (const token of tokens) {
      const expected = { key: publicKey, origin: manager.url, nowMs: Date.now() };
      expect(verifyNodeToken(token, expected).ok).toBe(true);
    }
  });

  it('asks an allowed source without showing it the token', async () => {
    allowed = [`${mirror.url}/any/path`];
    serveRelease(mirror);
    await release([`${mirror.url}/tree/`]);
    expect(mirror.requests[0]?.url).toBe('/tree/node/v1/releases/edge/1.2.0/stable/manifest.json');
    expect(mirror.requests[0]?.headers.authorization).toBeUndefined();
    expect(manager.requests).toHaveLength(0);
  });

  it('goes to the next source when one fails', async () => {
    allowed = [mirror.url];
    serveRelease(manager);
    expect((await release([mirror.url, manager.url])).signatures).toEqual(['sig']);
    expect(mirror.requests).toHaveLength(1);
  });

  it('refuses sources that the policy does not name, before anything is asked', async () => {
    serveRelease(mirror);
    const { port } = new URL(mirror.url);
    for (const source of [
      mirror.url,
      `http://user:secret@127.0.0.1:${new URL(manager.url).port}`,
      `${manager.url}?x=1`,
      'file:///etc/passwd',
      'ftp://127.0.0.1/',
      'http://mirror.example/',
      'not an address',
      `http://127.0.0.1.example:${port}`,
    ]) {
      await expect(release([manager.url, source])).rejects.toMatchObject({
        code: 'upgrade_url_invalid',
      });
    }
    expect(manager.requests.length + mirror.requests.length).toBe(0);
  });

  it('does not follow a redirect, not even to itself', async () => {
    manager.answer = (_request, response) => {
      response.writeHead(302, { location: `${mirror.url}/` }).end();
    };
    await expect(release()).rejects.toMatchObject({ code: 'upgrade_url_invalid' });
    expect(mirror.requests).toHaveLength(0);
  });

  it('stops reading an endless manifest or list of signatures', async () => {
    serveRelease(manager, 'x'.repeat(MANIFEST_BYTES_MAX + 1));
    await expect(release()).rejects.toMatchObject({ code: 'upgrade_manifest_invalid' });
    serveRelease(manager, '{}', `["${'x'.repeat(MANIFEST_BYTES_MAX)}"]`);
    await expect(release()).rejects.toMatchObject({ code: 'upgrade_signature_invalid' });
  });

  it('takes for signatures only a list of texts', async () => {
    for (const signatures of ['{}', 'nonsense', '[1]', JSON.stringify(Array(33).fill('s'))]) {
      serveRelease(manager, '{}', signatures);
      await expect(release()).rejects.toMatchObject({ code: 'upgrade_signature_invalid' });
    }
  });

  it('says upgrade_network_error for everything that may pass', async () => {
    for (const status of [401, 403, 404, 429, 500, 503]) {
      manager.answer = (_request, response) => {
        response.writeHead(status).end();
      };
      await expect(release()).rejects.toMatchObject({ code: 'upgrade_network_error' });
    }
    manager.answer = (request) => request.socket.destroy();
    await expect(release()).rejects.toMatchObject({ code: 'upgrade_network_error' });
    manager.answer = () => undefined;
    await expect(release()).rejects.toMatchObject({ code: 'upgrade_network_error' });
    manager.answer = (_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    };
    await expect(release()).rejects.toMatchObject({ code: 'upgrade_network_error' });
    manager.answer = (_request, response) => {
      // The head and a part of the body, and then nothing for ever.
      response.writeHead(200, { 'content-length': '10' }).write('x');
    };
    await expect(release()).rejects.toMatchObject({ code: 'upgrade_network_error' });
  });
});

describe('opening an artifact', () => {
  it('reads it from the beginning without a range', async () => {
    manager.answer = (request, response) => {
      expect(request.headers.range).toBeUndefined();
      response.end('artifact');
    };
    const { stream, from } = await artifact(0);
    expect([from, await textOf(stream)]).toEqual([0, 'artifact']);
    expect(manager.requests[0]?.url).toBe(`/node/v1/blobs/sha256/${DIGEST}`);
  });

  it('goes on where it was asked to', async () => {
    manager.answer = (request, response) => {
      expect(request.headers.range).toBe('bytes=4-');
      response.writeHead(206, { 'content-range': 'bytes 4-7/8' }).end('fact');
    };
    const { stream, from } = await artifact(4);
    expect([from, await textOf(stream)]).toEqual([4, 'fact']);
  });

  it('says so when the other side begins at the beginning', async () => {
    manager.answer = (_request, response) => {
      response.end('artifact');
    };
    const { stream, from } = await artifact(4);
    expect([from, await textOf(stream)]).toEqual([0, 'artifact']);
  });

  it('refuses another range than asked for', async () => {
    for (const range of ['bytes 3-7/8', 'nonsense', undefined]) {
      manager.answer = (_request, response) => {
        response.writeHead(206, range === undefined ? {} : { 'content-range': range }).end('x');
      };
      await expect(artifact(4)).rejects.toMatchObject({ code: 'upgrade_network_error' });
    }
    manager.answer = (_request, response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-0/1' }).end('x');
    };
    await expect(artifact(0)).rejects.toMatchObject({ code: 'upgrade_network_error' });
  });

  it('says when a busy manager wants to be asked again', async () => {
    for (const [status, wait, least] of [
      [503, '7', 7_000],
      [429, '0', 0],
      [503, new Date(Date.now() + 90_000).toUTCString(), 60_000],
      [503, '86400', 120_000],
    ] as const) {
      manager.answer = (_request, response) => {
        response.writeHead(status, { 'retry-after': wait }).end();
      };
      const error = await artifact(0).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'upgrade_network_error', context: { status } });
      const { retry_after_ms: waitMs } = (error as FleetError).context;
      expect(waitMs).toBeGreaterThanOrEqual(least);
      expect(waitMs).toBeLessThanOrEqual(120_000);
    }
  });

  it('tells of the source that may come back, not of the one that says no', async () => {
    allowed = [mirror.url];
    const answers = { 404: mirror, 500: manager };
    for (const [status, server] of Object.entries(answers)) {
      server.answer = (_request, response) => response.writeHead(Number(status)).end();
    }
    for (const sources of [
      [mirror.url, manager.url],
      [manager.url, mirror.url],
    ]) {
      const context = { status: 500 };
      await expect(artifact(0, sources)).rejects.toMatchObject({ context });
      await expect(release(sources)).rejects.toMatchObject({ context });
    }
  });

  it('asks another source at once when one is busy', async () => {
    allowed = [mirror.url];
    mirror.answer = (_request, response) => {
      response.writeHead(503, { 'retry-after': '60' }).end();
    };
    manager.answer = (_request, response) => {
      response.end('artifact');
    };
    const { stream } = await artifact(0, [mirror.url, manager.url]);
    expect(await textOf(stream)).toBe('artifact');
  });

  it('ends when the caller gives up', async () => {
    manager.answer = (_request, response) => {
      response.writeHead(200).write('part');
    };
    const giveUp = new AbortController();
    const { stream } = await fetcher().openArtifact({
      sha256: DIGEST,
      offset: 0,
      sources: [],
      signal: giveUp.signal,
    });
    const reading = textOf(stream);
    giveUp.abort();
    await expect(reading).rejects.toThrow();
  });
});
