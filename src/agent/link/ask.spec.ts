import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agentFor, ask, bytesOf, type Asking } from './index.js';

/** Longer than any of these tests may take. */
const LONG_MS = 60_000;
let server: Server;
let answer: RequestListener;

beforeEach(async () => {
  answer = (_request, response) => response.end('hello');
  server = createServer((request, response) => {
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/path`;
const asking = (change: Partial<Asking> = {}): ReturnType<typeof ask> =>
  ask(url(), { headers: {}, agent: false, timeoutMs: LONG_MS, ...change });

describe('asking', () => {
  it('sends what it was given, and gives the answer whatever its status', async () => {
    answer = (request, response) => {
      const told = `${request.method ?? ''} ${request.headers['content-length'] ?? ''} `;
      response.writeHead(503).write(told + (request.headers['x-one'] ?? '').toString());
      request.pipe(response);
    };
    const body = Buffer.from('Grüße');
    const response = await asking({ method: 'POST', headers: { 'x-one': '1' }, body });
    expect(response.statusCode).toBe(503);
    expect((await bytesOf(response, 100))?.toString()).toBe('POST 7 1Grüße');
  });

  it('follows no redirect', async () => {
    answer = (_request, response) => response.writeHead(302, { location: '/other' }).end();
    expect((await asking()).statusCode).toBe(302);
  });

  it('ends when no head comes', async () => {
    answer = () => undefined;
    await expect(asking({ timeoutMs: 100 })).rejects.toThrow('no answer came in time');
  });

  it('ends when a proxy takes the connection and opens no tunnel', async () => {
    const silent = createTcpServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const HTTPS_PROXY = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const wanted = { headers: {}, agent: agentFor({ proxy: { HTTPS_PROXY } }, false) };
    const late = ask('https://manager.example/', { ...wanted, timeoutMs: 200 });
    await expect(late).rejects.toThrow();
    const gone = new AbortController();
    const cut = ask('https://manager.example/', {
      ...wanted,
      timeoutMs: LONG_MS,
      signal: gone.signal,
    });
    gone.abort(new Error('enough'));
    await expect(cut).rejects.toThrow('enough');
    silent.close();
  });

  it('ends with the reason of its signal, before the head and after it', async () => {
    answer = () => undefined;
    const before = new AbortController();
    const waiting = asking({ signal: before.signal });
    before.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    answer = (_request, response) => response.write('half');
    const during = new AbortController();
    const response = await asking({ signal: during.signal });
    during.abort();
    await expect(bytesOf(response, 100)).rejects.toThrow();
    await expect(asking({ signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
  });

  it('cuts off an answer that pauses for too long', async () => {
    answer = (_request, response) => response.write('half');
    await expect(bytesOf(await asking({ silenceMs: 100 }), 100)).rejects.toThrow('broke off');
  });
});

describe('the bytes of an answer', () => {
  it('are all or none: null when there are more than that', async () => {
    expect((await bytesOf(await asking(), 5))?.toString()).toBe('hello');
    answer = (_request, response) => response.write('hello');
    const response = await asking();
    expect(await bytesOf(response, 4)).toBeNull();
    expect(response.destroyed).toBe(true);
  });

  it('are no shorter ones when the connection breaks', async () => {
    answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '10' }).write('hello', () => {
        response.destroy();
      });
    };
    await expect(bytesOf(await asking(), 100)).rejects.toThrow();
  });
});
