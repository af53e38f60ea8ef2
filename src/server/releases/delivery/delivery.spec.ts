import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../../test/support/databases.js';
import { mountSmallDisk } from '../../../../test/support/small-disk.js';
import { DiskBlobs } from '../store/disk-blobs.js';
import { partOf } from './conditional.js';
import { Downloads, PER_NODE_MAX } from './downloads.js';
import { Pace } from './pace.js';
import { PARTIALS_MAX, PartialUploads } from './partial-uploads.js';

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('the part of a blob that is asked for', () => {
  const ETAG = '"abc"';
  it.each([
    [{}, 200, 0, 99],
    [{ range: 'bytes=0-' }, 206, 0, 99],
    [{ range: 'bytes=10-19' }, 206, 10, 19],
    [{ range: 'bytes=90-900' }, 206, 90, 99],
    [{ range: 'bytes=-5' }, 206, 95, 99],
    [{ range: 'bytes=-500' }, 206, 0, 99],
    [{ range: 'bytes=10-19', 'if-range': ETAG }, 206, 10, 19],
    [{ range: 'bytes=10-19', 'if-range': '"other"' }, 200, 0, 99],
    // What is no range, or several, may be answered with the whole.
    [{ range: 'bytes=19-10' }, 200, 0, 99],
    [{ range: 'bytes=0-1,5-6' }, 200, 0, 99],
    [{ range: 'bytes=-' }, 200, 0, 99],
    [{ range: 'lines=1-2' }, 200, 0, 99],
    [{ range: `bytes=${'9'.repeat(30)}-` }, 200, 0, 99],
  ])('of %j is %i %i-%i', (headers, status, start, end) => {
    expect(partOf(headers, ETAG, 100)).toEqual({ status, range: { start, end } });
  });

  it.each([
    [{ range: 'bytes=100-' }, 416],
    [{ range: 'bytes=-0' }, 416],
    [{ 'if-none-match': ETAG }, 304],
    [{ 'if-none-match': '"x", W/"abc"' }, 304],
    [{ 'if-none-match': '*', range: 'bytes=0-1' }, 304],
    [{ 'if-match': '"x"' }, 412],
  ])('of %j is none: %i', (headers, status) => {
    expect(partOf(headers, ETAG, 100)).toEqual({ status, range: null });
  });
});

describe('downloads', () => {
  const codeOf = (begin: () => unknown): unknown => {
    try {
      begin();
      return null;
    } catch (error) {
      return error;
    }
  };

  it('are limited for a node, and in all, and say when to come again', () => {
    const downloads = new Downloads({ downloadsMax: 6, downloadBytesPerSecond: null });
    const slots = Array.from({ length: PER_NODE_MAX }, () => downloads.begin('nod_a'));
    expect(codeOf(() => downloads.begin('nod_a'))).toMatchObject({ code: 'rate_limited' });
    slots.push(downloads.begin('nod_b'), downloads.begin('nod_c'));
    expect(codeOf(() => downloads.begin('nod_d'))).toMatchObject({ code: 'downloads_busy' });
    const waits = Array.from({ length: 200 }, () => {
      const { context } = codeOf(() => downloads.begin('nod_d')) as {
        context: { retry_after_seconds: number };
      };
      return context.retry_after_seconds;
    });
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...waits)).toBeLessThanOrEqual(30);
    // Spread: who was sent away together does not come back together.
    expect(new Set(waits).size).toBeGreaterThan(15);
    for (const slot of [...slots, ...slots]) slot.release();
    expect(downloads.count).toBe(0);
    expect(codeOf(() => downloads.begin('nod_a'))).toBeNull();
  });

  it('share one rate evenly among nodes, however many each has open', async () => {
    const pace = new Pace(4_000_000);
    const got = { a: 0, b: 0 };
    const until = performance.now() + 500;
    const stream = async (nodeId: 'a' | 'b'): Promise<void> => {
      while (performance.now() < until) {
        await pace.take(nodeId, 20_000);
        got[nodeId] += 20_000;
      }
    };
    await Promise.all([stream('a'), stream('a'), stream('a'), stream('b')]);
    expect(got.a / got.b).toBeGreaterThan(0.8);
    expect(got.a / got.b).toBeLessThan(1.25);
    expect(got.a + got.b).toBeGreaterThan(1_000_000);
    expect(got.a + got.b).toBeLessThan(2_600_000);
  });
});

