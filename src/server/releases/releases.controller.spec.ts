import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  startTestManager,
  type TestManager,
  type TestNode,
} from '../../../test/support/manager.js';
import {
  manifestBytes,
  newSecretKey,
  signMinisign,
  type Artifact,
  type Manifest,
} from '../../core/release/index.js';

const LIMIT = 4_000_000;
const BYTES = randomBytes(3_000_000);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const DIGEST = sha256(BYTES);
const KEY = newSecretKey({ seed: randomBytes(32), keyId: randomBytes(8) });

let manager: TestManager;
let node: TestNode;
beforeAll(async () => {
  manager = await startTestManager({ BELLWETHER_ARTIFACT_BYTES_MAX: String(LIMIT) });
  node = await manager.node();
  expect((await put(DIGEST, BYTES)).status).toBe(201);
});
afterAll(() => manager.stop());

const put = (digest: string, body: Uint8Array, token = manager.admin): Promise<Response> =>
  fetch(`${manager.url}/api/v1/blobs/sha256/${digest}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}` },
    body: body as unknown as ArrayBuffer,
  });

/** As a node asks: each request has a token of its own. */
const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${manager.url}/node/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${node.token()}`, ...headers },
  });
const getBlob = (headers: Record<string, string> = {}, method = 'GET') =>
  get(`blobs/sha256/${DIGEST}`, headers, method);
/** Not `fetch`: it adds `Cache-Control: no-cache` to conditional requests, which asks for all. */
async function conditional(headers: Record<string, string>): Promise<IncomingMessage> {
  const request = httpRequest(`${manager.url}/node/v1/blobs/sha256/${DIGEST}`, {
    headers: { authorization: `Bearer ${node.token()}`, ...headers },
  });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.destroy();
  return response;
}
const bytesOf = async (response: Response): Promise<Buffer> =>
  Buffer.from(await response.arrayBuffer());
const codeOf = async (response: Response): Promise<string> =>
  ((await response.json()) as { code: string }).code;

const incoming = (): string[] =>
  readdirSync(join(manager.manager.config.dataDir, 'blobs', 'incoming'));
/** Waits for something that another program does; the spec's own time limit ends it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

const artifact: Artifact = {
  os: 'linux',
  arch: 'x64',
  variant: 'default',
  format: 'tar.gz',
  file: 'edge.tar.gz',
  size: BYTES.length,
  sha256: DIGEST,
};
function aRelease(change: Partial<Manifest> = {}): { manifest: string; signatures: string[] } {
  const bytes = manifestBytes({
    schema: 'bellwether.manifest.v1',
    product: 'edge',
    version: '1.4.0',
    channel: 'stable',
    released_at: '2026-11-20T08:00:00Z',
    sequence: 14,
    artifacts: [artifact],
    ...change,
  });
  const signature = signMinisign(KEY, bytes, 'x');
  return {
    manifest: Buffer.from(bytes).toString('utf8'),
    signatures: signature.ok ? [signature.value] : [],
  };
}

describe('an upload', () => {
  it('may be repeated', async () => {
    const again = await put(DIGEST, BYTES);
    expect(again.status).toBe(201);
    expect(await again.json()).toEqual({ sha256: DIGEST, size: BYTES.length });
  });

  it('of other bytes than its address says is refused and leaves nothing', async () => {
    const wrong = 'ab'.repeat(32);
    const answer = await put(wrong, Buffer.from('other'));
    expect(answer.status).toBe(422);
    expect(await codeOf(answer)).toBe('release_digest_mismatch');
    expect((await get(`blobs/sha256/${wrong}`)).status).toBe(404);
    expect(incoming()).toEqual([]);
  });

  it.each([
    ['announced', { 'content-length': 3 * LIMIT }],
    ['found out on the way', { 'transfer-encoding': 'chunked' }],
  ])('that is too large is refused, when that is %s', async (_when, headers) => {
    const bytes = Buffer.alloc(3 * LIMIT);
    const request = httpRequest(`${manager.url}/api/v1/blobs/sha256/${sha256(bytes)}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${manager.admin}`, ...headers },
    });
    const answered = once(request, 'response');
    request.end(bytes);
    const [response] = (await answered) as [IncomingMessage];
    expect(response.statusCode).toBe(413);
    expect(incoming()).toEqual([]);
  });

  it.each([
    ['too large', 3 * LIMIT, (): string => manager.admin, 413],
    ['not allowed', 10, (): string => 'bwt_unknown', 401],
    ['wanted', BYTES.length, (): string => manager.admin, 100],
  ])('that asks first and is %s hears so before it sends', async (_what, size, token, status) => {
    const request = httpRequest(`${manager.url}/api/v1/blobs/sha256/${DIGEST}`, {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${token()}`,
        'content-length': size,
        expect: '100-continue',
      },
    });
    request.flushHeaders();
    const heard = await Promise.race([
      once(request, 'continue').then(() => 100),
      once(request, 'response').then(([response]) => (response as IncomingMessage).statusCode),
    ]);
    expect(heard).toBe(status);
    if (heard === 100) {
      request.end(BYTES);
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      expect(response.statusCode).toBe(201);
    }
    request.on('error', () => undefined).destroy();
  });

  it('is the only body that has to wait: others that ask are invited at once', async () => {
    const request = httpRequest(`${manager.url}/api/v1/releases`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${manager.admin}`,
        'content-type': 'application/json',
        expect: '100-continue',
      },
    });
    request.flushHeaders();
    await once(request, 'continue');
    request.end('{}');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(400);
  });

  it('that ends in the middle leaves nothing', async () => {
    const { hostname, port } = new URL(manager.url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.write(
      `PUT /api/v1/blobs/sha256/${'cd'.repeat(32)} HTTP/1.1\r\nHost: x\r\n` +
        `Authorization: Bearer ${manager.admin}\r\nContent-Length: 1000000\r\n\r\n` +
        'x'.repeat(100_000),
    );
    await until(() => incoming().length === 1);
    socket.destroy();
    await until(() => incoming().length === 0);
    expect((await get(`blobs/sha256/${'cd'.repeat(32)}`)).status).toBe(404);
  });

  it('needs a token that may publish', async () => {
    const viewer = await manager.token('viewer', 'grp_default');
    const pipeline = await manager.token('release');
    expect((await put(DIGEST, BYTES, viewer)).status).toBe(403);
    expect((await put(DIGEST, BYTES, 'bwt_unknown')).status).toBe(401);
    expect((await put(DIGEST, BYTES, pipeline)).status).toBe(201);
  });

  it('under an address that is no digest is refused', async () => {
    const answer = await put('ABC', BYTES);
    expect([answer.status, await codeOf(answer)]).toEqual([400, 'invalid_request']);
  });
});

describe('a download', () => {
  it('gives the whole artifact, which may be kept for ever', async () => {
    const answer = await getBlob();
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      etag: `"${DIGEST}"`,
      'accept-ranges': 'bytes',
      'content-length': String(BYTES.length),
      'content-type': 'application/octet-stream',
      'cache-control': 'private, immutable, max-age=31536000',
    });
    expect((await bytesOf(answer)).equals(BYTES)).toBe(true);
  });

  it.each([
    ['from a byte on', 'bytes=1000000-', 1_000_000, BYTES.length],
    ['a part', 'bytes=10-19', 10, 20],
    ['the last bytes', 'bytes=-5', BYTES.length - 5, BYTES.length],
    ['more than there is', `bytes=${BYTES.length - 1}-999999999`, BYTES.length - 1, BYTES.length],
  ])('gives %s', async (_what, range, from, to) => {
    const answer = await getBlob({ range });
    expect(answer.status).toBe(206);
    expect(answer.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/${BYTES.length}`);
    expect((await bytesOf(answer)).equals(BYTES.subarray(from, to))).toBe(true);
  });

  it('past the end is refused with the real length', async () => {
    const answer = await getBlob({ range: `bytes=${BYTES.length}-` });
    expect(answer.status).toBe(416);
    expect(answer.headers.get('content-range')).toBe(`bytes */${BYTES.length}`);
    expect((await bytesOf(answer)).length).toBe(0);
  });

  it('goes on where it stopped only while the artifact is the same', async () => {
    const same = await getBlob({ range: 'bytes=2999990-', 'if-range': `"${DIGEST}"` });
    expect([same.status, (await bytesOf(same)).length]).toEqual([206, 10]);
    const other = await getBlob({ range: 'bytes=2999990-', 'if-range': '"other"' });
    expect([other.status, (await bytesOf(other)).length]).toEqual([200, BYTES.length]);
  });

  it('is not sent again to one who has it', async () => {
    const same = await conditional({ 'if-none-match': `"${DIGEST}"` });
    expect([same.statusCode, same.headers.etag]).toEqual([304, `"${DIGEST}"`]);
    expect((await conditional({ 'if-none-match': '"other"' })).statusCode).toBe(200);
    expect((await conditional({ 'if-match': '"other"' })).statusCode).toBe(412);
  });

  it('tells size and digest without the bytes', async () => {
    const answer = await getBlob({}, 'HEAD');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-length')).toBe(String(BYTES.length));
    expect((await bytesOf(answer)).length).toBe(0);
  });

  it('of what is not there is not found', async () => {
    const answer = await get(`blobs/sha256/${'0'.repeat(64)}`);
    expect([answer.status, await codeOf(answer)]).toEqual([404, 'not_found']);
  });

  it('by a reader that hangs up harms nobody', async () => {
    const stop = new AbortController();
    const answer = await fetch(`${manager.url}/node/v1/blobs/sha256/${DIGEST}`, {
      headers: { authorization: `Bearer ${node.token()}` },
      signal: stop.signal,
    });
    stop.abort();
    await expect(answer.arrayBuffer()).rejects.toThrow();
    expect((await getBlob()).status).toBe(200);
  });

  it.each([
    `blobs/sha256/${DIGEST}`,
    'releases/edge/1.4.0/stable/manifest.json',
    'releases/edge/1.4.0/stable/signatures.json',
  ])('of %s is for nodes only', async (path) => {
    const bare = await fetch(`${manager.url}/node/v1/${path}`);
    expect(bare.status).toBe(401);
    const admin = { authorization: `Bearer ${manager.admin}` };
    expect((await fetch(`${manager.url}/node/v1/${path}`, { headers: admin })).status).toBe(401);
  });
});

