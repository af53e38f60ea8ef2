import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { parseManifest, type Manifest } from '../../core/release/index.js';
import { runProgram } from '../program.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';

const root = mkdtempSync(join(tmpdir(), 'bellwether-cli-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let work = '';
let count = 0;
beforeEach(() => {
  work = join(root, String((count += 1)));
  mkdirSync(work);
});
const at = (...parts: string[]): string => join(work, ...parts);

async function run(words: readonly string[], env: Record<string, string> = {}) {
  const terminal = recordingTerminal(env);
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
async function runOk(words: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { code, out, err } = await run(words, env);
  expect([code, err]).toEqual([0, err]);
  return out;
}

/** A small program: a folder, an executable, a file, a link. */
function aTree(name = 'tree'): string {
  const tree = at(name);
  mkdirSync(join(tree, 'bin'), { recursive: true });
  mkdirSync(join(tree, 'empty'));
  writeFileSync(join(tree, 'bin', 'edge'), '#!/bin/sh\necho edge\n', { mode: 0o4711 });
  chmodSync(join(tree, 'bin', 'edge'), 0o4711);
  writeFileSync(join(tree, 'README'), 'hello', { mode: 0o600 });
  symlinkSync('bin/edge', join(tree, 'run'));
  return tree;
}
const packing = (path: string, out: string, ...more: string[]): string[] => [
  ...['release', 'pack', '--product', 'edge', '--version', '1.4.0', '--channel', 'stable'],
  ...['--sequence', '14', '--artifact', `linux/x64=${path}`, '--out', at(out), ...more],
];
const manifestIn = (folder: string): Manifest => {
  const parsed = parseManifest(readFileSync(at(folder, 'manifest.json')));
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};
async function entriesOf(path: string) {
  const entries: { name: string; mode: number; type: string; text: string; facts: object }[] = [];
  const archive = Readable.from([gunzipSync(readFileSync(path))]).pipe(extract() as never);
  for await (const entry of archive as unknown as ReturnType<typeof extract>) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    const { name, mode, type, linkname, uid, gid, mtime } = entry.header;
    const text = type === 'symlink' ? linkname : Buffer.concat(chunks).toString('utf8');
    entries.push({ name, mode, type, text, facts: { uid, gid, at: mtime.getTime() } });
  }
  return entries;
}

describe('release pack', () => {
  it('writes artifacts and a canonical manifest that fit each other', async () => {
    const tree = aTree();
    const out = await runOk(packing(tree, 'out', '--artifact', `linux/arm64/full=${tree}/README`));
    expect(out).toBe(`${at('out', 'manifest.json')}\n`);
    const { artifacts, ...manifest } = manifestIn('out');
    expect(manifest).toMatchObject({ product: 'edge', version: '1.4.0', sequence: 14 });
    expect(artifacts.map(({ file }) => file)).toEqual([
      'edge-1.4.0-linux-x64.tar.gz',
      'edge-1.4.0-linux-arm64-full.tar.gz',
    ]);
    for (const { file, size, sha256 } of artifacts) {
      const bytes = readFileSync(at('out', file));
      expect([bytes.length, createHash('sha256').update(bytes).digest('hex')]).toEqual([
        size,
        sha256,
      ]);
    }
    expect(readdirSync(at('out')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('keeps the tree, with plain modes, one owner and one time', async () => {
    await runOk(packing(aTree(), 'out'));
    const entries = await entriesOf(at('out', 'edge-1.4.0-linux-x64.tar.gz'));
    expect(
      entries.map(({ name, mode, type, text }) => [name, mode.toString(8), type, text]),
    ).toEqual([
      ['README', '644', 'file', 'hello'],
      ['bin/', '755', 'directory', ''],
      ['bin/edge', '755', 'file', '#!/bin/sh\necho edge\n'],
      ['empty/', '755', 'directory', ''],
      ['run', '755', 'symlink', 'bin/edge'],
    ]);
    for (const { facts } of entries) expect(facts).toEqual({ uid: 0, gid: 0, at: 0 });
  });

  it('packs a single file under its own name', async () => {
    writeFileSync(at('edge'), 'x', { mode: 0o755 });
    await runOk(packing(at('edge'), 'out'));
    const entries = await entriesOf(at('out', 'edge-1.4.0-linux-x64.tar.gz'));
    expect(entries.map(({ name, mode }) => [name, mode])).toEqual([['edge', 0o755]]);
  });

  it('gives the same bytes for the same input', async () => {
    const [one, two] = [aTree('one'), aTree('two')];
    utimesSync(join(two, 'README'), 1, 1);
    chmodSync(join(two, 'README'), 0o664);
    const env = { SOURCE_DATE_EPOCH: '1795200000' };
    await runOk(packing(one, 'out1'), env);
    await runOk(packing(two, 'out2'), env);
    for (const file of readdirSync(at('out1'))) {
      expect(readFileSync(at('out1', file)).equals(readFileSync(at('out2', file)))).toBe(true);
    }
    expect(manifestIn('out1').released_at).toBe('2026-11-20T18:40:00.000Z');
  });

  it('keeps long names and files of many chunks whole', async () => {
    const tree = at('tree');
    const deep = join('a'.repeat(120), 'b'.repeat(120), `${'ü'.repeat(60)}.bin`);
    mkdirSync(join(tree, deep, '..'), { recursive: true });
    const bytes = randomBytes(5_000_000).toString('base64');
    writeFileSync(join(tree, deep), bytes);
    await runOk(packing(tree, 'out'));
    const entries = await entriesOf(at('out', 'edge-1.4.0-linux-x64.tar.gz'));
    expect(entries.at(-1)?.name).toBe(deep);
    expect(entries.at(-1)?.text === bytes).toBe(true);
  });

  it.each<[string, (tree: string) => unknown]>([
    ['a link to an absolute path', (tree) => symlinkSync('/etc/passwd', join(tree, 'bad'))],
    ['a link that climbs out', (tree) => symlinkSync('../out', join(tree, 'bad'))],
    ['a link to nothing', (tree) => symlinkSync('gone', join(tree, 'bad'))],
    [
      'a link that climbs out through another link',
      (tree) => {
        mkdirSync(join(tree, 'd', 'e'), { recursive: true });
        symlinkSync('../..', join(tree, 'd', 'e', 'top'));
        writeFileSync(join(tree, '..', 'x'), '');
        symlinkSync('top/../x', join(tree, 'd', 'e', 'bad'));
      },
    ],
    ['a name with a line end', (tree) => writeFileSync(join(tree, 'a\nb'), '')],
    ['a name with a backslash', (tree) => writeFileSync(join(tree, 'a\\b'), '')],
    [
      'a name that is not UTF-8',
      (tree) => writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff])]), ''),
    ],
    [
      'a socket',
      async (tree) => {
        const server = createServer().listen(join(tree, 'socket'));
        await once(server, 'listening');
        return () => server.close();
      },
    ],
  ])('refuses %s and leaves nothing', async (_what, spoil) => {
    const tree = aTree();
    const close = await spoil(tree);
    const { code, err } = await run(packing(tree, 'out'));
    if (typeof close === 'function') (close as () => void)();
    expect([code, err]).toEqual([1, expect.stringContaining('[release_pack_refused]')]);
    expect(existsSync(at('out'))).toBe(false);
  });

  it('refuses an empty folder and a path that is not there', async () => {
    mkdirSync(at('empty'));
    expect((await run(packing(at('empty'), 'out'))).err).toContain('[release_pack_refused]');
    expect((await run(packing(at('gone'), 'out'))).err).toContain('[local_file_failed]');
  });

  it('takes no second release into one folder', async () => {
    const tree = aTree();
    await runOk(packing(tree, 'out'));
    const before = readFileSync(at('out', 'manifest.json'), 'utf8');
    const { code, err } = await run(packing(tree, 'out'));
    expect([code, err]).toEqual([1, expect.stringContaining('holds a release already')]);
    expect(readFileSync(at('out', 'manifest.json'), 'utf8')).toBe(before);
  });

  it.each([
    ['an unknown system', 'windows/x64'],
    ['an unknown architecture', 'linux/mips'],
    ['no architecture', 'linux'],
    ['too many parts', 'linux/x64/a/b'],
    ['a bad variant', 'linux/x64/../x'],
  ])('does not understand %s', async (_what, host) => {
    const words = packing(aTree(), 'out', '--artifact', `${host}=${at('tree')}`);
    const { code, err } = await run(words);
    expect([code, err]).toEqual([2, expect.stringContaining('OS/ARCH[/VARIANT]=PATH')]);
  });

  it('does not take two artifacts for one host', async () => {
    const tree = aTree();
    const { code, err } = await run(
      packing(tree, 'out', '--artifact', `linux/x64/default=${tree}`),
    );
    expect([code, err]).toEqual([
      2,
      expect.stringContaining('two artifacts for linux/x64/default'),
    ]);
  });
});

describe('release keygen, sign and verify', () => {
  const keygen = (name: string): Promise<string> =>
    runOk(['release', 'keygen', '--out', at('keys'), '--name', name]);
  const aPackedRelease = (): Promise<string> => runOk(packing(aTree(), 'out'));
  const verifying = (...names: string[]): string[] => [
    ...['release', 'verify', at('out')],
    ...names.flatMap((name) => ['--public-key', at('keys', `${name}.pub`)]),
  ];

  it('make a release that two signers vouch for', async () => {
    await keygen('alice');
    await keygen('bob');
    await aPackedRelease();
    for (const name of ['alice', 'bob']) {
      await runOk(['release', 'sign', '--key', at('keys', `${name}.key`), at('out')]);
      expect(existsSync(at('out', `manifest.json.${name}.minisig`))).toBe(true);
    }
    expect(await runOk([...verifying('bob', 'alice'), '--threshold', '2'])).toContain(
      'edge 1.4.0 is signed by alice, bob',
    );
  });

  it('keep the secret key to its owner and overwrite nothing', async () => {
    await keygen('alice');
    expect(statSync(at('keys', 'alice.key')).mode & 0o777).toBe(0o600);
    const before = readFileSync(at('keys', 'alice.key'), 'utf8');
    const again = await run(['release', 'keygen', '--out', at('keys'), '--name', 'alice']);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('exists already')]);
    expect(readFileSync(at('keys', 'alice.key'), 'utf8')).toBe(before);
  });

  // The key derivation of minisign is slow on purpose, and slower on a busy machine.
  it('lock the key with a password that is never shown', { timeout: 180_000 }, async () => {
    const env = { BELLWETHER_KEY_PASSWORD: 'correct horse' };
    const made = await run(['release', 'keygen', '--out', at('keys'), '--name', 'locked'], env);
    expect(made.code).toBe(0);
    await aPackedRelease();
    const signing = ['release', 'sign', '--key', at('keys', 'locked.key'), at('out')];
    const unasked = await run(signing);
    expect([unasked.code, unasked.err]).toEqual([2, expect.stringContaining('locked')]);
    writeFileSync(at('wrong'), 'wrong\n');
    const wrong = await run([...signing, '--password-file', at('wrong')]);
    expect([wrong.code, wrong.err]).toEqual([
      1,
      expect.stringContaining('[signing_key_password_wrong]'),
    ]);
    const signed = await run(signing, env);
    expect([signed.code, signed.err + made.err]).toEqual([0, expect.not.stringContaining('horse')]);
    expect(await runOk(verifying('locked'))).toContain('signed by locked');
  });

  it('sign the same release again without a change', async () => {
    await keygen('alice');
    await aPackedRelease();
    const signing = ['release', 'sign', '--key', at('keys', 'alice.key'), at('out')];
    await runOk(signing);
    const before = readFileSync(at('out', 'manifest.json.alice.minisig'), 'utf8');
    await runOk(signing);
    expect(readFileSync(at('out', 'manifest.json.alice.minisig'), 'utf8')).toBe(before);
  });

  it.each<[string, () => void, string]>([
    [
      'the manifest changed',
      () => {
        const text = readFileSync(at('out', 'manifest.json'), 'utf8');
        writeFileSync(at('out', 'manifest.json'), text.replace('"sequence":14', '"sequence":15'));
      },
      'upgrade_signature_invalid',
    ],
    [
      'an artifact changed',
      () => writeFileSync(at('out', 'edge-1.4.0-linux-x64.tar.gz'), 'other'),
      'upgrade_checksum_mismatch',
    ],
    [
      'nobody signed',
      () => rmSync(at('out', 'manifest.json.alice.minisig')),
      'upgrade_signature_invalid',
    ],
    [
      'the manifest is none',
      () => writeFileSync(at('out', 'manifest.json'), '{}'),
      'upgrade_manifest_invalid',
    ],
  ])('refuse a release of which %s', async (_what, spoil, code) => {
    await keygen('alice');
    await aPackedRelease();
    await runOk(['release', 'sign', '--key', at('keys', 'alice.key'), at('out')]);
    spoil();
    const answer = await run(verifying('alice'));
    expect([answer.code, answer.err]).toEqual([1, expect.stringContaining(`[${code}]`)]);
  });

  it('refuse a release that a stranger signed', async () => {
    await keygen('alice');
    await keygen('mallory');
    await aPackedRelease();
    await runOk(['release', 'sign', '--key', at('keys', 'mallory.key'), at('out')]);
    const { code, err } = await run(verifying('alice'));
    expect([code, err]).toEqual([1, expect.stringContaining('[upgrade_identity_not_allowed]')]);
  });
});

