import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  formatPublicKey,
  formatSecretKey,
  newSecretKey,
  parsePublicKey,
  parseSecretKey,
  publicKeyOf,
  signMinisign,
  verify,
} from './index.js';

const isInstalled = spawnSync('minisign', ['-v']).error === undefined;
if (!isInstalled) {
  console.log('skipped: minisign is not installed (Debian: apt-get install minisign)');
}

describe.skipIf(!isInstalled)('the real minisign, when it is installed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-minisign-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string): string => join(folder, name);
  const minisign = (args: readonly string[], input = ''): number | null =>
    spawnSync('minisign', args, { input, cwd: folder }).status;
  const bytes = randomBytes(5_000);
  writeFileSync(at('file'), bytes);
  const key = newSecretKey({ seed: randomBytes(32), keyId: randomBytes(8) });
  writeFileSync(at('ours.pub'), formatPublicKey(publicKeyOf(key)));

  it('accepts our signature under our public key, and no other bytes', () => {
    const text = signMinisign(key, bytes, 'product:edge version:1.4.0');
    writeFileSync(at('ours.minisig'), text.ok ? text.value : '');
    writeFileSync(at('other'), 'other');
    const check = (file: string): number | null =>
      minisign(['-V', '-q', '-p', 'ours.pub', '-m', file, '-x', 'ours.minisig']);
    expect(check('file')).toBe(0);
    expect(check('other')).not.toBe(0);
  });

  it.each([
    ['prehashed', []],
    ['legacy', ['-l']],
  ])('makes %s signatures that we accept', (_kind, flags) => {
    expect(minisign(['-G', '-W', '-f', '-p', 'theirs.pub', '-s', 'theirs.key'])).toBe(0);
    const args = ['-S', ...flags, '-s', 'theirs.key', '-m', 'file', '-x', 'theirs.minisig'];
    expect(minisign(args)).toBe(0);
    const theirs = parsePublicKey(readFileSync(at('theirs.pub'), 'utf8'));
    const signature = readFileSync(at('theirs.minisig'), 'utf8');
    expect(theirs.ok && verify(theirs.value, bytes, signature).ok).toBe(true);
    const secret = parseSecretKey(readFileSync(at('theirs.key'), 'utf8'));
    expect(theirs.ok && secret.ok && secret.value.keyId).toBe(theirs.ok && theirs.value.keyId);
  });

  it.each([
    ['bare', undefined],
    [
      'locked',
      {
        password: 'open sesame',
        salt: randomBytes(32),
        cost: { operationLimit: 524_288, memoryLimitBytes: 16 * 1024 ** 2 },
      },
    ],
  ])('signs with our %s secret key', (_kind, protection) => {
    writeFileSync(at('ours.key'), formatSecretKey(key, protection));
    const args = ['-S', '-s', 'ours.key', '-m', 'file', '-x', 'by-tool.minisig'];
    expect(minisign(args, 'open sesame\n')).toBe(0);
    const signature = readFileSync(at('by-tool.minisig'), 'utf8');
    expect(verify(publicKeyOf(key), bytes, signature).ok).toBe(true);
  });
});
