import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  formatPublicKey,
  NodePolicy,
  publicKeyOf,
  secretKeyOf,
  type MinisignSecretKey,
} from './index.js';

const aKey = (): MinisignSecretKey => secretKeyOf(generateKeyPairSync('ed25519').privateKey);
const ALICE = aKey();
const BOB = aKey();
const pemOf = (type: 'ec' | 'rsa' | 'ed25519', size = 0): string => {
  const { publicKey } =
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: size === 0 ? 'P-256' : 'secp256k1' })
      : type === 'rsa'
        ? generateKeyPairSync('rsa', { modulusLength: size })
        : generateKeyPairSync('ed25519');
  return publicKey.export({ format: 'pem', type: 'spki' }).toString();
};
const PEM = pemOf('ec');
const PRIVATE_PEM = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ format: 'pem', type: 'pkcs8' })
  .toString();
const MANAGED = { name: 'key', kind: 'sigstore-key', public_key: PEM };
const KEYLESS = {
  name: 'workflow',
  kind: 'sigstore',
  issuer: 'https://token.actions.githubusercontent.com',
  repository: 'https://github.com/acme/edge',
  workflow: '.github/workflows/release.yml',
  ref: 'refs/tags/v*',
};
const without = (field: string): object =>
  Object.fromEntries(Object.entries(KEYLESS).filter(([name]) => name !== field));
const signer = (name: string, key: MinisignSecretKey): { name: string; public_key: string } => ({
  name,
  public_key: formatPublicKey(publicKeyOf(key)).split('\n')[1] as string,
});

describe('a policy', () => {
  it.each([
    ['an unknown key', { enable: true }],
    ['a signer that is no key', { signers: [{ name: 'a', public_key: 'RWQ' }] }],
    ['one key under two names', { signers: [signer('a', ALICE), signer('b', ALICE)] }],
    [
      'one key under two ids',
      { signers: [signer('a', ALICE), signer('b', { ...ALICE, keyId: 'ff'.repeat(8) })] },
    ],
    ['more signers needed than listed', { threshold: 2, signers: [signer('a', ALICE)] }],
    ['a misspelt key of a signer', { signers: [{ ...signer('a', ALICE), key: 'x' }] }],
    ['no channel', { allowed_channels: [] }],
    ['a window of no time', { boot_health_window_secs: 0 }],
    ['a wide rollback grace', { rollback_grace: 101 }],
    ['a source that is no address', { sources: ['mirror'] }],
    ['a channel twice', { allowed_channels: ['stable', 'stable'] }],
    [
      'two signers of one name',
      {
        signers: [signer('a', ALICE), signer('a', BOB)],
      },
    ],
  ])('with %s is refused', (_what, policy) => {
    expect(NodePolicy.safeParse(policy).success).toBe(false);
  });

  it('that says nothing refuses everything', () => {
    expect(NodePolicy.parse({})).toMatchObject({ enabled: false, signers: [] });
  });

  it('takes as many needed signers as are listed', () => {
    const signers = [signer('a', ALICE), signer('b', BOB)];
    expect(NodePolicy.parse({ signers, threshold: 2 })).toMatchObject({ threshold: 2 });
  });
});

describe('a Sigstore signer of a policy', () => {
  const takes = (...signers: object[]): boolean => NodePolicy.safeParse({ signers }).success;

  it.each([
    ['a workflow', KEYLESS],
    ['an exact ref', { ...KEYLESS, ref: 'refs/heads/main' }],
    [
      'a name of its own',
      { ...KEYLESS, identity: 'https://github.com/acme/ci/x.yml@refs/heads/a' },
    ],
    ['a repository in groups', { ...KEYLESS, repository: 'https://git.acme.example:8443/a/b/c' }],
    ['a key', MANAGED],
    ['a key of RSA', { ...MANAGED, public_key: pemOf('rsa', 2048) }],
    ['minisign by its name', { ...signer('a', ALICE), kind: 'minisign' }],
  ])('may be %s', (_what, one) => {
    expect(takes(one)).toBe(true);
  });

  it.each(['name', 'issuer', 'repository', 'workflow', 'ref'])('pins %s', (field) => {
    expect(takes(without(field))).toBe(false);
    for (const value of ['', ' ', '*', null, 7, ['x'], 'x'.repeat(2_000)]) {
      expect(takes({ ...KEYLESS, [field]: value })).toBe(false);
    }
  });

  it.each([
    ['issuer', 'http://token.actions.githubusercontent.com'],
    ['issuer', 'https://*.githubusercontent.com'],
    ['issuer', 'token.actions.githubusercontent.com'],
    ['repository', 'acme/edge'],
    ['repository', 'https://github.com/acme'],
    ['repository', 'https://github.com/acme/*'],
    ['repository', 'https://github.com/acme/edge/'],
    ['repository', 'https://github.com/acme/edge.git'],
    ['repository', 'https://github.com/acme/../edge'],
    ['repository', 'https://user@github.com/acme/edge'],
    ['repository', 'https://github.com/acme/edge?ref=x'],
    ['repository', 'https://github.com/acme/edge#x'],
    ['workflow', '.github/workflows/*.yml'],
    ['workflow', '.github/workflows/../release.yml'],
    ['workflow', '.github/workflows/release.yml@refs/heads/main'],
    ['workflow', '.github//release.yml'],
    ['workflow', 'a b.yml'],
    ['ref', 'v*'],
    ['ref', 'refs/*'],
    ['ref', 'refs/tags/v(1|2)'],
    ['identity', ''],
    ['identity', 'https://github.com/acme/*'],
    ['identity', 'a b'],
    ['identity', null],
    ['kind', 'keyless'],
    ['kind', ''],
    ['public_key', PEM],
    ['subject', 'x'],
  ])('is refused with the %s %s', (field, value) => {
    expect(takes({ ...KEYLESS, [field]: value })).toBe(false);
  });

  it.each([
    ['no key', ''],
    ['a key of minisign', signer('a', ALICE).public_key],
    ['a secret key', PRIVATE_PEM],
    ['two keys', `${PEM}${PEM}`],
    ['a key with words around it', `x\n${PEM}`],
    ['a key of Ed25519, which the log does not take so', pemOf('ed25519')],
    ['a short key of RSA', pemOf('rsa', 1024)],
    ['a key on another curve', pemOf('ec', 1)],
    ['a damaged key', PEM.replace(/A/, 'B').replace(/M/, 'N')],
  ])('is refused with %s', (_what, public_key) => {
    expect(takes({ ...MANAGED, public_key })).toBe(false);
  });

  it('is refused without key, with fields of another kind, and twice', () => {
    expect(takes({ name: 'key', kind: 'sigstore-key' })).toBe(false);
    expect(takes({ ...MANAGED, issuer: KEYLESS.issuer })).toBe(false);
    expect(takes(MANAGED, { ...MANAGED, name: 'again' })).toBe(false);
    expect(takes(MANAGED, { ...MANAGED, name: 'again', public_key: `${PEM}\n` })).toBe(false);
    expect(takes(KEYLESS, KEYLESS)).toBe(false);
    expect(takes(KEYLESS, { ...MANAGED, name: 'workflow' })).toBe(false);
  });

  it('counts one workflow once, however many refs of it are listed', () => {
    const signers = [KEYLESS, { ...KEYLESS, name: 'main', ref: 'refs/heads/main' }];
    expect(takes(...signers)).toBe(true);
    expect(NodePolicy.safeParse({ signers, threshold: 2 }).success).toBe(false);
    expect(NodePolicy.safeParse({ signers: [...signers, MANAGED], threshold: 2 }).success).toBe(
      true,
    );
  });
});
