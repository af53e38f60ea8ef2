import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MANIFEST as SMALL } from '../../../test/support/release/manifests.js';
import {
  formatPublicKey,
  judgeRelease,
  judgeSignatures,
  manifestBytes,
  NodePolicy,
  publicKeyOf,
  secretKeyOf,
  signMinisign,
  type JudgeInput,
  type Manifest,
  type MinisignSecretKey,
} from './index.js';

const aKey = (): MinisignSecretKey => secretKeyOf(generateKeyPairSync('ed25519').privateKey);
const ALICE = aKey();
const BOB = aKey();
const MALLORY = aKey();
/** The key of Alice under the key id of Bob: an id is not signed, so anyone can write it. */
const ALICE_AS_BOB: MinisignSecretKey = { ...ALICE, keyId: BOB.keyId };
const MALLORY_AS_ALICE: MinisignSecretKey = { ...MALLORY, keyId: ALICE.keyId };

const MANIFEST: Manifest = {
  ...SMALL,
  artifacts: [
    ...SMALL.artifacts,
    {
      os: 'linux',
      arch: 'x64',
      variant: 'full',
      format: 'tar.gz',
      file: 'b.tar.gz',
      size: 100,
      sha256: 'b'.repeat(64),
    },
  ],
};

const signed = (key: MinisignSecretKey, bytes: Uint8Array): string => {
  const signature = signMinisign(key, bytes, 'edge 1.4.0');
  if (!signature.ok) throw new Error(signature.error.message);
  return signature.value;
};
const publicKey = (key: MinisignSecretKey): string =>
  formatPublicKey(publicKeyOf(key)).split('\n')[1] as string;

interface Case {
  policy?: Partial<NodePolicy>;
  manifest?: Partial<Manifest>;
  signers?: MinisignSecretKey[];
  request?: Partial<JudgeInput['request']>;
  host?: Partial<JudgeInput['host']>;
  installed?: Partial<JudgeInput['installed']>;
  nowMs?: number;
}

function judge(change: Case): ReturnType<typeof judgeRelease> {
  const bytes = manifestBytes({ ...MANIFEST, ...change.manifest });
  return judgeRelease({
    policy: NodePolicy.parse({
      enabled: true,
      signers: [
        { name: 'alice', public_key: publicKey(ALICE) },
        { name: 'bob', public_key: publicKey(BOB) },
      ],
      ...change.policy,
    }),
    manifestBytes: bytes,
    signatures: (change.signers ?? [ALICE]).map((key) => signed(key, bytes)),
    request: { product: 'edge', version: '1.4.0', channel: 'stable', ...change.request },
    host: { os: 'linux', arch: 'x64', variant: 'default', ...change.host },
    installed: { version: '1.3.2', sequenceFloor: 13, stateSchema: null, ...change.installed },
    nowMs: change.nowMs ?? Date.UTC(2026, 10, 21),
  });
}

