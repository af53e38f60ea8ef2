import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tar, tarGz, type Entry } from '../../../test/support/archive.js';
import { extract, safeLink } from './extract.js';
import { NO_FAULTS } from './faults.js';
import { InstallRoot, MARKER } from './install-root.js';

let folder: string;
let root: InstallRoot;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-extract-'));
  root = new InstallRoot(join(folder, 'edge'));
  await root.prepare();
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const place = (...parts: string[]): string => join(root.versionPath('1.0.0'), ...parts);
const MIB = 1024 * 1024;

async function unpack(archive: Buffer | Iterable<Entry>): Promise<void> {
  const bytes = Buffer.isBuffer(archive) ? archive : await tarGz(archive);
  const path = join(root.downloads, 'archive');
  writeFileSync(path, bytes);
  await extract({
    root,
    archive: path,
    archiveBytes: bytes.length,
    format: 'tar.gz',
    version: '1.0.0',
    marker: { version: '1.0.0', channel: 'stable', sequence: 3, state_schema: 2 },
    faults: NO_FAULTS,
  });
}

/** Refused as a whole: nothing of it is left, and nothing was written outside. */
async function expectRefused(archive: Buffer | Iterable<Entry>, message?: string): Promise<void> {
  rmSync(join(root.downloads, 'archive'), { force: true });
  const before = readdirSync(folder, { recursive: true }).sort();
  const refusal = { code: 'upgrade_extract_failed' };
  const expected =
    message === undefined
      ? refusal
      : { ...refusal, message: expect.stringContaining(message) as string };
  await expect(unpack(archive)).rejects.toMatchObject(expected);
  rmSync(join(root.downloads, 'archive'));
  expect(readdirSync(folder, { recursive: true }).sort()).toEqual(before);
}

describe('an archive', () => {
  it('is unpacked with its files, folders and links, and marked', async () => {
    await unpack([
      { name: './', type: 'directory' },
      { name: './bin/edge', content: 'program', mode: 0o755 },
      { name: 'lib/v1/', type: 'directory' },
      { name: 'lib/v1/a.so', content: 'lib', mode: 0o644 },
      { name: 'lib/current', type: 'symlink', linkname: 'v1' },
      { name: 'lib/v1/up', type: 'symlink', linkname: '../../bin/edge' },
      { name: 'bin/same', type: 'link', linkname: 'bin/edge' },
    ]);
    expect(readFileSync(place('lib', 'current', 'a.so'), 'utf8')).toBe('lib');
    expect(readFileSync(place('lib', 'v1', 'up'), 'utf8')).toBe('program');
    expect(statSync(place('bin', 'same')).ino).toBe(statSync(place('bin', 'edge')).ino);
    expect(JSON.parse(readFileSync(place(MARKER), 'utf8'))).toMatchObject({ sequence: 3 });
  });

  it('gives its programs the right to run and no other', async () => {
    await unpack([
      { name: 'a', content: 'x', mode: 0o6777 },
      { name: 'b', content: 'x', mode: 0o666 },
    ]);
    expect(statSync(place('a')).mode & 0o7777).toBe(0o755);
    expect(statSync(place('b')).mode & 0o7777).toBe(0o644);
  });

  it('takes the place of what an earlier try left under the same version', async () => {
    mkdirSync(`${place()}.partial/half`, { recursive: true });
    mkdirSync(place('old'), { recursive: true });
    await unpack([{ name: 'new', content: 'x' }]);
    expect(readdirSync(place()).sort()).toEqual([MARKER, 'new']);
    expect(readdirSync(join(root.path, 'versions'))).toEqual(['1.0.0']);
  });
});

