import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tar } from '../../../test/support/archive.js';
import { deltaFileOf, deltaStream, makeDelta } from '../../../test/support/release/delta.js';
import { NodeBench, RUNS } from '../../../test/support/node-bench.js';
import { digestOf } from '../../../test/support/release-source.js';
import type { Delta, Manifest } from '../../core/release/index.js';

/** What does not compress, and stays the same from version to version. */
const BALLAST = randomBytes(400_000);
const ARCH = process.arch === 'arm64' ? 'arm64' : 'x64';

let node: NodeBench;
let contents: Map<string, Buffer>;
beforeEach(async () => {
  contents = new Map();
  node = await NodeBench.make();
  await publish('1.0.0');
  await node.open();
  expect(await node.upgrade('1.0.0')).toBe('succeeded');
  node.told.length = 0;
});
afterEach(async () => {
  await node.remove();
});

async function contentOf(version: string): Promise<Buffer> {
  const known = contents.get(version);
  if (known !== undefined) return known;
  const content = await tar([
    { name: 'bin/edge', mode: 0o755, content: RUNS },
    { name: 'ballast', content: BALLAST },
    { name: 'version', content: version },
    { name: 'healthy' },
  ]);
  contents.set(version, content);
  return content;
}

interface Spoilt {
  /** The file that is signed, instead of a good delta. */
  readonly file?: Buffer;
  /** What is served under its digest, instead of it; nothing when null. */
  readonly served?: Buffer | null;
  readonly manifest?: Partial<Delta>;
  readonly content?: Partial<NonNullable<Manifest['artifacts'][0]['content']>>;
}

/** Publishes a release whose artifact has a described content, and a delta to it where `from` is given. */
async function publish(version: string, from: string | null = null, spoilt: Spoilt = {}) {
  const next = await contentOf(version);
  const archive = gzipSync(next);
  const content = { size: next.length, sha256: digestOf(next), ...spoilt.content };
  if (from === null) {
    await node.publish({ version, archive, artifact: { content } });
    return { whole: archive.length, delta: 0 };
  }
  const old = await contentOf(from);
  const file = spoilt.file ?? makeDelta(old, next);
  const sha256 = digestOf(file);
  if (spoilt.served !== null) node.source.addBlob(spoilt.served ?? file, sha256);
  const delta: Delta = {
    ...{ os: 'linux', arch: ARCH, variant: 'default', format: 'bellwether.delta.v1' },
    ...{ from_version: from, from_sha256: digestOf(old), file: `edge-${version}.delta` },
    ...{ size: file.length, sha256, ...spoilt.manifest },
  };
  await node.publish({ version, archive, artifact: { content }, manifest: { deltas: [delta] } });
  return { whole: archive.length, delta: file.length };
}

const details = (): Record<string, unknown> =>
  node.told.find(({ type }) => type === 'upgrade_downloaded')?.details ?? {};
const blobs = (): number =>
  node.source.requests.filter(({ url }) => url.includes('/blobs/')).length;
const kept = (): string[] => readdirSync(join(node.root, 'archives')).sort();

/** The upgrade succeeds all the same, as a whole; nothing is left of the try. */
async function expectWhole(version: string, whole: number, problem: RegExp): Promise<void> {
  expect(await node.upgrade(version)).toBe('succeeded');
  expect(node.version).toBe(version);
  expect(details()).toMatchObject({
    delta: false,
    delta_problem: expect.stringMatching(problem) as string,
  });
  expect(details()['bytes']).toBeGreaterThanOrEqual(whole);
  await node.until(() => {
    expect(readdirSync(join(node.root, 'downloads'))).toEqual([]);
  });
}

describe('an upgrade by delta', () => {
  it('moves few bytes, tells it, and is the same version as the whole', async () => {
    const { whole, delta } = await publish('1.1.0', '1.0.0');
    expect(delta).toBeLessThan(whole / 100);
    const before = blobs();
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
    expect(blobs() - before).toBe(1);
    expect(details()).toMatchObject({ delta: true, bytes: delta, size_bytes: whole });
    expect(details()).not.toHaveProperty('delta_problem');
    expect(node.version).toBe('1.1.0');
    expect(readFileSync(join(node.root, 'current', 'ballast')).equals(BALLAST)).toBe(true);
    expect(readdirSync(join(node.root, 'downloads'))).toEqual([]);
  });

  it('leads on: from what came by a delta the next delta leads', async () => {
    await publish('1.1.0', '1.0.0');
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
    await node.until(() => {
      expect(kept()).toEqual([`1.1.0~${digestOf(contents.get('1.1.0')!)}.tar`]);
    });
    node.told.length = 0;
    await publish('1.2.0', '1.1.0');
    expect(await node.upgrade('1.2.0')).toBe('succeeded');
    expect([node.version, details()['delta']]).toEqual(['1.2.0', true]);
  });

  it('goes on after a restart of the agent in the middle of it', async () => {
    const { delta } = await publish('1.1.0', '1.0.0');
    const isHeld = new Promise<void>((resolve) => {
      node.source.intercept = (request, response) => {
        if (request.url?.includes('/blobs/') !== true) return false;
        // Half of nothing: the head comes, the bytes do not.
        response.writeHead(200, { 'content-length': delta });
        response.flushHeaders();
        resolve();
        return true;
      };
    });
    const command = node.command('1.1.0');
    await node.updater.command(command);
    await isHeld;
    await node.close();
    node.source.intercept = () => false;
    await node.open();
    expect(await node.outcomeOf(command.command_id)).toBe('succeeded');
    expect([node.version, details()['delta']]).toEqual(['1.1.0', true]);
  });

  it('keeps the archive of what runs after a version was turned back', async () => {
    const before = kept();
    contents.set(
      '1.1.0',
      await tar([
        { name: 'bin/edge', mode: 0o755, content: '#!/bin/sh\nexit 1\n' },
        { name: 'ballast', content: BALLAST },
      ]),
    );
    await publish('1.1.0', '1.0.0');
    expect(await node.upgrade('1.1.0')).toBe('upgrade_crash_loop');
    await node.until(() => {
      expect(kept()).toEqual(before);
    });
    node.told.length = 0;
    await publish('1.2.0', '1.0.0');
    expect(await node.upgrade('1.2.0')).toBe('succeeded');
    expect(details()['delta']).toBe(true);
  });
});

