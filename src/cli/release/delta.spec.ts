import { createHash, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestManager } from '../../../test/support/manager.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { DELTA_MAGIC, DeltaDecoder } from '../../core/delta/index.js';
import { manifestBytes, parseManifest, type Manifest } from '../../core/release/index.js';
import { runProgram } from '../program.js';

const root = mkdtempSync(join(tmpdir(), 'bellwether-cli-delta-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What does not compress and is the same in every version. */
const BALLAST = randomBytes(300_000);
let work = '';
let count = 0;
beforeEach(() => {
  work = join(root, String((count += 1)));
  mkdirSync(join(work, 'build'), { recursive: true });
  writeFileSync(join(work, 'build', 'ballast'), BALLAST);
});
const at = (...parts: string[]): string => join(work, ...parts);

async function run(words: readonly string[], env: Record<string, string> = {}) {
  const terminal = recordingTerminal(env);
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}

/** Packs `build` as a version, into a folder of its name. */
async function pack(version: string, ...more: string[]) {
  writeFileSync(at('build', 'version'), version);
  return run([
    ...['release', 'pack', '--product', 'edge', '--version', version, '--channel', 'stable'],
    ...['--sequence', '1', '--out', at(version), '--artifact', `linux/x64=${at('build')}`, ...more],
  ]);
}
const deltaFrom = (version: string): string[] => ['--delta-from', at(version)];
const manifestIn = (version: string): Manifest => {
  const parsed = parseManifest(readFileSync(at(version, 'manifest.json')));
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};
const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const contentOf = (version: string, i = 0): Buffer =>
  gunzipSync(readFileSync(at(version, manifestIn(version).artifacts[i]!.file)));

function applied(old: Buffer, file: Buffer, newSize: number): Buffer {
  const decoder = new DeltaDecoder({ oldSize: old.length, newSize });
  const pushed = decoder.push(brotliDecompressSync(file.subarray(DELTA_MAGIC.length)));
  if (!pushed.ok || !decoder.end().ok) throw new Error('refused');
  return Buffer.concat(
    pushed.value.map((piece) =>
      piece.kind === 'literal'
        ? piece.bytes
        : piece.bytes.map((byte, i) => byte + old[piece.from + i]!),
    ),
  );
}

describe('release pack', () => {
  it('describes the content of each artifact', async () => {
    expect((await pack('1.0.0')).code).toBe(0);
    const content = contentOf('1.0.0');
    expect(manifestIn('1.0.0').artifacts[0]?.content).toEqual({
      size: content.length,
      sha256: digestOf(content),
    });
    expect(manifestIn('1.0.0')).not.toHaveProperty('deltas');
  });

  it('makes a delta from each older release, for the same host, and tells its size', async () => {
    const arm = ['--artifact', `linux/arm64=${at('build')}`];
    await pack('1.0.0');
    await pack('1.1.0', ...arm);
    const { code, err } = await pack('1.2.0', ...arm, ...deltaFrom('1.0.0'), ...deltaFrom('1.1.0'));
    expect([code, err]).toEqual([
      0,
      expect.stringMatching(/made edge-1\.0\.0-to-1\.2\.0-linux-x64/),
    ]);
    expect(err).toMatch(/\.delta: \d+ B, 0\.\d % of the artifact/);
    const { deltas = [], artifacts } = manifestIn('1.2.0');
    expect(deltas.map(({ from_version, arch }) => [from_version, arch])).toEqual([
      ['1.0.0', 'x64'],
      ['1.1.0', 'x64'],
      ['1.1.0', 'arm64'],
    ]);
    const content = contentOf('1.2.0');
    for (const { file, size, sha256, from_version, from_sha256 } of deltas) {
      const bytes = readFileSync(at('1.2.0', file));
      expect([bytes.length, digestOf(bytes)]).toEqual([size, sha256]);
      expect(size).toBeLessThan(artifacts[0]!.size / 50);
      const old = contentOf(from_version);
      expect(digestOf(old)).toBe(from_sha256);
      expect(applied(old, bytes, content.length).equals(content)).toBe(true);
    }
    expect(readdirSync(at('1.2.0')).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it('makes the same delta of the same releases', async () => {
    await pack('1.0.0');
    await pack('1.1.0', ...deltaFrom('1.0.0'));
    renameSync(at('1.1.0'), at('first'));
    await pack('1.1.0', ...deltaFrom('1.0.0'));
    const { file } = manifestIn('1.1.0').deltas![0]!;
    expect(readFileSync(at('1.1.0', file)).equals(readFileSync(at('first', file)))).toBe(true);
  });

  it('leads from a release whose manifest does not describe its content', async () => {
    await pack('1.0.0');
    const { artifacts, ...rest } = manifestIn('1.0.0');
    const bare = artifacts.map(({ content: _, ...artifact }) => artifact);
    writeFileSync(at('1.0.0', 'manifest.json'), manifestBytes({ ...rest, artifacts: bare }));
    expect((await pack('1.1.0', ...deltaFrom('1.0.0'))).code).toBe(0);
    expect(manifestIn('1.1.0').deltas?.[0]?.from_sha256).toBe(digestOf(contentOf('1.0.0')));
  });

  it('leaves out a delta that is not clearly smaller, and says so', async () => {
    await pack('1.0.0');
    writeFileSync(at('build', 'ballast'), randomBytes(300_000));
    const { code, err } = await pack('1.1.0', ...deltaFrom('1.0.0'));
    expect([code, err]).toEqual([0, expect.stringContaining('not clearly smaller')]);
    expect(manifestIn('1.1.0')).not.toHaveProperty('deltas');
    expect(readdirSync(at('1.1.0')).sort()).toEqual([
      'edge-1.1.0-linux-x64.tar.gz',
      'manifest.json',
    ]);
  });

  it('makes one delta where two older releases hold the same', async () => {
    await pack('1.0.0');
    // The same content under another version, as a rebuild may have it.
    writeFileSync(at('build', 'version'), '1.0.0');
    const words = ['release', 'pack', '--product', 'edge', '--version', '1.0.1'];
    const rest = ['--channel', 'stable', '--sequence', '1', '--out', at('1.0.1')];
    await run([...words, ...rest, '--artifact', `linux/x64=${at('build')}`]);
    const { err } = await pack('1.1.0', ...deltaFrom('1.0.0'), ...deltaFrom('1.0.1'));
    expect(err).toContain('another one leads from the same content');
    expect(manifestIn('1.1.0').deltas?.map((delta) => delta.from_version)).toEqual(['1.0.0']);
  });

  it.each<[string, () => unknown, string, number]>([
    ['that is damaged', () => spoil('1.0.0'), '[upgrade_checksum_mismatch]', 1],
    ['that is not there', () => rmSync(at('1.0.0'), { recursive: true }), '[local_file_failed]', 1],
    ['of another product', () => rewrite('1.0.0', { product: 'gateway' }), 'not edge', 2],
    ['of the same version', () => rewrite('1.0.0', { version: '1.1.0' }), 'there already', 2],
  ])('takes no older release %s, and leaves nothing', async (_, change, message, exit) => {
    await pack('1.0.0');
    change();
    const { code, err } = await pack('1.1.0', ...deltaFrom('1.0.0'));
    expect([code, err]).toEqual([exit, expect.stringContaining(message)]);
    const left = readdirSync(work).includes('1.1.0') ? readdirSync(at('1.1.0')) : [];
    expect(left).toEqual([]);
  });

  function spoil(version: string): void {
    writeFileSync(at(version, manifestIn(version).artifacts[0]!.file), 'other');
  }
  function rewrite(version: string, change: Partial<Manifest>): void {
    const manifest = { ...manifestIn(version), ...change };
    writeFileSync(at(version, 'manifest.json'), manifestBytes(manifest));
  }
});

describe('release verify and publish', () => {
  it('look after deltas as they do after artifacts', async () => {
    const manager = await startTestManager();
    const env = {
      BELLWETHER_MANAGER: manager.url,
      BELLWETHER_TOKEN: await manager.token('release'),
    };
    await pack('1.0.0');
    await pack('1.1.0', ...deltaFrom('1.0.0'));
    await run(['release', 'keygen', '--out', at('keys')]);
    await run(['release', 'sign', '--key', at('keys', 'release.key'), at('1.1.0')]);
    const verifying = ['release', 'verify', at('1.1.0'), '--public-key', at('keys', 'release.pub')];
    expect((await run(verifying)).out).toContain('1 artifact(s) and 1 delta(s) match');

    const published = await run(['release', 'publish', at('1.1.0')], env);
    expect([published.code, published.err]).toEqual([
      0,
      expect.stringMatching(/uploaded .*\.delta/),
    ]);
    const { file } = manifestIn('1.1.0').deltas![0]!;
    const again = await run(['release', 'publish', at('1.1.0')], env);
    expect(again.err).not.toContain('uploaded');

    writeFileSync(at('1.1.0', file), 'other');
    expect((await run(verifying)).err).toContain('[upgrade_checksum_mismatch]');
    await manager.stop();
  });
});