describe('an archive made to harm', () => {
  it.each([
    ['../out', 'leaves its place'],
    ['a/../../out', 'leaves its place'],
    ['a/..', 'leaves its place'],
    ['./../out', 'leaves its place'],
    ['/etc/passwd', 'absolute'],
    ['a\\..\\out', 'odd path'],
    ['a//b', 'leaves its place'],
    [MARKER, MARKER],
    [`./${MARKER}`, MARKER],
  ])('may not name %s', async (name, message) => {
    await expectRefused(
      [
        { name: 'good', content: 'x' },
        { name, content: 'x' },
      ],
      message,
    );
  });

  it('may not have names longer than a disk takes', async () => {
    for (const name of ['n'.repeat(256), `${'d/'.repeat(2_100)}x`]) {
      await expectRefused([{ name, content: 'x' }], 'too long');
    }
  });

  it.each(['/etc', '..', '../..', 'a/../../..', '', '../../edge', './../..'])(
    'may not link to %j',
    async (linkname) => {
      const entries: Entry[] = [{ name: 'link', type: 'symlink', linkname }];
      await expectRefused(entries);
    },
  );

  it('may not climb out over a link that itself stays inside', async () => {
    // `p/q/b` is the root of the version, so `p/q/b/../..` is not `p` but two folders above it.
    const ladder: Entry = { name: 'p/q/b', type: 'symlink', linkname: '../..' };
    await unpack([ladder]);
    expect(readlinkSync(place('p', 'q', 'b'))).toBe('../..');
    rmSync(place(), { recursive: true });
    await expectRefused(
      [ladder, { name: 'out', type: 'symlink', linkname: 'p/q/b/../..' }],
      'leads out',
    );
    expect(() => safeLink('out', './p/./q/../x')).toThrow('leads out');
    expect(safeLink('a/b/c', './../.././x/y')).toBe('./../.././x/y');
  });

  it('may not write through its own links', async () => {
    mkdirSync(join(folder, 'target'));
    await expectRefused([
      { name: 'd', type: 'symlink', linkname: 'e' },
      { name: 'd/file', content: 'x' },
    ]);
    expect(readdirSync(join(folder, 'target'))).toEqual([]);
  });

  it.each(['../../state.json', '/etc/passwd', 'missing', '', 'link', MARKER])(
    'may not have a second name for %j',
    async (linkname) => {
      writeFileSync(join(root.path, 'state.json'), '{}');
      await expectRefused([
        { name: 'link', type: 'symlink', linkname: 'x' },
        { name: 'hard', type: 'link', linkname },
      ]);
    },
  );

  it.each(['character-device', 'block-device', 'fifo'] as const)(
    'may not bring a %s',
    async (type) => {
      await expectRefused([{ name: 'odd', type, devmajor: 1, devminor: 3 }], 'not unpacked');
    },
  );

  it('may not hold a name twice, however it is spelt', async () => {
    for (const again of ['a', './a', 'a/']) {
      const type = again.endsWith('/') ? 'directory' : 'file';
      await expectRefused(
        [
          { name: 'a', content: '1' },
          { name: again, type },
        ],
        'twice',
      );
    }
    await expectRefused([
      { name: 'a', content: '1' },
      { name: 'a/b', content: '2' },
    ]);
  });

  it('may not have more entries than any program has', async () => {
    const header = (await tar([{ name: './', type: 'directory' }])).subarray(0, 512);
    const many = Buffer.concat(Array.from({ length: 100_001 }, () => header));
    await expectRefused(gzipSync(many), 'more than 100000 entries');
  });

  it('may not unpack to many times its size, in a file or behind its end', async () => {
    const zeroes = Buffer.alloc(96 * MIB);
    const inFile = await tarGz([{ name: 'zeroes', content: zeroes }]);
    const behind = gzipSync(Buffer.concat([await tar([{ name: 'a', content: 'x' }]), zeroes]));
    for (const bomb of [inFile, behind]) {
      expect(bomb.length).toBeLessThan(MIB);
      await expectRefused(bomb, 'unpacks to more than');
    }
  });

  it('may not make the reader hold a name without end', async () => {
    await expectRefused([{ name: 'n'.repeat(32 * MIB), content: 'x' }]);
  });

  it('may be large when it is not a bomb', async () => {
    await unpack([{ name: 'zeroes', content: Buffer.alloc(60 * MIB) }]);
    expect(statSync(place('zeroes')).size).toBe(60 * MIB);
  });
});

describe('content without compression, as a delta makes it', () => {
  const unpackPlain = async (bytes: Buffer, signedBytes = bytes.length): Promise<void> => {
    const path = join(root.downloads, 'content.tar');
    writeFileSync(path, bytes);
    await extract({
      root,
      archive: path,
      archiveBytes: signedBytes,
      format: 'tar',
      version: '1.0.0',
      marker: { version: '1.0.0', channel: 'stable', sequence: 3, state_schema: null },
      faults: NO_FAULTS,
    });
  };

  it('is unpacked, under the same rules', async () => {
    await unpackPlain(await tar([{ name: 'bin/edge', content: 'program', mode: 0o755 }]));
    expect(readFileSync(place('bin', 'edge'), 'utf8')).toBe('program');
    rmSync(place(), { recursive: true });
    const refusal = { code: 'upgrade_extract_failed' };
    await expect(unpackPlain(await tar([{ name: '../out' }]))).rejects.toMatchObject(refusal);
    expect(readdirSync(join(root.path, 'versions'))).toEqual([]);
  });

  it('is refused when it is longer than was signed, cut, or compressed', async () => {
    const bytes = await tar([{ name: 'a', content: Buffer.alloc(200_000, 'x') }]);
    const refusal = { code: 'upgrade_extract_failed' };
    await expect(unpackPlain(bytes, bytes.length - 1)).rejects.toMatchObject(refusal);
    await expect(unpackPlain(bytes.subarray(0, 100_000))).rejects.toMatchObject(refusal);
    await expect(unpackPlain(gzipSync(bytes))).rejects.toMatchObject(refusal);
    expect(readdirSync(join(root.path, 'versions'))).toEqual([]);
  });
});

describe('a damaged archive', () => {
  it('is refused wherever it was cut, and nothing is left', async () => {
    const whole = await tarGz([
      {
        name: 'a',
        content: Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7919) % 251)),
      },
      { name: 'b', content: 'x' },
    ]);
    for (const part of [0, 0.01, 0.3, 0.7, 0.99]) {
      await expectRefused(whole.subarray(0, Math.floor(whole.length * part)));
    }
    const bytes = await tar([{ name: 'a', content: 'x'.repeat(2_000) }]);
    await expectRefused(gzipSync(bytes.subarray(0, 1_500)));
  });

  it('is refused when it is no archive at all', async () => {
    await expectRefused(Buffer.from('#!/bin/sh\nrm -rf /\n'));
    await expectRefused(gzipSync('not a tar file'.repeat(100)));
    expect(existsSync(place())).toBe(false);
  });
});