describe('what is wrong with a delta makes it a whole upgrade, and is told:', () => {
  it('bytes that are not those of the signed digest', async () => {
    const file = makeDelta(await contentOf('1.0.0'), await contentOf('1.1.0'));
    const served = Buffer.from(file);
    served[20] = (served[20] ?? 0) ^ 1;
    const { whole, delta } = await publish('1.1.0', '1.0.0', { served });
    await expectWhole('1.1.0', whole, /does not have the digest/);
    expect(details()['bytes']).toBe(whole + delta);
  });

  it('a delta that the manager does not have', { timeout: 30_000 }, async () => {
    const { whole } = await publish('1.1.0', '1.0.0', { served: null });
    await expectWhole('1.1.0', whole, /.+/);
  });

  it.each<[string, (old: Buffer, next: Buffer) => Buffer, RegExp]>([
    ['signed, but no delta', () => randomBytes(300), /not a delta of a form that is known/],
    ['signed, but no brotli', () => Buffer.from('BWDELTA1 and then nothing'), /cannot be applied/],
    ['cut', (old, next) => makeDelta(old, next).subarray(0, -40), /cannot be applied/],
    [
      'that ends too early',
      (old, next) => deltaFileOf(deltaStream(old, next).subarray(0, -100)),
      /ends after \d+ of \d+ bytes/,
    ],
    [
      'that makes more than was signed',
      (old, next) => deltaFileOf(Buffer.concat([deltaStream(old, next), Buffer.alloc(9)])),
      /makes (more|nothing)/,
    ],
    [
      'that reads outside of what it leads from',
      (old, next) => {
        const differences = new Uint8Array(next.length);
        const wrong = { from: 1_000_000_000, differences, literal: new Uint8Array() };
        return deltaFileOf(deltaStream(old, next, [wrong]));
      },
      /reads outside/,
    ],
    [
      'that leads from another size',
      (old, next) => makeDelta(old.subarray(512), next),
      /leads from/,
    ],
    [
      'that makes something else of the same size',
      (old, next) => {
        const other = Buffer.from(next);
        other[5_000] = (other[5_000] ?? 0) ^ 1;
        return makeDelta(old, other);
      },
      /does not have the digest of the signed manifest/,
    ],
  ])('a file %s', async (_, spoil, problem) => {
    const file = spoil(await contentOf('1.0.0'), await contentOf('1.1.0'));
    const { whole } = await publish('1.1.0', '1.0.0', { file });
    await expectWhole('1.1.0', whole, problem);
    expect(details()['bytes']).toBe(whole + file.length);
  });

  it('an archive that is gone', async () => {
    rmSync(join(node.root, 'archives'), { recursive: true });
    const { whole } = await publish('1.1.0', '1.0.0');
    const before = blobs();
    await expectWhole('1.1.0', whole, /archive of 1\.0\.0 is not kept/);
    expect(blobs() - before).toBe(1);
  });

  it.each([
    ['is damaged', (bytes: Buffer) => bytes.fill(0, 2_000, 2_100)],
    ['was cut', (bytes: Buffer) => bytes.subarray(0, 2_000)],
    ['holds something else', () => gzipSync('something else')],
  ])('an archive that %s', async (_, spoil) => {
    const path = join(node.root, 'archives', kept()[0]!);
    writeFileSync(path, spoil(readFileSync(path)));
    const { whole } = await publish('1.1.0', '1.0.0');
    await expectWhole('1.1.0', whole, /archive kept here is damaged|cannot be applied/);
  });

  it('a delta from another build of the version', async () => {
    const { whole } = await publish('1.1.0', '1.0.0', {
      manifest: { from_sha256: 'ab'.repeat(32) },
    });
    await expectWhole('1.1.0', whole, /no delta leads from the 1\.0\.0/);
  });
});

describe('a kept archive', () => {
  it('is not kept when the policy does not want it', async () => {
    expect(kept()).toHaveLength(1);
    node.policy(['enabled = true', 'keep_archive = false']);
    await publish('1.1.0');
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
    expect(kept()).toEqual([]);
    expect(details()).toMatchObject({ delta: false });
    expect(details()).not.toHaveProperty('delta_problem');
  });

  it('is not kept where the manifest says nothing of its content', async () => {
    await node.publish({ version: '1.1.0', archive: gzipSync(await contentOf('1.1.0')) });
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
    await node.until(() => {
      expect(kept()).toEqual([]);
    });
  });

  it('makes no upgrade fail, whatever lies in its place', async () => {
    rmSync(join(node.root, 'archives'), { recursive: true });
    writeFileSync(join(node.root, 'archives'), '');
    const { whole } = await publish('1.1.0', '1.0.0');
    await expectWhole('1.1.0', whole, /is not kept here/);
  });

  it('is that of what runs alone', async () => {
    await publish('1.1.0');
    expect(await node.upgrade('1.1.0')).toBe('succeeded');
    await node.until(() => {
      expect(kept().map((name) => name.split('~')[0])).toEqual(['1.1.0']);
    });
    expect(existsSync(join(node.root, 'versions', '1.0.0'))).toBe(true);
  });
});
