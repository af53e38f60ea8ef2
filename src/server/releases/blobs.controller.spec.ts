import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, utimesSync } from 'node:fs';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { release, sha256Of, upload } from '../../../test/support/catalog.js';
import {
  startTestManager,
  type TestManager,
  type TestNode,
} from '../../../test/support/manager.js';
import { S3Server } from '../../../test/support/release/s3-server.js';
import { Downloads } from './delivery/downloads.js';

const LIMIT = 64_000_000;
const BYTES = randomBytes(9_000_000);
const DIGEST = sha256Of(BYTES);
/** More than all buffers between a manager and a reader that reads nothing. */
const BIG = randomBytes(60_000_000);
const BIG_DIGEST = sha256Of(BIG);

const s3 = new S3Server();
const onS3 = (): Record<string, string> => ({
  BELLWETHER_S3_BUCKET: s3.bucket,
  BELLWETHER_S3_ENDPOINT: s3.url,
  BELLWETHER_S3_REGION: s3.region,
  BELLWETHER_S3_ACCESS_KEY_ID: s3.credential.accessKeyId,
  BELLWETHER_S3_SECRET_ACCESS_KEY: s3.credential.secretAccessKey,
});
beforeAll(async () => {
  await s3.start();
});
afterAll(() => s3.stop());

