import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { BlobStore } from './blob-store.js';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const LIMIT = 10_000_000;

describe('the blob store', () => {
  const dirs: ReturnType<typeof makeTempDir>[] = [];
  afterEach(() => {
    for (const dir of dirs.splice(0)) dir.remove();
  });
  const aStore = (): { root: string; blobs: BlobStore } => {
    const dir = makeTempDir();
    dirs.push(dir);
    return { root: dir.path, blobs: new BlobStore(dir.path) };
  };
  const filesIn = (root: string): string[] =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name);

  it('keeps bytes under their digest', async () => {
    const { root, blobs } = aStore();
    const bytes = randomBytes(3_000_000);
    const digest = sha256(bytes);
    expect(await blobs.sizeOf(digest)).toBeNull();
    expect(await blobs.put(digest, Readable.from([bytes]), LIMIT)).toEqual({ size: bytes.length });
    expect(await blobs.sizeOf(digest)).toBe(bytes.length);
    expect(readFileSync(blobs.pathOf(digest)).equals(bytes)).toBe(true);
    expect(blobs.pathOf(digest)).toBe(join(root, 'sha256', digest.slice(0, 2), digest));
  });

  it('takes the same blob again, also twice at once', async () => {
    const { root, blobs } = aStore();
    const bytes = randomBytes(100_000);
    const digest = sha256(bytes);
    const put = (): Promise<unknown> => blobs.put(digest, Readable.from([bytes]), LIMIT);
    await Promise.all([put(), put(), put()]);
    await put();
    expect(filesIn(root)).toEqual([digest]);
  });

  it('takes an empty blob', async () => {
    const { blobs } = aStore();
    const digest = sha256(Buffer.alloc(0));
    expect(await blobs.put(digest, Readable.from([]), LIMIT)).toEqual({ size: 0 });
    expect(await blobs.sizeOf(digest)).toBe(0);
  });

  it.each([
    [
      'the bytes have another digest',
      (): Readable => Readable.from([Buffer.from('b')]),
      'release_digest_mismatch',
    ],
    [
      'there are too many bytes',
      (): Readable => Readable.from([Buffer.alloc(60), Buffer.alloc(60)]),
      'payload_too_large',
    ],
    [
      'the sender goes away',
      (): Readable =>
        Readable.from(
          (async function* () {
            yield await Promise.resolve(Buffer.from('half'));
            throw new Error('aborted');
          })(),
        ),
      'invalid_request',
    ],
  ])('leaves nothing behind when %s', async (_why, stream, code) => {
    const { root, blobs } = aStore();
    const wanted = sha256(Buffer.from('a'));
    await expect(blobs.put(wanted, stream(), 100)).rejects.toMatchObject({ code });
    expect(filesIn(root)).toEqual([]);
    expect(await blobs.sizeOf(wanted)).toBeNull();
  });

  it('keeps the blob that is there when a later upload for its digest is wrong', async () => {
    const { blobs } = aStore();
    const bytes = Buffer.from('good');
    const digest = sha256(bytes);
    await blobs.put(digest, Readable.from([bytes]), LIMIT);
    const wrong = blobs.put(digest, Readable.from([Buffer.from('bad')]), LIMIT);
    await expect(wrong).rejects.toMatchObject({ code: 'release_digest_mismatch' });
    expect(readFileSync(blobs.pathOf(digest), 'utf8')).toBe('good');
  });

  it('clears away at its start what a crash left half, and nothing else', async () => {
    const { root, blobs } = aStore();
    const bytes = Buffer.from('whole');
    await blobs.put(sha256(bytes), Readable.from([bytes]), LIMIT);
    writeFileSync(join(root, 'incoming', 'half'), 'ha');
    mkdirSync(join(root, 'incoming', 'odd'));
    const again = new BlobStore(root);
    expect(filesIn(root)).toEqual([sha256(bytes)]);
    expect(await again.sizeOf(sha256(bytes))).toBe(5);
  });
});