describe('a published release', () => {
  it('reaches nodes byte for byte', async () => {
    const body = aRelease({ version: '2.0.0', notes: 'ünï \u2028' });
    const published = await manager.call('releases.publish', { body });
    expect(published.status).toBe(201);
    expect(published.body).toMatchObject({
      product: 'edge',
      version: '2.0.0',
      manifest_sha256: sha256(Buffer.from(body.manifest)),
    });
    const manifest = await get('releases/edge/2.0.0/stable/manifest.json');
    expect(manifest.headers.get('content-type')).toContain('application/json');
    expect((await bytesOf(manifest)).toString('utf8')).toBe(body.manifest);
    const signatures = await get('releases/edge/2.0.0/stable/signatures.json');
    expect(await signatures.json()).toEqual(body.signatures);
  });

  it('is not found under another channel, version or product', async () => {
    await manager.call('releases.publish', { body: aRelease({ version: '2.1.0' }) });
    for (const path of ['edge/2.1.0/beta', 'edge/2.1.1/stable', 'edgy/2.1.0/stable']) {
      expect((await get(`releases/${path}/manifest.json`)).status).toBe(404);
      expect((await get(`releases/${path}/signatures.json`)).status).toBe(404);
    }
  });

  it('stands in the list, the audit trail and the events', async () => {
    const { body } = await manager.call('releases.publish', {
      body: aRelease({ version: '2.2.0', channel: 'beta' }),
    });
    const list = await manager.call('releases.list', { query: { channel: 'beta', limit: 1 } });
    expect(list.body.items).toEqual([body]);
    const audit = await manager.call('audit.list', { query: { action: 'release.publish' } });
    expect(audit.body.items[0]).toMatchObject({ target_id: body.id, outcome: 'allowed' });
    const events = await manager.call('events.list', { query: { category: 'release' } });
    expect(events.body.items.at(-1)).toMatchObject({
      type: 'release_published',
      details: { product: 'edge', version: '2.2.0', channel: 'beta' },
    });
  });

  it('may be published again as it is, never changed', async () => {
    const body = aRelease({ version: '2.3.0' });
    const first = await manager.call('releases.publish', { body });
    const again = await manager.call('releases.publish', { body });
    expect([again.status, again.body.id]).toEqual([201, first.body.id]);
    const other = await manager.call('releases.publish', {
      body: aRelease({ version: '2.3.0', sequence: 15 }),
    });
    expect([other.status, other.body.code]).toEqual([409, 'release_exists']);
  });

  it('needs its artifacts first, and says which', async () => {
    const lost = { ...artifact, sha256: 'e'.repeat(64) };
    const answer = await manager.call('releases.publish', {
      body: aRelease({ version: '2.4.0', artifacts: [lost] }),
    });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({
      code: 'release_artifact_missing',
      context: { missing: [{ file: 'edge.tar.gz', sha256: lost.sha256 }] },
    });
  });

  it.each([
    ['a manifest that is none', { manifest: '{}' }, 422, 'upgrade_manifest_invalid'],
    ['a malformed signature', { signatures: ['x'] }, 422, 'upgrade_signature_invalid'],
    ['no signature', { signatures: [] }, 400, 'invalid_request'],
  ])('is refused with %s', async (_what, change, status, code) => {
    const body = { ...aRelease({ version: '2.5.0' }), ...change };
    const answer = await manager.call('releases.publish', { body });
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });
});