describe.each([
  ['disk', (): Record<string, string> => ({})],
  ['S3', onS3],
])('artifacts on %s', (_store, env) => {
  let manager: TestManager;
  let node: TestNode;
  beforeAll(async () => {
    manager = await startTestManager({
      BELLWETHER_ARTIFACT_BYTES_MAX: String(LIMIT),
      BELLWETHER_DOWNLOADS_MAX: '6',
      ...env(),
    });
    node = await manager.node();
  });
  afterAll(() => manager.stop());

  const path = (digest = DIGEST): string => `${manager.url}/api/v1/blobs/sha256/${digest}`;
  const status = async (digest = DIGEST) =>
    (await manager.call('releases.upload_status', { params: { digest } })).body;
  /** Opens the sending of a piece; nothing of its body has gone out. */
  const sending = (
    piece: { offset: number | string; length: number | string; bytes: number },
    digest = DIGEST,
  ): ClientRequest =>
    httpRequest(path(digest), {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${manager.admin}`,
        'content-length': piece.bytes,
        'upload-offset': piece.offset,
        'upload-length': piece.length,
      },
    });
  const append = async (offset: number, end: number, from = BYTES, digest = DIGEST) => {
    const request = sending({ offset, length: from.length, bytes: end - offset }, digest);
    request.end(from.subarray(offset, end));
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
    return { status: response.statusCode, body };
  };
  const ask = (digest: string, headers: Record<string, string>, by: TestNode, method = 'GET') =>
    fetch(`${manager.url}/node/v1/blobs/sha256/${digest}`, {
      method,
      headers: { authorization: `Bearer ${by.token()}`, ...headers },
    });
  const download = (headers: Record<string, string> = {}, by = node, method = 'GET') =>
    ask(DIGEST, headers, by, method);
  const hold = (by = node) => ask(BIG_DIGEST, {}, by);

  it('come in pieces, and go on where a connection broke off', async () => {
    expect(await status()).toEqual({ sha256: DIGEST, offset: 0, complete: false });
    const cut = sending({ offset: 0, length: BYTES.length, bytes: BYTES.length });
    cut.on('error', () => undefined).write(BYTES.subarray(0, 3_000_000));
    await expect.poll(async () => (await status()).offset).toBe(3_000_000);
    cut.destroy();
    expect(await append(3_000_000, 5_000_000)).toMatchObject({
      status: 200,
      body: { offset: 5_000_000, complete: false },
    });
    const wrong = await append(4_000_000, 9_000_000);
    expect(wrong).toMatchObject({
      status: 409,
      body: { code: 'upload_offset_mismatch', context: { offset: 5_000_000 } },
    });
    expect(await append(5_000_000, 9_000_000)).toMatchObject({
      status: 200,
      body: { offset: 9_000_000, complete: true },
    });
    expect(await status()).toMatchObject({ complete: true });
    expect(Buffer.from(await (await download()).arrayBuffer()).equals(BYTES)).toBe(true);
  });

  it.each([
    [{ offset: 0, length: 3 * LIMIT, bytes: 3 }, 413, 'payload_too_large'],
    [{ offset: 'x', length: 3, bytes: 3 }, 400, 'invalid_request'],
    [{ offset: 0, length: '', bytes: 3 }, 400, 'invalid_request'],
  ])('are refused with headers %j', async (piece, wanted, code) => {
    const request = sending(piece, 'ab'.repeat(32));
    request.end('abc');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const [body] = (await once(response, 'data')) as [Buffer];
    expect([response.statusCode, (JSON.parse(body.toString()) as { code: string }).code]).toEqual([
      wanted,
      code,
    ]);
  });

  it('with a wrong digest are refused and leave nothing', async () => {
    const digest = 'cd'.repeat(32);
    const answer = await append(0, 100, Buffer.alloc(100), digest);
    expect(answer).toMatchObject({ status: 422, body: { code: 'release_digest_mismatch' } });
    expect(await status(digest)).toEqual({ sha256: digest, offset: 0, complete: false });
    expect(readdirSync(join(manager.manager.config.dataDir, 'uploads'))).toEqual([]);
  });

  it('are given in parts, or not again to one who has them', async () => {
    const part = await download({ range: 'bytes=8000000-8000009' });
    expect([part.status, part.headers.get('content-range')]).toEqual([
      206,
      'bytes 8000000-8000009/9000000',
    ]);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(BYTES.subarray(8_000_000, 8_000_010));
    const head = await download({}, node, 'HEAD');
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '9000000']);
    expect(head.headers.get('etag')).toBe(`"${DIGEST}"`);
    const past = await download({ range: 'bytes=9000000-' });
    expect([past.status, past.headers.get('content-range')]).toEqual([416, 'bytes */9000000']);
  });

  it('are given to so many at once; the others hear when to come again', async () => {
    const other = await manager.node('grp_default', 'other');
    const third = await manager.node('grp_default', 'third');
    await upload(manager, BIG);
    const downloads = manager.manager.app.get(Downloads);
    await expect.poll(() => downloads.count).toBe(0);
    const held: Response[] = [];
    // Bodies that nobody reads: they stay open.
    for (let i = 0; i < 4; i += 1) held.push(await hold());
    expect(downloads.count).toBe(4);
    const own = await hold();
    expect(own.status).toBe(429);
    for (let i = 0; i < 2; i += 1) held.push(await hold(other));
    const busy = await hold(third);
    expect([busy.status, ((await busy.json()) as { code: string }).code]).toEqual([
      503,
      'downloads_busy',
    ]);
    for (const answer of [own, busy]) {
      const wait = Number(answer.headers.get('retry-after'));
      expect(wait).toBeGreaterThanOrEqual(2);
      expect(wait).toBeLessThanOrEqual(30);
    }
    // What needs no bytes needs no room.
    expect((await download({ 'if-match': '"x"' }, third)).status).toBe(412);
    for (const answer of held) await answer.body?.cancel();
    await expect.poll(async () => (await download({}, third)).status).toBe(200);
  });

  it('are collected when nothing needs them and they are old; the rest stays', async () => {
    const needed = Buffer.from(`needed ${env.name}`);
    const id = await release(manager, { version: '7.0.0', sequence: 7 }, needed);
    const lost = Buffer.from('lost');
    await upload(manager, lost);
    const dry = (dry_run: boolean) => manager.call('releases.collect', { body: { dry_run } });
    expect((await dry(true)).body).toMatchObject({ blobs: [], bytes: 0, dry_run: true });
    manager.clock.advance(169 * 3_600_000);
    const found = (await dry(true)).body.blobs.map(({ sha256 }) => sha256);
    expect(found.sort()).toEqual([sha256Of(lost), DIGEST, BIG_DIGEST].sort());
    expect((await status(sha256Of(lost))).complete).toBe(true);
    const gone = (await dry(false)).body;
    expect(gone.bytes).toBe(lost.length + BYTES.length + BIG.length);
    expect((await status(sha256Of(lost))).complete).toBe(false);
    expect((await status(sha256Of(needed))).complete).toBe(true);
    const audit = await manager.call('audit.list', { query: { action: 'release.collect' } });
    expect(audit.body.items[0]?.details).toMatchObject({ count: 3, bytes: gone.bytes });
    // A yanked one is kept for ever unless the operator said otherwise.
    await manager.call('releases.yank', { params: { id }, body: { reason: 'x' } });
    manager.clock.advance(80 * 86_400_000);
    expect((await dry(true)).body.blobs).toEqual([]);
  });
});

describe('a slow manager', () => {
  it('keeps its rate, and cuts nobody off who waits for his turn', async () => {
    const manager = await startTestManager({
      BELLWETHER_DOWNLOAD_BYTES_PER_SECOND: '2000000',
    });
    const bytes = randomBytes(1_000_000);
    await upload(manager, bytes);
    const nodes = [await manager.node(), await manager.node('grp_default', 'other')];
    const before = performance.now();
    const all = await Promise.all(
      [...nodes, ...nodes].map(async (node) => {
        const answer = await fetch(`${manager.url}/node/v1/blobs/sha256/${sha256Of(bytes)}`, {
          headers: { authorization: `Bearer ${node.token()}` },
        });
        return sha256Of(Buffer.from(await answer.arrayBuffer()));
      }),
    );
    const seconds = (performance.now() - before) / 1_000;
    expect(new Set(all)).toEqual(new Set([sha256Of(bytes)]));
    // Four times a megabyte at two a second.
    expect(seconds).toBeGreaterThan(1.8);
    expect(seconds).toBeLessThan(6);
    await manager.stop();
  });
});

describe('the store of a manager', () => {
  it('says that it is full, read-only or away, and serves what is there when it can', async () => {
    const manager = await startTestManager(onS3());
    const bytes = randomBytes(1_000);
    const put = (): Promise<Response> =>
      fetch(`${manager.url}/api/v1/blobs/sha256/${sha256Of(bytes)}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${manager.admin}` },
        body: bytes as unknown as ArrayBuffer,
      });
    const told = async (answer: Response): Promise<[number, string]> => [
      answer.status,
      ((await answer.json()) as { code: string }).code,
    ];
    s3.trouble = 'full';
    expect(await told(await put())).toEqual([507, 'blob_store_full']);
    s3.trouble = 'read_only';
    expect(await told(await put())).toEqual([503, 'blob_store_read_only']);
    s3.trouble = null;
    s3.outages = 1_000;
    expect(await told(await put())).toEqual([503, 'blob_store_unavailable']);
    s3.outages = 0;
    expect((await put()).status).toBe(201);
    await manager.stop();
  });

  it('lets the artifacts of yanked releases go after the time that was set', async () => {
    const manager = await startTestManager({
      BELLWETHER_YANKED_KEEP_DAYS: '30',
      BELLWETHER_BLOB_GRACE_HOURS: '1',
    });
    const bytes = Buffer.from('yanked');
    const id = await release(manager, { version: '1.0.0' }, bytes);
    await manager.call('releases.yank', { params: { id }, body: { reason: 'x' } });
    const left = async (): Promise<number> =>
      (await manager.call('releases.collect', { body: {} })).body.blobs.length;
    manager.clock.advance(29 * 86_400_000);
    expect(await left()).toBe(0);
    manager.clock.advance(2 * 86_400_000);
    expect(await left()).toBe(1);
    await manager.stop();
  });

  it('is swept by the manager itself, half uploads too', async () => {
    const manager = await startTestManager({ BELLWETHER_BLOB_GRACE_HOURS: '1' });
    await upload(manager, Buffer.from('lost'));
    const { dataDir } = manager.manager.config;
    const request = httpRequest(`${manager.url}/api/v1/blobs/sha256/${'ab'.repeat(32)}`, {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${manager.admin}`,
        'upload-offset': 0,
        'upload-length': 100,
      },
    });
    request.end('half');
    await once(request, 'response');
    const half = join(dataDir, 'uploads', 'ab'.repeat(32));
    const old = new Date(Date.now() - 10_000);
    utimesSync(half, old, old);
    manager.clock.advance(25 * 3_600_000);
    await expect
      .poll(() => readdirSync(join(dataDir, 'uploads')), { timeout: 20_000, interval: 200 })
      .toEqual([]);
    await expect
      .poll(async () => (await manager.call('releases.collect', { body: {} })).body.blobs.length, {
        timeout: 20_000,
        interval: 200,
      })
      .toBe(0);
    await manager.stop();
  });
});
