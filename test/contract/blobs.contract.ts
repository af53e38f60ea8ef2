import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Blobs } from '../../src/server/releases/store/blobs.port.js';
import { makeTempDir } from '../support/databases.js';

export const digestOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

/** A store that nothing else uses, and what its specs need to look behind it. */
export interface OpenBlobs {
  readonly blobs: Blobs;
  /** Everything that lies there, half writes included, by whatever name. */
  leftovers(): Promise<number>;
  /** Makes it full, or read-only, until it is mended; null where that cannot be had here. */
  readonly break: ((how: 'full' | 'read_only') => void) | null;
  mend(): void;
  close(): Promise<void>;
}

const LIMIT = 100_000_000;
/** Above one part of an S3 upload, and no multiple of it. */
const LARGE_BYTES = 20 * 1024 * 1024 + 17;

async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks);
}

/** In uneven chunks, as a network gives them. */
function* chunked(bytes: Buffer): Generator<Buffer> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7 + 11) % 300_000) {
    yield bytes.subarray(at, at + size);
  }
}

/** What every adapter of the port of artifacts promises. */
export function describeBlobs(name: string, open: () => Promise<OpenBlobs>): void {
  describe(`blobs (${name})`, () => {
    let store: OpenBlobs;
    let blobs: Blobs;
    const dir = makeTempDir();
    beforeEach(async () => {
      store = await open();
      blobs = store.blobs;
    });
    afterEach(async () => {
      store.mend();
      await store.close();
      dir.remove();
    });
    const put = (bytes: Buffer, sha256 = digestOf(bytes), limit = LIMIT) =>
      blobs.put(sha256, Readable.from(chunked(bytes)), limit);
    const whole = async (sha256: string): Promise<Buffer> => {
      const found = await blobs.find(sha256);
      return bytesOf(await blobs.read(sha256, { start: 0, end: (found?.size ?? 0) - 1 }));
    };

    it.each([
      ['an empty one', 0],
      ['one byte', 1],
      ['some', 100_000],
      ['exactly one part', 8 * 1024 * 1024],
      ['a large one', LARGE_BYTES],
    ])('keep bytes under their digest: %s', async (_what, size) => {
      const bytes = randomBytes(size);
      const sha256 = digestOf(bytes);
      expect(await blobs.find(sha256)).toBeNull();
      expect(await put(bytes)).toEqual({ size });
      const found = await blobs.find(sha256);
      expect(found).toMatchObject({ sha256, size });
      expect(Math.abs((found?.storedAt ?? 0) - Date.now())).toBeLessThan(60_000);
      expect((await whole(sha256)).equals(bytes)).toBe(true);
      expect(await store.leftovers()).toBe(1);
    });

    it('give any part', async () => {
      const bytes = randomBytes(1_000_000);
      const sha256 = digestOf(bytes);
      await put(bytes);
      for (const [start, end] of [
        [0, 0],
        [0, 999_999],
        [500_000, 700_000],
        [999_999, 999_999],
      ] as const) {
        const part = await bytesOf(await blobs.read(sha256, { start, end }));
        expect(part.equals(bytes.subarray(start, end + 1))).toBe(true);
      }
    });

    it('say that what is not there is not there', async () => {
      const sha256 = 'ab'.repeat(32);
      await expect(blobs.read(sha256, { start: 0, end: 1 })).rejects.toMatchObject({
        code: 'not_found',
      });
      expect(await blobs.remove(sha256)).toBe(false);
      expect(await blobs.list(null, 10)).toEqual([]);
    });

    it('take the same again, also at once, and then it counts as new', async () => {
      const bytes = randomBytes(300_000);
      const sha256 = digestOf(bytes);
      await Promise.all([put(bytes), put(bytes), put(bytes)]);
      const first = (await blobs.find(sha256))?.storedAt ?? 0;
      await sleep(1_100);
      await put(bytes);
      expect((await blobs.find(sha256))?.storedAt).toBeGreaterThan(first);
      expect((await whole(sha256)).equals(bytes)).toBe(true);
      expect(await store.leftovers()).toBe(1);
    });

    it('take many different ones at once', async () => {
      const all = Array.from({ length: 12 }, (_, i) => randomBytes(50_000 + i));
      await Promise.all(all.map((bytes) => put(bytes)));
      for (const bytes of all) expect((await whole(digestOf(bytes))).equals(bytes)).toBe(true);
    });

    it('adopt a file', async () => {
      const bytes = randomBytes(LARGE_BYTES);
      const sha256 = digestOf(bytes);
      const again = makeTempDir();
      const path = join(again.path, 'file');
      writeFileSync(path, bytes);
      await blobs.adopt(sha256, path);
      expect((await whole(sha256)).equals(bytes)).toBe(true);
      again.remove();
    });

    const broken = (bytes: Buffer): Readable =>
      Readable.from(
        (async function* () {
          yield* chunked(bytes);
          throw await Promise.resolve(new Error('aborted'));
        })(),
      );
    it.each([
      ['the bytes have another digest', 100_000, 'release_digest_mismatch'],
      ['many bytes have another digest', LARGE_BYTES, 'release_digest_mismatch'],
    ])('leave nothing when %s', async (_why, size, code) => {
      const wrong = digestOf(Buffer.from('other'));
      await expect(put(randomBytes(size), wrong)).rejects.toMatchObject({ code });
      expect(await blobs.find(wrong)).toBeNull();
      expect(await store.leftovers()).toBe(0);
    });

    it.each([
      ['at once', 1_000],
      ['late', LARGE_BYTES],
    ])('leave nothing when the sender goes away %s', async (_when, size) => {
      const bytes = randomBytes(size);
      const refused = blobs.put(digestOf(bytes), broken(bytes), LIMIT);
      await expect(refused).rejects.toMatchObject({ code: 'invalid_request' });
      expect(await store.leftovers()).toBe(0);
    });

    it('leave nothing, and the rest of the stream unread, when there are too many bytes', async () => {
      const bytes = randomBytes(LARGE_BYTES);
      const stream = Readable.from(chunked(bytes));
      const refused = blobs.put(digestOf(bytes), stream, 10_000_000);
      await expect(refused).rejects.toMatchObject({ code: 'payload_too_large' });
      expect(stream.destroyed).toBe(false);
      expect(await store.leftovers()).toBe(0);
    });

    it('keep what is there when a later upload for its digest is wrong', async () => {
      const bytes = Buffer.from('good');
      const sha256 = digestOf(bytes);
      await put(bytes);
      await expect(put(Buffer.from('bad'), sha256)).rejects.toMatchObject({
        code: 'release_digest_mismatch',
      });
      expect((await whole(sha256)).toString()).toBe('good');
    });

    it('are removed, once', async () => {
      const bytes = randomBytes(1_000);
      const sha256 = digestOf(bytes);
      await put(bytes);
      expect(await blobs.remove(sha256)).toBe(true);
      expect(await blobs.remove(sha256)).toBe(false);
      expect(await blobs.find(sha256)).toBeNull();
      await put(bytes);
      expect((await whole(sha256)).equals(bytes)).toBe(true);
    });

    it('are listed in the order of their digests, page by page', async () => {
      const all = Array.from({ length: 7 }, (_, i) => Buffer.from(`blob ${i}`));
      for (const bytes of all) await put(bytes);
      const wanted = all.map(digestOf).sort();
      const walked: string[] = [];
      for (let after: string | null = null; ;) {
        const page: readonly { sha256: string; size: number }[] = await blobs.list(after, 3);
        if (page.length === 0) break;
        expect(page.every(({ size }) => size === 6)).toBe(true);
        walked.push(...page.map(({ sha256 }) => sha256));
        after = page.at(-1)?.sha256 ?? null;
      }
      expect(walked).toEqual(wanted);
      expect((await blobs.list(null, 100)).map(({ sha256 }) => sha256)).toEqual(wanted);
    });

    it.each([
      ['full', 'blob_store_full', 1_000_000],
      ['full', 'blob_store_full', LARGE_BYTES],
      ['read_only', 'blob_store_read_only', 1_000],
    ] as const)('say that they are %s, and go on when that is over', async (how, code, size) => {
      if (store.break === null) return;
      const kept = Buffer.from('kept');
      await put(kept);
      store.break(how);
      const bytes = randomBytes(size);
      await expect(put(bytes)).rejects.toMatchObject({ code, kind: 'operational' });
      expect(await blobs.find(digestOf(bytes))).toBeNull();
      expect((await whole(digestOf(kept))).toString()).toBe('kept');
      store.mend();
      expect(await store.leftovers()).toBe(1);
      const small = randomBytes(1_000);
      await put(small);
      expect((await whole(digestOf(small))).equals(small)).toBe(true);
    });

    it('tidy away nothing that is young, nor anything whole', async () => {
      await put(Buffer.from('whole'));
      expect(await blobs.tidy(Date.now() + 86_400_000)).toBe(0);
      expect(await store.leftovers()).toBe(1);
    });
  });
}
