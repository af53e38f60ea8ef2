import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../test/support/manager.js';
import { ROUTES } from '../protocol/api/index.js';
import { addressesOf, ApiProblem, itemsOf, makeClient, NoAnswer, type Client } from './index.js';

describe('the client', () => {
  let manager: TestManager;
  let client: Client;
  /** What is no manager: it answers each path in another wrong way. */
  let stranger: Server;
  let strangerUrl: URL;
  beforeAll(async () => {
    manager = await startTestManager();
    client = clientOf(new URL(manager.url), manager.admin);
    stranger = createServer((request, response) => {
      const path = request.url ?? '';
      if (path.startsWith('/healthz')) response.writeHead(302, { location: manager.url }).end();
      else if (path.startsWith('/api/v1/groups')) response.writeHead(200).end('<html>');
      else if (path.startsWith('/api/v1/tokens')) response.writeHead(503).end('{"error":"busy"}');
      // Everything else waits for ever.
    }).listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    strangerUrl = new URL(`http://127.0.0.1:${(stranger.address() as AddressInfo).port}`);
  });
  afterAll(async () => {
    stranger.closeAllConnections();
    stranger.close();
    await manager.stop();
  });
  const clientOf = (url: URL, token: string, timeoutMs = 20_000): Client =>
    makeClient({
      manager: url,
      routes: addressesOf(ROUTES),
      headers: () => ({ authorization: `Bearer ${token}` }),
      timeoutMs,
    });

  it('calls a route by its name and gives the answer', async () => {
    const made = await client.call('groups.create', { body: { name: 'Näh & fern / 50 %' } });
    const { items } = await client.call('groups.list', { query: { limit: 500 } });
    expect(items.map((group) => group.name)).toContain('Näh & fern / 50 %');
    await client.call('groups.remove', { params: { id: made.id } });
  });

  it('puts parameters into the address so that they stay what they are', () => {
    const url = client.addressOf('nodes.show', { params: { id: '../users?x=1#y' } });
    expect(url.href).toBe(`${manager.url}/api/v1/nodes/..%2Fusers%3Fx%3D1%23y`);
  });

  it('sends each value of a list by itself', () => {
    const query = { label: ['site=fra', 'rack=r 1'], limit: 5, status: undefined };
    const url = client.addressOf('nodes.list', { query });
    expect(url.search).toBe('?label=site%3Dfra&label=rack%3Dr+1&limit=5');
  });

  it('throws the problem that the manager answered', async () => {
    const refused = await client
      .call('groups.create', { body: { name: '' } })
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ApiProblem);
    const { code, problem } = refused as ApiProblem;
    expect([code, problem.status, problem.problems?.[0]?.path]).toEqual([
      'invalid_request',
      400,
      'body.name',
    ]);
  });

  it.each([
    ['health.live', 'unreachable', /cannot be reached/],
    ['groups.list', 'invalid', /answered 200: not JSON/],
    ['tokens.list', 'invalid', /answered 503: not a problem document/],
    ['users.list', 'unreachable', /did not answer in time/],
  ] as const)('says of %s at a stranger: %s', async (name, kind, words) => {
    const lost = clientOf(strangerUrl, 'a secret that goes nowhere else', 300);
    const error = await lost.call(name, {}).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NoAnswer);
    expect((error as NoAnswer).kind).toBe(kind);
    expect((error as NoAnswer).message).toMatch(words);
  });

  it('ends when it is told to, with the reason', async () => {
    const patient = clientOf(strangerUrl, 'x');
    const signal = AbortSignal.abort(new Error('the page was left'));
    await expect(patient.call('users.list', {}, { signal })).rejects.toThrow('the page was left');
  });

  it('reads lists page by page, and no further than is asked for', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i += 1) {
      ids.push((await client.call('groups.create', { body: { name: `page ${i}` } })).id);
    }
    let pages = 0;
    const page = async (cursor: string | undefined) => {
      pages += 1;
      return client.call('groups.list', {
        query: { limit: 2, ...(cursor === undefined ? {} : { cursor }) },
      });
    };
    const all: string[] = [];
    for await (const { id } of itemsOf(page)) all.push(id);
    expect(all).toEqual(expect.arrayContaining(ids));
    expect(new Set(all).size).toBe(all.length);
    pages = 0;
    for await (const { id } of itemsOf(page, 3)) expect(all).toContain(id);
    expect(pages).toBe(2);
  });
});
