import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatPublicKey,
  isSignedBy,
  parsePublicKey,
  parseSignature,
  publicKeyOf,
  secretKeyOf,
  signMinisign,
  verify,
  type MinisignSecretKey,
} from './index.js';

const aKey = (): MinisignSecretKey => secretKeyOf(generateKeyPairSync('ed25519').privateKey);

describe('minisign', () => {
  // Made with minisign 0.11: prehashed and legacy signatures over the same file.
  const KEY = 'RWQqkVeL/n6qHLnsGGPqSQe5AgOcjNbCr/dy0Nd3I2Ngwk6/nQXkxIVF';
  const FILE = Buffer.from('hello bellwether\n');
  const PREHASHED =
    'untrusted comment: signature from minisign secret key\n' +
    'RUQqkVeL/n6qHAy9XZFhK85Kw5Yrcs6QAuqkkXMMUF2JU59nC9hk1P+0wHsCISbrTIOmV3dj0Aw0tdEhOZGNBgxRDriIjxf3Lgk=\n' +
    'trusted comment: product:edge version:1.0.0\n' +
    'lqTUd758glS06MNy1Fcrf29Ea4RY6XolxHaFRj3C1xqfHX68cqIuX8al4uMVJqOO5GHcsxWyEMHwJP5eeJ6ECA==\n';
  const LEGACY =
    'untrusted comment: signature from minisign secret key\n' +
    'RWQqkVeL/n6qHO9b/zwaXxv7T6zLt8ASC+eT/AnXLk1U4PGmPsJOF2RrkJXEVsD1NAVHPLJKJ9Zao7hgqmPJTtnctG7A8L2Uywo=\n' +
    'trusted comment: legacy\n' +
    'smtmBEXNRSgjJ7+EdtCktHw084aPR8XUVF5oqOv2gX/qTygBptu9TsxmbSOOL47hdvPP0fuPUhLwtxtMxkHRCQ==\n';

  const check = (signature: string, file: Buffer = FILE): boolean => {
    const key = parsePublicKey(KEY);
    const parsed = parseSignature(signature);
    return key.ok && parsed.ok && isSignedBy(key.value, file, parsed.value);
  };

  it('signatures of the real tool are understood, both kinds', () => {
    expect(check(PREHASHED)).toBe(true);
    expect(check(LEGACY)).toBe(true);
  });

  it('signatures of the real tool are refused over other bytes or with another comment', () => {
    expect(check(PREHASHED, Buffer.from('hello bellwether'))).toBe(false);
    expect(check(PREHASHED.replace('version:1.0.0', 'version:2.0.0'))).toBe(false);
  });

  it.each([
    ['three lines', PREHASHED.split('\n').slice(0, 3).join('\n')],
    ['five lines', `${PREHASHED}more\n`],
    ['a long untrusted comment', PREHASHED.replace('signature from', 's'.repeat(2_000))],
    ['far too much text', `${PREHASHED}${' '.repeat(20_000)}`],
    ['a terminal escape in a comment', PREHASHED.replace('product', '\u001b[2J')],
    ['no trusted comment', PREHASHED.replace('trusted comment: product', 'comment: product')],
    ['no untrusted comment', PREHASHED.replace('untrusted', 'trusted')],
    ['a short second signature', PREHASHED.replace('lqTUd758', 'lqTU')],
    ['another spelling of the same bytes', PREHASHED.replace('3Lgk=', '3Lgl=')],
    ['nothing', ''],
    ['bad base64', PREHASHED.replace('RUQq', 'RU*q')],
    ['an unknown algorithm', PREHASHED.replace('RUQq', 'RVQq')],
    ['a long comment', PREHASHED.replace('product', 'p'.repeat(9_000))],
  ])('a signature with %s is refused', (_what, signature) => {
    expect(parseSignature(signature).ok).toBe(false);
  });

  it('public keys are read with and without their comment line', () => {
    expect(parsePublicKey(`untrusted comment: x\n${KEY}\n`).ok).toBe(true);
    expect(parsePublicKey(`untrusted comment: x\r\n${KEY}\r\n`).ok).toBe(true);
  });

  it.each([
    ['three lines', 'a\nb\nc'],
    ['a line before that is no comment', `x\n${KEY}`],
    ['the key before the comment', `${KEY}\nuntrusted comment: x`],
    ['a cut', KEY.slice(0, 50)],
    ['another spelling of the same bytes', `${KEY.slice(0, -1)}=`],
    ['spaces inside', `${KEY.slice(0, 20)} ${KEY.slice(20)}`],
    ['another algorithm', KEY.replace('RWQ', 'RXQ')],
    ['far too much text', `${' '.repeat(3_000)}${KEY}`],
    ['nothing', ''],
  ])('a public key with %s is refused', (_what, text) => {
    expect(parsePublicKey(text)).toMatchObject({
      ok: false,
      error: { code: 'upgrade_policy_invalid' },
    });
  });

  it('what we write we read, under the same key id', () => {
    const secret = aKey();
    const key = publicKeyOf(secret);
    expect(parsePublicKey(formatPublicKey(key))).toMatchObject({
      ok: true,
      value: { keyId: secret.keyId },
    });
    const text = signMinisign(secret, FILE, 'product:edge\tversion:1.0.0');
    expect(text.ok && verify(key, FILE, text.value)).toEqual({
      ok: true,
      value: { trustedComment: 'product:edge\tversion:1.0.0' },
    });
  });

  it('a stranger, a forgery and junk are told apart', () => {
    const key = parsePublicKey(KEY);
    if (!key.ok) throw new Error(key.error.message);
    const stranger = signMinisign(aKey(), FILE, 'x');
    const codeOf = (text: string): string => {
      const answer = verify(key.value, FILE, text);
      return answer.ok ? 'ok' : answer.error.code;
    };
    expect(codeOf(PREHASHED)).toBe('ok');
    expect(codeOf(stranger.ok ? stranger.value : '')).toBe('upgrade_identity_not_allowed');
    expect(codeOf(PREHASHED.replace('edge', 'edgy'))).toBe('upgrade_signature_invalid');
    expect(codeOf('junk')).toBe('upgrade_signature_invalid');
  });

  it.each([
    ['two lines', 'a\nb'],
    ['too much', 'a'.repeat(9_000)],
  ])('a trusted comment of %s is not signed', (_what, comment) => {
    expect(signMinisign(aKey(), FILE, comment).ok).toBe(false);
  });

  it('any single flipped bit of a public key lets no signature through', () => {
    const good = Buffer.from(KEY);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(7), (at, bit) => {
        const flipped = Buffer.from(good);
        flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
        const key = parsePublicKey(flipped.toString('latin1'));
        expect(key.ok && verify(key.value, FILE, PREHASHED).ok).toBe(false);
      }),
    );
  });
});