describe('a release', () => {
  it('that is signed, newer and made for this host may run', () => {
    expect(judge({})).toMatchObject({
      ok: true,
      value: { signerNames: ['alice'], artifact: { variant: 'default' } },
    });
  });

  it.each<[string, Case, string]>([
    ['upgrades are off', { policy: { enabled: false } }, 'upgrade_disabled'],
    ['nobody may sign', { policy: { signers: [] } }, 'upgrade_identity_not_allowed'],
    ['a stranger signed', { signers: [MALLORY] }, 'upgrade_identity_not_allowed'],
    ['nobody signed', { signers: [] }, 'upgrade_signature_invalid'],
    ['too few signed', { policy: { threshold: 2 } }, 'upgrade_signature_invalid'],
    [
      'one signed twice',
      { policy: { threshold: 2 }, signers: [ALICE, ALICE] },
      'upgrade_signature_invalid',
    ],
    [
      'one signed again under the key id of another',
      { policy: { threshold: 2 }, signers: [ALICE, ALICE_AS_BOB] },
      'upgrade_signature_invalid',
    ],
    [
      'a stranger signed under the key id of a signer',
      { signers: [MALLORY_AS_ALICE] },
      'upgrade_signature_invalid',
    ],
    [
      'a stranger makes up for a missing signer',
      { policy: { threshold: 2 }, signers: [ALICE, MALLORY] },
      'upgrade_signature_invalid',
    ],
    [
      'there are more signatures than are looked at',
      { signers: Array.from({ length: 33 }, () => ALICE) },
      'upgrade_signature_invalid',
    ],
    ['its channel is not allowed', { request: { channel: 'beta' } }, 'upgrade_channel_not_allowed'],
    ['it is another product', { manifest: { product: 'gateway' } }, 'upgrade_manifest_invalid'],
    ['it is another version', { manifest: { version: '1.5.0' } }, 'upgrade_manifest_invalid'],
    ['it is of another channel', { manifest: { channel: 'dev' } }, 'upgrade_manifest_invalid'],
    ['it is below min_version', { policy: { min_version: '1.4.1' } }, 'upgrade_version_too_old'],
    ['it is two minors back', { installed: { version: '1.6.0' } }, 'upgrade_version_too_old'],
    ['it is a major back', { installed: { version: '2.0.0' } }, 'upgrade_version_too_old'],
    [
      'it has expired',
      { manifest: { expires_at: '2026-11-21T00:00:00Z' } },
      'upgrade_release_expired',
    ],
    [
      'it is too far ahead',
      { installed: { version: '0.9.0' }, manifest: { compatibility: { major_hops_max: 0 } } },
      'upgrade_hop_not_allowed',
    ],
    [
      'what runs is too old for it',
      { manifest: { compatibility: { min_from: '1.3.3' } } },
      'upgrade_hop_not_allowed',
    ],
    [
      'it cannot read the state of what runs',
      {
        installed: { stateSchema: 5 },
        manifest: { compatibility: { state_schema: { min: 2, max: 4 } } },
      },
      'upgrade_state_schema_mismatch',
    ],
    ['its sequence was passed', { installed: { sequenceFloor: 15 } }, 'upgrade_sequence_too_old'],
    ['it has nothing for the host', { host: { arch: 'arm64' } }, 'upgrade_arch_mismatch'],
    ['it has not the variant', { host: { variant: 'tiny' } }, 'upgrade_variant_mismatch'],
    ['it is too large', { policy: { max_artifact_bytes: 99 } }, 'upgrade_artifact_too_large'],
  ])('is refused when %s', (_why, change, code) => {
    expect(judge(change)).toMatchObject({ ok: false, error: { code } });
  });

  it('may be a minor older within the grace, although its sequence was passed', () => {
    expect(judge({ installed: { version: '1.5.3', sequenceFloor: 20 } }).ok).toBe(true);
  });

  it('may be tried again after it was rolled back, since the floor did not rise', () => {
    expect(judge({ installed: { version: '1.3.2', sequenceFloor: 14 } }).ok).toBe(true);
  });

  it('needs as many different signers as the threshold says, in any order', () => {
    const policy = { threshold: 2 };
    expect(judge({ policy, signers: [ALICE, BOB] }).ok).toBe(true);
    expect(judge({ policy, signers: [MALLORY, BOB, ALICE] }).ok).toBe(true);
  });

  it('is judged the same whatever the order of its signatures', () => {
    const bytes = manifestBytes(MANIFEST);
    const texts = [ALICE, BOB, MALLORY, ALICE_AS_BOB].map((key) => signed(key, bytes));
    const signers = [ALICE, BOB].map((key, index) => ({
      name: `signer ${index}`,
      public_key: publicKey(key),
    }));
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...texts, 'no signature', ...texts]),
        fc.integer({ min: 1, max: 3 }),
        (some, threshold) => {
          const policy = { signers, threshold };
          const answer = judgeSignatures(policy, bytes, some);
          expect(judgeSignatures(policy, bytes, [...some].sort())).toEqual(answer);
          const real = [ALICE, BOB].filter((key) => some.includes(signed(key, bytes))).length;
          expect(answer.ok).toBe(real >= threshold);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('counts one key under two names and two ids once, also past the policy schema', () => {
    const bytes = manifestBytes(MANIFEST);
    const signers = [ALICE, ALICE_AS_BOB].map((key, index) => ({
      name: `signer ${index}`,
      public_key: publicKey(key),
    }));
    const texts = [ALICE, ALICE_AS_BOB].map((key) => signed(key, bytes));
    expect(judgeSignatures({ signers, threshold: 2 }, bytes, texts)).toMatchObject({
      ok: false,
      error: { code: 'upgrade_signature_invalid' },
    });
    expect(judgeSignatures({ signers, threshold: 1 }, bytes, texts)).toEqual({
      ok: true,
      value: ['signer 0'],
    });
  });

  it('is refused by a list of signers that are no keys', () => {
    const bytes = manifestBytes(MANIFEST);
    const signers = [{ name: 'alice', public_key: 'not a key' }];
    expect(judgeSignatures({ signers, threshold: 1 }, bytes, [signed(ALICE, bytes)])).toMatchObject(
      {
        ok: false,
        error: { code: 'upgrade_identity_not_allowed' },
      },
    );
  });

  it('is not parsed before its signatures are good', () => {
    const junk = new TextEncoder().encode('{"schema":');
    const answer = judgeRelease({
      policy: NodePolicy.parse({
        enabled: true,
        signers: [{ name: 'alice', public_key: publicKey(ALICE) }],
      }),
      manifestBytes: junk,
      signatures: [signed(MALLORY, junk)],
      request: { product: 'edge', version: '1.4.0', channel: 'stable' },
      host: { os: 'linux', arch: 'x64', variant: 'default' },
      installed: { version: null, sequenceFloor: 0, stateSchema: null },
      nowMs: 0,
    });
    expect(answer).toMatchObject({ ok: false, error: { code: 'upgrade_identity_not_allowed' } });
  });

  it('that is signed and malformed is refused for its form', () => {
    const junk = new TextEncoder().encode('{"schema":');
    const answer = judgeRelease({
      policy: NodePolicy.parse({
        enabled: true,
        signers: [{ name: 'alice', public_key: publicKey(ALICE) }],
      }),
      manifestBytes: junk,
      signatures: [signed(ALICE, junk)],
      request: { product: 'edge', version: '1.4.0', channel: 'stable' },
      host: { os: 'linux', arch: 'x64', variant: 'default' },
      installed: { version: null, sequenceFloor: 0, stateSchema: null },
      nowMs: 0,
    });
    expect(answer).toMatchObject({ ok: false, error: { code: 'upgrade_manifest_invalid' } });
  });

  it.each<[string, Case, string]>([
    ['key ids', { signers: [MALLORY] }, 'allowed: alice'],
    ['empty lists', { policy: { signers: [] } }, 'allowed: nobody'],
    ['who did sign', { policy: { threshold: 2 } }, 'by 1 allowed signers (alice); 2 needed'],
    ['channels', { request: { channel: 'beta' } }, 'allowed: stable'],
    ['hosts', { host: { arch: 'arm64' } }, 'there are: linux/x64'],
    ['variants', { host: { variant: 'tiny' } }, 'there are: default, full'],
    ['sizes', { policy: { max_artifact_bytes: 99 } }, '100 bytes; the policy allows 99'],
    ['versions', { installed: { version: '1.6.0' } }, '1.4.0 is too far below the installed 1.6.0'],
  ])('that is refused says what was found and what is allowed: %s', (_what, change, words) => {
    const answer = judge(change);
    expect(answer.ok ? '' : answer.error.message).toContain(words);
  });

  it('may be the installed version again', () => {
    expect(judge({ installed: { version: '1.4.0', sequenceFloor: 14 } }).ok).toBe(true);
  });

  it('may be the first on a node', () => {
    expect(judge({ installed: { version: null, sequenceFloor: 0 } }).ok).toBe(true);
  });

  it('that is a preview of the installed version is within any grace', () => {
    const change = { manifest: { version: '1.4.0-rc.1' }, request: { version: '1.4.0-rc.1' } };
    const installed = { version: '1.4.0', sequenceFloor: 20 };
    expect(judge({ ...change, policy: { rollback_grace: 0 }, installed }).ok).toBe(true);
  });

  it('is refused when any single bit of manifest or signature is flipped', () => {
    const bytes = manifestBytes(MANIFEST);
    const signature = Buffer.from(signed(ALICE, bytes));
    // Only the untrusted comment may change: nobody trusts it.
    const from = signature.indexOf('\n') + 1;
    fc.assert(
      fc.property(fc.boolean(), fc.nat(), fc.nat(7), (inManifest, at, bit) => {
        const flipped = Buffer.from(inManifest ? bytes : signature);
        const start = inManifest ? 0 : from;
        const index = start + (at % (flipped.length - start - 1));
        flipped.writeUInt8(flipped.readUInt8(index) ^ (1 << bit), index);
        const answer = judgeRelease({
          policy: NodePolicy.parse({
            enabled: true,
            signers: [{ name: 'alice', public_key: publicKey(ALICE) }],
          }),
          manifestBytes: inManifest ? flipped : bytes,
          signatures: [inManifest ? signature.toString() : flipped.toString('latin1')],
          request: { product: 'edge', version: '1.4.0', channel: 'stable' },
          host: { os: 'linux', arch: 'x64', variant: 'default' },
          installed: { version: null, sequenceFloor: 0, stateSchema: null },
          nowMs: 0,
        });
        expect(answer.ok).toBe(false);
      }),
      { numRuns: 400 },
    );
  });
});
