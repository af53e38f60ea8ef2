import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  startTestManager,
  type ProblemBody,
  type TestManager,
} from '../../../../test/support/manager.js';

let manager: TestManager;
beforeAll(async () => {
  manager = await startTestManager();
});
afterAll(() => manager.stop());

async function post(
  body: string | Buffer<ArrayBuffer> | null,
  headers: Record<string, string> = {},
): Promise<{ response: Response; problem: ProblemBody }> {
  const response = await fetch(`${manager.url}/api/v1/groups`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${manager.admin}`,
      'content-type': 'application/json',
      ...headers,
    },
    body,
  });
  return { response, problem: (await response.json()) as ProblemBody };
}

describe('bad input', () => {
  it('holds no NUL: PostgreSQL could not keep it, and SQLite is not asked either', async () => {
    const { response, problem } = await post('{"name":"a\\u0000b"}');
    expect([response.status, problem.code]).toEqual([400, 'invalid_request']);
    // A backslash, and then the letters.
    expect((await post('{"name":"a\\\\u0000b"}')).response.status).toBe(201);
    const query = { actor_id: 'a\u0000b' };
    expect((await manager.call('audit.list', { query })).body.code).toBe('invalid_request');
  });

  it('is told with every wrong field of every part', async () => {
    const body = { name: '', role: 'king', group_id: 'no', expires_in_days: 1000 };
    const {
      status,
      headers,
      body: problem,
    } = await manager.call('tokens.create', {
      body: body as never,
    });
    expect(status).toBe(400);
    expect(headers.get('content-type')).toBe('application/problem+json');
    expect(problem).toMatchObject({
      type: 'urn:bellwether:problem:invalid_request',
      status: 400,
      code: 'invalid_request',
    });
    expect(problem.problems?.map(({ path }) => path)).toEqual([
      'body.name',
      'body.role',
      'body.group_id',
      'body.expires_in_days',
    ]);
  });

  it('in path and query is found together', async () => {
    const { status, body } = await manager.call('nodes.list', {
      query: { limit: 'many', status: 'lost' } as never,
    });
    expect(status).toBe(400);
    expect(body.problems?.map(({ path }) => path)).toEqual(['query.limit', 'query.status']);
    const show = await manager.call('nodes.show', { params: { id: '../x' } });
    expect(show.body.problems?.map(({ path }) => path)).toEqual(['params.id']);
  });

  it.each([
    ['broken JSON', '{"name":', {}],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]), {}],
    ['an empty body', '', {}],
    ['another content type', '{"name":"x"}', { 'content-type': 'text/plain' }],
    ['a compressed body', '{"name":"x"}', { 'content-encoding': 'gzip' }],
    ['an array', '[]', {}],
    ['null', 'null', {}],
    ['a deep nest', '['.repeat(200_000), {}],
  ])('%s is an invalid request', async (_, body, headers) => {
    const { response, problem } = await post(body, headers);
    expect([response.status, problem.code]).toEqual([400, 'invalid_request']);
  });

  it('never pollutes a prototype', async () => {
    const { response } = await post('{"name":"x","__proto__":{"polluted":true}}');
    expect(response.status).toBe(201);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('larger than 2 MiB is refused, whether its length is told or not', async () => {
    const large = JSON.stringify({ name: 'x'.repeat(2 * 1024 * 1024) });
    const told = await post(large);
    expect([told.response.status, told.problem.code]).toEqual([413, 'payload_too_large']);
    const response = await fetch(`${manager.url}/api/v1/groups`, {
      method: 'POST',
      headers: { authorization: `Bearer ${manager.admin}`, 'content-type': 'application/json' },
      body: new Blob([large]).stream(),
      duplex: 'half',
    });
    expect(response.status).toBe(413);
  });

  it('from anybody is held to 64 KiB', async () => {
    const body = { setup_token: 'x'.repeat(70_000), name: 'ann' };
    const { status, body: problem } = await manager.call('setup.finish', { body }, null);
    expect([status, problem.code]).toEqual([413, 'payload_too_large']);
  });

  it('by a stranger is not read at all', async () => {
    const response = await fetch(`${manager.url}/api/v1/groups`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"broken',
    });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('in the address is a problem document too', async () => {
    for (const [path, status, code] of [
      ['/api/v1/nodes/%E0%A4%A', 400, 'invalid_request'],
      ['/nothing/here', 404, 'not_found'],
      ['/api/v1/nodes/a/b/c', 404, 'not_found'],
      ['/', 404, 'not_found'],
    ] as const) {
      const response = await fetch(manager.url + path, {
        headers: { authorization: `Bearer ${manager.admin}` },
      });
      const problem = (await response.json()) as ProblemBody;
      expect([path, response.status, problem.code]).toEqual([path, status, code]);
    }
  });

  it('in a cursor is told', async () => {
    for (const cursor of ['x', 'Li4u', Buffer.from('1.UP').toString('base64url')]) {
      const { status, body } = await manager.call('nodes.list', { query: { cursor } });
      expect([status, body.problems?.[0]?.path]).toEqual([400, 'query.cursor']);
    }
  });

  it('that is not HTTP ends the connection and nothing else', async () => {
    const { hostname, port } = new URL(manager.url);
    const socket = connect(Number(port), hostname);
    socket.write('\x16\x03\x01 this is not HTTP\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
    expect((await manager.call('health.live')).status).toBe(200);
  });
});

describe('every answer', () => {
  it('has a request id: the one that was given, if it is a sane one', async () => {
    const ask = (id: string) =>
      fetch(`${manager.url}/healthz`, { headers: { 'x-request-id': id } }).then((response) =>
        response.headers.get('x-request-id'),
      );
    expect(await ask('trace-0123456789')).toBe('trace-0123456789');
    expect(await ask('<script>')).toMatch(/^req_[0-9a-z]{20}$/);
    const problem = await manager.call('nodes.show', { params: { id: 'nod_000000' } });
    expect(problem.body.request_id).toBe(problem.headers.get('x-request-id'));
  });

  it('has security headers and does not name its framework', async () => {
    for (const path of ['/healthz', '/nothing']) {
      const { headers } = await fetch(manager.url + path);
      expect(headers.get('x-powered-by')).toBeNull();
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    }
  });
});
