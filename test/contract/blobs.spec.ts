import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskBlobs } from '../../src/server/releases/store/disk-blobs.js';
import { addressOf } from '../../src/server/releases/store/s3-client.js';
import { S3Blobs } from '../../src/server/releases/store/s3-blobs.js';
import { makeTempDir } from '../support/databases.js';
import { S3Server } from '../support/release/s3-server.js';
import { mountSmallDisk } from '../support/small-disk.js';
import { describeBlobs, digestOf, type OpenBlobs } from './blobs.contract.js';

const filesIn = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('ballast'))
    .map((entry) => entry.name);

async function onDisk(): Promise<OpenBlobs> {
  const disk = mountSmallDisk('64m');
  const dir = disk ?? makeTempDir();
  const remount = (how: 'ro' | 'rw'): void =>
    void spawnSync('mount', ['-o', `remount,${how}`, dir.path]);
  return {
    blobs: new DiskBlobs(join(dir.path, 'blobs')),
    leftovers: async () => filesIn(dir.path).length,
    break: disk && ((how) => (how === 'full' ? disk.fill() : remount('ro'))),
    mend: () => {
      if (disk === null) return;
      remount('rw');
      disk.free();
    },
    close: async () => dir.remove(),
  };
}

const clientOf = (server: S3Server, change: object = {}): S3Blobs =>
  new S3Blobs({
    endpoint: server.url,
    bucket: server.bucket,
    region: server.region,
    prefix: 'fleet/',
    pathStyle: true,
    ...server.credential,
    ...change,
  });

describeBlobs('disk', onDisk);

describeBlobs('S3', async () => {
  const server = await new S3Server().start();
  return {
    blobs: clientOf(server),
    leftovers: async () => server.objects.size + server.uploads.size,
    break: (how) => void (server.trouble = how),
    mend: () => void (server.trouble = null),
    close: () => server.stop(),
  };
});

it('blobs on disk clear away at their start what a crash left half, and nothing else', async () => {
  const dir = makeTempDir();
  const bytes = Buffer.from('whole');
  const blobs = new DiskBlobs(dir.path);
  await blobs.put(digestOf(bytes), Readable.from([bytes]), 100);
  expect(blobs.pathOf(digestOf(bytes))).toMatch(/sha256\/[0-9a-f]{2}\/[0-9a-f]{64}$/);
  writeFileSync(join(dir.path, 'incoming', 'half'), 'ha');
  mkdirSync(join(dir.path, 'incoming', 'odd'));
  const again = new DiskBlobs(dir.path);
  expect(filesIn(dir.path)).toEqual([digestOf(bytes)]);
  expect(await again.find(digestOf(bytes))).toMatchObject({ size: 5 });
  writeFileSync(join(dir.path, 'incoming', 'half'), 'ha');
  expect(await again.tidy(Date.now() - 60_000)).toBe(0);
  expect(await again.tidy(Date.now() + 60_000)).toBe(1);
  dir.remove();
});

describe('blobs in S3', () => {
  let server: S3Server;
  const bytes = Buffer.from('bytes');
  const sha256 = digestOf(bytes);
  beforeEach(async () => {
    server = await new S3Server().start();
  });
  afterEach(() => server.stop());

  it('lie below their prefix, among what others put there', async () => {
    const blobs = clientOf(server);
    await blobs.put(sha256, Readable.from([bytes]), 100);
    const key = `fleet/sha256/${sha256.slice(0, 2)}/${sha256}`;
    expect([...server.objects.keys()]).toEqual([key]);
    server.objects.set('fleet/sha256/readme.txt', { bytes, at: new Date() });
    server.objects.set('other/x', { bytes, at: new Date() });
    expect((await blobs.list(null, 10)).map((one) => one.sha256)).toEqual([sha256]);
  });

  it('outlive a short outage, and tell a long one', async () => {
    const blobs = clientOf(server);
    server.outages = 2;
    await blobs.put(sha256, Readable.from([bytes]), 100);
    server.outages = 1_000;
    await expect(blobs.find(sha256)).rejects.toMatchObject({ code: 'blob_store_unavailable' });
    await server.stop();
    const gone = blobs.find(sha256);
    await expect(gone).rejects.toMatchObject({ code: 'blob_store_unavailable' });
    await server.start();
  });

  it.each([
    ['secret', { secretAccessKey: 'another/secret' }],
    ['key', { accessKeyId: 'AKIAOTHER' }],
    ['region', { region: 'eu-test-2' }],
    ['bucket', { bucket: 'others' }],
  ])('are not had with a wrong %s, and the error keeps the secret', async (_what, change) => {
    const blobs = clientOf(server, change);
    const error: unknown = await blobs
      .put(sha256, Readable.from([bytes]), 100)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'blob_store_unavailable' });
    const told = `${String(error)} ${JSON.stringify(error)} ${String((error as Error).stack)}`;
    expect(told).not.toMatch(/secret/);
    expect(server.objects.size).toBe(0);
    // Of HEAD no reason comes back: it must not pass for "there is no such blob".
    const looked = await blobs.find(sha256).catch((thrown: unknown) => thrown);
    if (!('bucket' in change)) expect(looked).toMatchObject({ code: 'blob_store_unavailable' });
  });

  it('tidy away uploads that nobody went on with', async () => {
    const blobs = clientOf(server);
    server.uploads.set('old', { key: 'fleet/sha256/x', at: new Date(0), parts: new Map() });
    server.uploads.set('new', { key: 'fleet/sha256/y', at: new Date(), parts: new Map() });
    server.uploads.set('far', { key: 'other/y', at: new Date(0), parts: new Map() });
    expect(await blobs.tidy(Date.now() - 60_000)).toBe(1);
    expect([...server.uploads.keys()]).toEqual(['new', 'far']);
  });

  it('name the bucket in the path or in the host', () => {
    const endpoint = 'https://s3.example:9000';
    const of = (pathStyle: boolean): string => addressOf({ endpoint, bucket: 'b', pathStyle });
    expect([of(true), of(false)]).toEqual([
      'https://s3.example:9000/b/',
      'https://b.s3.example:9000/',
    ]);
  });
});
