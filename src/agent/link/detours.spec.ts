import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeAuthority } from '../../../test/support/certificates.js';
import { HttpFetcher, MANAGER_ONLY, type FetcherOptions } from './index.js';

const { privateKey: key } = generateKeyPairSync('ed25519');
const trusted = getCACertificates('default');
const authority = makeAuthority();
const files = authority.issue('DNS:localhost', 'IP:127.0.0.1');
const tls = { cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** An https server and what it was asked. */
class Site {
  readonly requests: IncomingMessage[] = [];
  answer: Answer = (_request, response) => response.end('artifact');
  readonly #server = createTlsServer(tls, (request, response) => {
    this.requests.push(request);
    this.answer(request, response);
  });

  async start(): Promise<this> {
    await listening(this.#server);
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get host(): string {
    return `localhost:${this.port}`;
  }

  get url(): string {
    return `https://${this.host}`;
  }

  stop(): Promise<void> {
    return closed(this.#server);
  }
}

async function listening(server: Server): Promise<void> {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}
/** With all that is open: nobody but the proxy itself counts what is inside a tunnel. */
const sockets = new Set<Socket>();
async function closed(server: Server): Promise<void> {
  for (const socket of sockets) socket.destroy();
  server.close();
  await once(server, 'close');
}

let manager: Site;
let store: Site;
beforeAll(() => setDefaultCACertificates([...trusted, readFileSync(authority.caFile, 'utf8')]));
afterAll(() => {
  setDefaultCACertificates(trusted);
  authority.remove();
});
beforeEach(async () => {
  manager = await new Site().start();
  store = await new Site().start();
});
afterEach(async () => {
  await manager.stop();
  await store.stop();
});

const fetcher = (hosts: readonly string[], change: Partial<FetcherOptions> = {}): HttpFetcher =>
  new HttpFetcher({
    manager: manager.url,
    nodeId: 'nod_000000000001',
    key,
    allowPlaintext: false,
    delivery: () => Promise.resolve({ ...MANAGER_ONLY, allowed_hosts: [...hosts] }),
    now: () => Date.now(),
    answerTimeoutMs: 2_000,
    ...change,
  });
const read = async (from: HttpFetcher, url?: string): Promise<string> => {
  const wanted = { sha256: 'ab'.repeat(32), offset: 0, sources: [], url };
  const { stream } = await from.openArtifact({ ...wanted, signal: new AbortController().signal });
  return textOf(stream);
};
const redirectTo =
  (location: string): Answer =>
  (_request, response) => {
    response.writeHead(302, { location }).end();
  };

describe('a redirect', () => {
  it('is followed to a host of the policy, without the token', async () => {
    manager.answer = redirectTo(`${store.url}/bucket/artifact`);
    expect(await read(fetcher([store.host]))).toBe('artifact');
    expect(manager.requests[0]?.headers.authorization).toMatch(/^Bearer /);
    expect(store.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('to a host that the policy does not name is not followed', async () => {
    manager.answer = redirectTo(`${store.url}/`);
    await expect(read(fetcher([]))).rejects.toMatchObject({ code: 'upgrade_url_invalid' });
    // Another port is another host, and so is another name of the same machine.
    const others = ['localhost', `127.0.0.1:${store.port}`, `evil.localhost:${store.port}`];
    await expect(read(fetcher(others))).rejects.toMatchObject({ code: 'upgrade_url_invalid' });
    expect(store.requests).toEqual([]);
  });

  it.each(['http://HOST/', 'ftp://HOST/', 'file:///etc/passwd', 'https://u:p@HOST/', 'https://'])(
    'to %s is not followed',
    async (location) => {
      manager.answer = redirectTo(location.replace('HOST', store.host));
      const asking = read(fetcher([store.host]));
      await expect(asking).rejects.toMatchObject({ code: 'upgrade_url_invalid' });
      expect(store.requests).toEqual([]);
    },
  );

  it('is followed five times and no more', async () => {
    let left = 5;
    store.answer = (request, response) => {
      left -= 1;
      if (left < 0) response.end('artifact');
      else redirectTo('/again')(request, response);
    };
    manager.answer = redirectTo(`${store.url}/again`);
    left = 4;
    expect(await read(fetcher([store.host]))).toBe('artifact');
    left = 5;
    const asking = read(fetcher([store.host]));
    await expect(asking).rejects.toMatchObject({ code: 'upgrade_url_invalid' });
  });
});

describe('an address in the manifest', () => {
  it('is asked when nobody else has the artifact and its host is allowed', async () => {
    manager.answer = (_request, response) => response.writeHead(404).end();
    expect(await read(fetcher([store.host]), `${store.url}/edge.tar.gz`)).toBe('artifact');
    expect(store.requests[0]?.url).toBe('/edge.tar.gz');
    expect(store.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('is never asked when its host is not allowed', async () => {
    manager.answer = (_request, response) => response.writeHead(404).end();
    const asking = read(fetcher([]), `${store.url}/edge.tar.gz`);
    await expect(asking).rejects.toMatchObject({ code: 'upgrade_network_error' });
    expect(store.requests).toEqual([]);
  });
});

describe('a proxy', () => {
  const tunnels: string[] = [];
  const plain: string[] = [];
  const proxy = createServer((request, response) => {
    plain.push(request.url ?? '');
    response.writeHead(500).end();
  });
  proxy.on('connect', (request, client) => {
    tunnels.push(`${request.url ?? ''} ${request.headers['proxy-authorization'] ?? ''}`.trim());
    const { hostname, port } = new URL(`http://${request.url ?? ''}`);
    const far = connect(Number(port), hostname === 'localhost' ? '127.0.0.1' : hostname, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      far.pipe(client).pipe(far);
    });
    far.on('error', () => client.destroy());
    client.on('error', () => far.destroy());
  });
  beforeAll(() => listening(proxy));
  afterAll(() => closed(proxy));
  beforeEach(() => {
    tunnels.length = 0;
    plain.length = 0;
  });
  const at = (): string => `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;

  it('carries https in a tunnel, which it cannot look into', async () => {
    expect(await read(fetcher([], { reach: { proxy: { HTTPS_PROXY: at() } } }))).toBe('artifact');
    expect([tunnels, plain]).toEqual([[manager.host], []]);
  });

  it('is told its own credentials, and no others', async () => {
    const proxyUrl = at().replace('http://', 'http://user:secret@');
    expect(await read(fetcher([], { reach: { proxy: { HTTPS_PROXY: proxyUrl } } }))).toBe(
      'artifact',
    );
    const basic = Buffer.from('user:secret').toString('base64');
    expect(tunnels).toEqual([`${manager.host} Basic ${basic}`]);
    expect(manager.requests[0]?.headers['proxy-authorization']).toBeUndefined();
  });

  it('is passed by for hosts of NO_PROXY', async () => {
    const settings = { HTTPS_PROXY: at(), NO_PROXY: 'example.org,localhost' };
    expect(await read(fetcher([], { reach: { proxy: settings } }))).toBe('artifact');
    expect(tunnels).toEqual([]);
  });

  it('that refuses or hangs is a network error', async () => {
    const refusing = createServer();
    refusing.on('connect', (_request, client) => client.end('HTTP/1.1 403 Forbidden\r\n\r\n'));
    await listening(refusing);
    const url = `http://127.0.0.1:${(refusing.address() as AddressInfo).port}`;
    const asking = read(fetcher([], { reach: { proxy: { HTTPS_PROXY: url } } }));
    await expect(asking).rejects.toMatchObject({ code: 'upgrade_network_error' });
    refusing.removeAllListeners('connect');
    refusing.on('connect', () => undefined);
    const startedAt = performance.now();
    const hanging = read(
      fetcher([], { reach: { proxy: { HTTPS_PROXY: url } }, answerTimeoutMs: 300 }),
    );
    await expect(hanging).rejects.toMatchObject({ code: 'upgrade_network_error' });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await closed(refusing);
  });
});