describe('uploads in pieces', () => {
  let dir: ReturnType<typeof makeTempDir>;
  let blobs: DiskBlobs;
  let uploads: PartialUploads;
  const bytes = randomBytes(500_000);
  const sha256 = digestOf(bytes);
  beforeEach(() => {
    dir = makeTempDir();
    blobs = new DiskBlobs(join(dir.path, 'blobs'));
    uploads = new PartialUploads(join(dir.path, 'uploads'), blobs);
  });
  afterEach(() => dir.remove());
  const append = (offset: number, end: number, from = bytes, digest = sha256) =>
    uploads.append(digest, {
      offset,
      length: from.length,
      bytes: Readable.from([from.subarray(offset, end)]),
    });
  const halves = (): string[] => readdirSync(join(dir.path, 'uploads'));

  it('grow until they are whole, also over a restart, and then are in the store', async () => {
    expect(await uploads.status(sha256)).toEqual({ offset: 0, complete: false });
    expect(await append(0, 200_000)).toEqual({ offset: 200_000, complete: false });
    uploads = new PartialUploads(join(dir.path, 'uploads'), blobs);
    expect(await uploads.status(sha256)).toEqual({ offset: 200_000, complete: false });
    expect(await blobs.find(sha256)).toBeNull();
    expect(await append(200_000, 500_000)).toEqual({ offset: 500_000, complete: true });
    expect(await blobs.find(sha256)).toMatchObject({ size: 500_000 });
    expect(await uploads.status(sha256)).toEqual({ offset: 500_000, complete: true });
    expect(halves()).toEqual([]);
    // Whoever did not hear that it was the last piece may ask again.
    expect(await append(500_000, 500_000)).toEqual({ offset: 500_000, complete: true });
  });

  it('go on only where they stopped, and say where that is', async () => {
    await append(0, 200_000);
    for (const offset of [0, 100_000, 200_001]) {
      await expect(append(offset, 500_000)).rejects.toMatchObject({
        code: 'upload_offset_mismatch',
        context: { offset: 200_000 },
      });
    }
    expect(await uploads.status(sha256)).toEqual({ offset: 200_000, complete: false });
  });

  it('keep what came when the sender goes away', async () => {
    const stream = new PassThrough();
    const upload = uploads.append(sha256, { offset: 0, length: bytes.length, bytes: stream });
    stream.write(bytes.subarray(0, 150_000), () => {
      setTimeout(() => stream.destroy(new Error('aborted')), 20);
    });
    await expect(upload).rejects.toMatchObject({ code: 'invalid_request' });
    const { offset } = await uploads.status(sha256);
    expect(offset).toBe(150_000);
    expect(await append(offset, 500_000)).toMatchObject({ complete: true });
  });

  it('are taken over by a later sender', async () => {
    const silent = new PassThrough();
    const first = uploads.append(sha256, { offset: 0, length: bytes.length, bytes: silent });
    const lost = expect(first).rejects.toMatchObject({ code: 'invalid_request' });
    silent.write(bytes.subarray(0, 1_000));
    await new Promise((resolve) => setTimeout(resolve, 30));
    const { offset } = await uploads.status(sha256);
    expect(await append(offset, 500_000)).toMatchObject({ complete: true });
    await lost;
  });

  it.each([
    [
      'the bytes have another digest',
      () => append(0, 500_000, randomBytes(500_000)),
      'release_digest_mismatch',
    ],
    [
      'more comes than was announced',
      () => uploads.append(sha256, { offset: 0, length: 10, bytes: Readable.from([bytes]) }),
      'payload_too_large',
    ],
  ])('leave nothing when %s', async (_why, upload, code) => {
    await expect(upload()).rejects.toMatchObject({ code });
    expect(halves()).toEqual([]);
    expect(await blobs.find(sha256)).toBeNull();
  });

  it('are forgotten when nobody goes on with them', async () => {
    await append(0, 200_000);
    writeFileSync(join(dir.path, 'uploads', 'ab'.repeat(32)), 'old');
    const yesterday = new Date(Date.now() - 90_000_000);
    utimesSync(join(dir.path, 'uploads', 'ab'.repeat(32)), yesterday, yesterday);
    expect(await uploads.tidy(Date.now() - 86_400_000)).toBe(1);
    expect(halves()).toEqual([sha256]);
  });

  it('are so many at once at most', async () => {
    await append(0, 1);
    for (let i = 1; i < PARTIALS_MAX; i += 1) {
      writeFileSync(join(dir.path, 'uploads', String(i).padStart(64, '0')), 'x');
    }
    const other = randomBytes(10);
    await expect(append(0, 5, other, digestOf(other))).rejects.toMatchObject({
      code: 'rate_limited',
    });
    // Those that were begun may end.
    expect(await append(1, 500_000)).toMatchObject({ complete: true });
  });

  it('say that the disk is full, and give it back', async () => {
    const disk = mountSmallDisk();
    if (disk === null) return;
    try {
      const small = new PartialUploads(disk.path, blobs);
      const large = randomBytes(3_000_000);
      const upload = small.append(digestOf(large), {
        offset: 0,
        length: large.length,
        bytes: Readable.from([large]),
      });
      await expect(upload).rejects.toMatchObject({ code: 'blob_store_full' });
      expect(readdirSync(disk.path)).toEqual([]);
    } finally {
      disk.remove();
    }
  });
});