describe('release publish and list', () => {
  let manager: TestManager;
  let env: Record<string, string>;
  beforeAll(async () => {
    manager = await startTestManager({ BELLWETHER_ARTIFACT_BYTES_MAX: '3000000' });
    env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: await manager.token('release') };
  });
  afterAll(() => manager.stop());

  async function aSignedRelease(version: string, bytes: number): Promise<string> {
    writeFileSync(at('edge'), randomBytes(bytes));
    await runOk([
      ...['release', 'pack', '--product', 'edge', '--version', version, '--channel', 'stable'],
      ...['--sequence', '1', '--out', at('out')],
      ...['--artifact', `linux/x64=${at('edge')}`, '--artifact', `linux/arm64=${at('edge')}`],
    ]);
    await runOk(['release', 'keygen', '--out', at('keys')]);
    await runOk(['release', 'sign', '--key', at('keys', 'release.key'), at('out')]);
    return at('out');
  }

  it('bring a release to the manager, each artifact once', async () => {
    const folder = await aSignedRelease('1.0.0', 2_000_000);
    const first = await run(['release', 'publish', folder], env);
    expect([first.code, first.out]).toEqual([0, expect.stringMatching(/^published edge 1\.0\.0 /)]);
    // Both hosts share one blob.
    expect(first.err.match(/uploaded/g)).toHaveLength(1);
    const again = await run(['release', 'publish', folder, '-o', 'json'], env);
    expect(again.err).not.toContain('uploaded');
    const release = JSON.parse(again.out) as { id: string };
    expect(first.out).toContain(release.id);
    const list = await run(['release', 'list', '-o', 'json'], env);
    expect(JSON.parse(list.out)).toMatchObject({ items: [{ id: release.id }], more: false });
    expect((await run(['release', 'list'], env)).out).toMatch(/^PRODUCT +VERSION[^]*edge +1\.0\.0/);
  });

  it('show progress to a person', async () => {
    const folder = await aSignedRelease('1.1.0', 2_000_000);
    let now = 0;
    const terminal = recordingTerminal(env, { isWatched: true, now: () => (now += 500) });
    expect(await runProgram(['release', 'publish', folder], terminal)).toBe(0);
    expect(terminal.errText()).toMatch(
      /uploading edge-1\.1\.0-linux-\w+\.tar\.gz: \d+ % of 1\.9 MiB/,
    );
  });

  it('tell a refusal in the middle of an upload', async () => {
    const folder = await aSignedRelease('1.2.0', 9_000_000);
    const { code, err } = await run(['release', 'publish', folder], env);
    expect([code, err]).toEqual([1, expect.stringContaining('[payload_too_large]')]);
  });

  it('notice a damaged artifact before sending it', async () => {
    const folder = await aSignedRelease('1.3.0', 1_000);
    writeFileSync(join(folder, 'edge-1.3.0-linux-x64.tar.gz'), 'other');
    const { code, err } = await run(['release', 'publish', folder], env);
    expect([code, err]).toEqual([1, expect.stringContaining('[upgrade_checksum_mismatch]')]);
  });

  it('refuse a release that nobody signed', async () => {
    const folder = await aSignedRelease('1.4.0', 1_000);
    rmSync(join(folder, 'manifest.json.release.minisig'));
    const { code, err } = await run(['release', 'publish', folder], env);
    expect([code, err]).toEqual([2, expect.stringContaining('holds no signature')]);
  });

  it('tell who may not publish what role is needed', async () => {
    const folder = await aSignedRelease('1.5.0', 1_000);
    const viewer = await manager.token('viewer', 'grp_default');
    const { code, err } = await run(['release', 'publish', folder], {
      ...env,
      BELLWETHER_TOKEN: viewer,
    });
    expect([code, err]).toEqual([5, expect.stringContaining('[insufficient_role]')]);
  });
});
