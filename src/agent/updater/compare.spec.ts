import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tar, type Entry } from '../../../test/support/archive.js';
import { compareWithArchive } from './compare.js';
import { extract } from './extract.js';
import { NO_FAULTS } from './faults.js';
import { InstallRoot } from './install-root.js';
import type { KeptArchive } from './kept-archives.js';

const RELEASE: readonly Entry[] = [
  { name: './', type: 'directory' },
  { name: './bin/edge', content: 'program', mode: 0o755 },
  { name: 'lib/v1/', type: 'directory' },
  { name: 'lib/v1/a.so', content: 'library', mode: 0o664 },
  { name: 'lib/empty/', type: 'directory' },
  { name: 'lib/current', type: 'symlink', linkname: 'v1' },
  { name: 'bin/same', type: 'link', linkname: 'bin/edge' },
];

let folder: string;
let root: InstallRoot;
let kept: KeptArchive;

/** Installed from what is kept, as a node has it. */
async function install(format: KeptArchive['format'] = 'tar.gz'): Promise<void> {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-compare-'));
  root = new InstallRoot(join(folder, 'edge'));
  await root.prepare();
  const content = await tar(RELEASE);
  const bytes = format === 'tar' ? content : gzipSync(content);
  const archive = join(root.downloads, 'archive');
  writeFileSync(archive, bytes);
  const marker = { version: '1.0.0', channel: 'stable', sequence: 3, state_schema: 2 };
  const of = { format, version: '1.0.0' } as const;
  await extract({
    ...of,
    ...{ root, archive, archiveBytes: bytes.length, marker, faults: NO_FAULTS },
  });
  const sha256 = createHash('sha256').update(content).digest('hex');
  await root.archives.keep(archive, { ...of, sha256 });
  const found = await root.archives.find('1.0.0');
  if (found === null) throw new Error('nothing was kept');
  kept = found;
}

beforeEach(() => install());
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const at = (...parts: string[]): string => join(root.versionPath('1.0.0'), ...parts);
const compared = (): Promise<string[]> => compareWithArchive(kept, root.versionPath('1.0.0'));

describe('an installed version beside its archive', () => {
  it('is fine as it was unpacked, whatever the archive was packed with', async () => {
    expect(await compared()).toEqual([]);
    rmSync(folder, { recursive: true });
    await install('tar');
    expect(await compared()).toEqual([]);
  });

  it.each<[string, () => void, RegExp]>([
    ['a changed file', () => appendFileSync(at('lib/v1/a.so'), '!'), /a\.so was changed$/],
    ['a missing file', () => unlinkSync(at('lib/v1/a.so')), /a\.so is missing$/],
    ['an added file', () => writeFileSync(at('lib/v1/b.so'), ''), /b\.so was added: no release/],
    [
      'an added folder, once',
      () => {
        mkdirSync(at('plugins'));
        writeFileSync(at('plugins', 'x'), '');
      },
      /plugins was added/,
    ],
    ['an added link', () => symlinkSync('edge', at('bin/other')), /bin\/other was added/],
    [
      'a file that may be run now',
      () => chmodSync(at('lib/v1/a.so'), 0o755),
      /a\.so was changed: its mode is 755, not 644$/,
    ],
    [
      'a program that runs as another',
      () => chmodSync(at('lib/v1/a.so'), 0o4644),
      /its mode is 4644, not 644$/,
    ],
    [
      'a file that became a link to the same bytes',
      () => {
        writeFileSync(join(folder, 'copy'), readFileSync(at('lib/v1/a.so')));
        unlinkSync(at('lib/v1/a.so'));
        symlinkSync(join(folder, 'copy'), at('lib/v1/a.so'));
      },
      /it is no file any more$/,
    ],
    [
      'a link that leads elsewhere',
      () => {
        unlinkSync(at('lib/current'));
        symlinkSync('empty', at('lib/current'));
      },
      /lib\/current was changed: it leads elsewhere$/,
    ],
    ['a missing folder', () => rmSync(at('lib/empty'), { recursive: true }), /empty is missing$/],
    [
      'a folder that became a file',
      () => {
        rmSync(at('lib/empty'), { recursive: true });
        writeFileSync(at('lib/empty'), '');
      },
      /it is no folder any more$/,
    ],
  ])('tells %s', async (_what, change, message) => {
    change();
    const problems = await compared();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(message);
  });

  it('is told of under both names of one file', async () => {
    appendFileSync(at('bin/same'), '!');
    expect(await compared()).toEqual([
      `${at('bin/edge')} was changed`,
      `${at('bin/same')} was changed`,
    ]);
  });

  it('is told in twenty lines, however much was done to it', async () => {
    for (let index = 0; index < 50; index += 1) writeFileSync(at(`x${index}`), '');
    unlinkSync(at('lib/v1/a.so'));
    expect(await compared()).toHaveLength(20);
  });

  it('says nothing where the archive itself is not what was signed, or damaged', async () => {
    unlinkSync(at('lib/v1/a.so'));
    writeFileSync(kept.path, gzipSync(await tar([{ name: 'other', content: 'x' }])));
    expect(await compared()).toEqual([`${kept.path} is not what was signed`]);
    writeFileSync(kept.path, 'no archive');
    expect(await compared()).toEqual([expect.stringContaining(`${kept.path} is damaged`)]);
    unlinkSync(kept.path);
    expect(await compared()).toEqual([expect.stringContaining('is damaged')]);
  });
});
