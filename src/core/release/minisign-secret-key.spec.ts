import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  formatPublicKey,
  formatSecretKey,
  needsPassword,
  newSecretKey,
  parseSecretKey,
  publicKeyOf,
  signMinisign,
} from './index.js';

// Made with minisign 0.11: a bare key and one under the password `correct horse`, their public
// halves, and the second line of a signature over the file with a given comment.
const FILE = Buffer.from('hello bellwether\n');
const COMMENT = 'untrusted comment: minisign encrypted secret key\n';
const BARE = `${COMMENT}RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAJ574chtx3/SXFa5AtGQLgx0GXu/tgG/0Pho0gOKVKW4lykacrNgU1zYD8Zir91wtKaqpQeXGVeaVNroQ5WUVeNFAPgz1/9IwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n`;
const BARE_PUBLIC = 'RWQnnvhyG3Hf9DYD8Zir91wtKaqpQeXGVeaVNroQ5WUVeNFAPgz1/9Iw';
const BARE_SIGNATURE =
  'RUQnnvhyG3Hf9Bvay+NtkYzfEGy4iAxxnQvM7Ohse9ONLkBim6jKV2GkhYgYZQQGnErYQMRmrl+Fqr19CLDGFsnE92s4vLmORwg=';
const LOCKED = `${COMMENT}RWRTY0IyP4B0s18O7yRx5PvmNM34QSFXbstlF54WKBu8u1GRJboAAAACAAAAAAAAAEAAAAAAXMNsiLTwqQnXhHicyLGTe7tvP1hPWtg5vk5WAHDHLjfc0eVspIphOLie8cUhRE+KpFjzqy7OFynlH6MYAXX2cC2as75jE5Vrz7SCinJkiQB7Tl7H3osyaAI9S4pMoqMOzPOAm+C0XhY=\n`;
const LOCKED_PUBLIC = 'RWRyQujsbmISEBAa5ngPgJKvd5eBu1hBmsl9oFRwFsP8AjKIk1hJpbBR';
/** Cheap, so that specs are quick; 16 MiB of memory. */
const CHEAP = { operationLimit: 524_288, memoryLimitBytes: 16 * 1024 ** 2 };

const newKey = (): ReturnType<typeof newSecretKey> =>
  newSecretKey({ seed: randomBytes(32), keyId: randomBytes(8) });

/** A key file with some of its bytes changed. */
function changed(text: string, change: (file: Buffer) => void): string {
  const [comment, body] = text.split('\n') as [string, string];
  const file = Buffer.from(body, 'base64');
  change(file);
  return `${comment}\n${file.toString('base64')}\n`;
}

describe('a secret key file', () => {
  it('of the real tool is read, and signs as the tool signs', () => {
    const secret = parseSecretKey(BARE);
    if (!secret.ok) throw new Error(secret.error.message);
    expect(formatPublicKey(publicKeyOf(secret.value)).split('\n')[1]).toBe(BARE_PUBLIC);
    const signature = signMinisign(secret.value, FILE, 'unencrypted');
    expect(signature.ok && signature.value.split('\n')[1]).toBe(BARE_SIGNATURE);
  });

  it('of the real tool opens with its password', () => {
    expect(needsPassword(LOCKED)).toBe(true);
    const secret = parseSecretKey(LOCKED, 'correct horse');
    if (!secret.ok) throw new Error(secret.error.message);
    expect(formatPublicKey(publicKeyOf(secret.value)).split('\n')[1]).toBe(LOCKED_PUBLIC);
  });

  it('comes back from its bare form', () => {
    const key = newKey();
    const text = formatSecretKey(key);
    expect(needsPassword(text)).toBe(false);
    const back = parseSecretKey(text);
    expect(back.ok && back.value.keyId).toBe(key.keyId);
    expect(back.ok && formatSecretKey(back.value)).toBe(text);
  });

  it.each([
    ['16 MiB of memory', CHEAP],
    ['several lanes', { operationLimit: 524_288, memoryLimitBytes: 1024 ** 2 }],
    ['few operations', { operationLimit: 32_768, memoryLimitBytes: 64 * 1024 ** 2 }],
    ['the least there is', { operationLimit: 0, memoryLimitBytes: 0 }],
  ])('comes back from its locked form, with its password only: %s', (_what, cost) => {
    const key = newKey();
    const text = formatSecretKey(key, { password: 'pässword', salt: randomBytes(32), cost });
    expect(needsPassword(text)).toBe(true);
    const back = parseSecretKey(text, 'pässword');
    expect(back.ok && formatSecretKey(back.value)).toBe(formatSecretKey(key));
    for (const wrong of ['', 'password']) {
      expect(parseSecretKey(text, wrong)).toMatchObject({
        ok: false,
        error: { code: 'signing_key_password_wrong' },
      });
    }
  });

  const damaged = (change: (file: Buffer) => void): string => changed(BARE, change);
  it.each([
    ['is empty', ''],
    ['is a public key', `untrusted comment: x\n${BARE_PUBLIC}\n`],
    ['has no comment', BARE.split('\n')[1] as string],
    ['has another first line', BARE.replace('untrusted comment: ', '')],
    ['has a third line', `${BARE}more\n`],
    ['is far too long', `${BARE}${' '.repeat(3_000)}`],
    ['has another algorithm', damaged((file) => file.write('Xd', 0))],
    ['has another checksum', damaged((file) => file.write('B3', 4))],
    ['is protected in an unknown way', damaged((file) => file.write('Ar', 2))],
    ['has a damaged seed', damaged((file) => file.fill(7, 62, 64))],
    ['has a damaged public half', damaged((file) => file.fill(7, 100, 102))],
    ['asks for too much work', changed(LOCKED, (file) => file.writeUInt8(9, 42))],
    ['asks for too much memory', changed(LOCKED, (file) => file.writeUInt8(9, 51))],
  ])('that %s is refused', (_what, text) => {
    expect(parseSecretKey(text, 'x')).toMatchObject({
      ok: false,
      error: { code: 'signing_key_invalid' },
    });
    expect(JSON.stringify(parseSecretKey(text))).not.toContain(text.split('\n')[1] || 'none');
  });
});
