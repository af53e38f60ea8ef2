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
