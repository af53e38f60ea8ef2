import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { changed, valueAt, type Json } from '../../../test/support/json.js';
import {
  pemOf,
  RELEASE_SIGNER,
  RELEASE_WORKFLOW,
  Sigstore,
} from '../../../test/support/sigstore.js';
import {
  BYTES,
  codeOf,
  judgeBundles,
  trustOf,
  type Judging,
} from '../../../test/support/sigstore-judging.js';
import {
  checkSignatureForm,
  formatPublicKey,
  judgeSignatures,
  NodePolicy,
  publicKeyOf,
  secretKeyOf,
  signMinisign,
  SIGNATURE_BYTES_MAX,
  type SigstoreTrust,
} from './index.js';

const ENTRIES = 'verificationMaterial.tlogEntries';
const ENTRY = `${ENTRIES}.0`;
const KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEY_SIGNER = {
  name: 'release key',
  kind: 'sigstore-key' as const,
  public_key: pemOf(KEY.publicKey),
};

let sigstore: Sigstore;
let trust: SigstoreTrust;
let good: Json;
beforeAll(async () => {
  sigstore = await Sigstore.make();
  trust = trustOf(sigstore.root);
  good = await sigstore.signKeyless(BYTES);
});

const judge = (bundles: readonly (Json | string | undefined)[], judging: Partial<Judging> = {}) =>
  judgeBundles(bundles, { by: trust, ...judging });

describe('a threshold of two', () => {
  const minisignKey = secretKeyOf(generateKeyPairSync('ed25519').privateKey);
  const minisigner = {
    name: 'alice',
    public_key: formatPublicKey(publicKeyOf(minisignKey)).split('\n')[1],
  };
  const minisig = (bytes: Uint8Array): string => {
    const made = signMinisign(minisignKey, bytes, 'edge');
    if (!made.ok) throw new Error(made.error.message);
    return made.value;
  };
  const signers = [minisigner, RELEASE_SIGNER, KEY_SIGNER];

  it('is reached by minisign and Sigstore together, in any order', async () => {
    const managed = await sigstore.signManaged(BYTES, KEY);
    const texts = [minisig(BYTES), good, managed];
    expect(judge(texts, { signers, threshold: 3 })).toEqual({
      ok: true,
      value: ['alice', 'release key', 'release workflow'],
    });
    for (const two of [texts.slice(0, 2), texts.slice(1), [managed, texts[0]]]) {
      expect(codeOf(judge(two, { signers, threshold: 2 }))).toBe('taken');
      expect(judge([...two].reverse(), { signers, threshold: 2 })).toEqual(
        judge(two, { signers, threshold: 2 }),
      );
    }
  });

  it('is not reached by two signatures of one signer', async () => {
    const again = await sigstore.signKeyless(BYTES);
    expect(codeOf(judge([good, again], { signers, threshold: 2 }))).toBe(
      'upgrade_signature_invalid',
    );
    const managed = [
      await sigstore.signManaged(BYTES, KEY),
      await sigstore.signManaged(BYTES, KEY),
    ];
    expect(codeOf(judge(managed, { signers, threshold: 2 }))).toBe('upgrade_signature_invalid');
  });

  it('is not reached by one workflow under two names, with two refs', async () => {
    const onMain = { ...RELEASE_SIGNER, name: 'main', ref: 'refs/heads/main' };
    const fromMain = await sigstore.signKeyless(BYTES, {
      ...RELEASE_WORKFLOW,
      ref: 'refs/heads/main',
    });
    const answer = judge([good, fromMain], {
      signers: [RELEASE_SIGNER, onMain, minisigner],
      threshold: 2,
    });
    expect(codeOf(answer)).toBe('upgrade_signature_invalid');
    expect(answer.ok ? '' : answer.error.message).toContain('by 1 allowed signers');
  });

  it('is not reached by one key in two formats', async () => {
    const policy = {
      signers: [KEY_SIGNER, { ...KEY_SIGNER, name: 'again' }],
      threshold: 2,
    };
    expect(NodePolicy.safeParse(policy).success).toBe(false);
    const texts = [JSON.stringify(await sigstore.signManaged(BYTES, KEY))];
    texts.push(JSON.stringify(await sigstore.signManaged(BYTES, KEY)));
    expect(codeOf(judgeSignatures(policy, BYTES, texts, trust))).toBe('upgrade_signature_invalid');
  });
});

describe('a policy with Sigstore signers', () => {
  it('refuses everything without a trusted root, also what minisign alone could bear', () => {
    for (const signers of [[RELEASE_SIGNER], [KEY_SIGNER]]) {
      expect(codeOf(judge([good], { signers, by: null }))).toBe('upgrade_trusted_root_invalid');
    }
  });
});

describe('the form of a signature', () => {
  it.each<[string, string, unknown?]>([
    ['of v0.4', 'mediaType', 'application/vnd.dev.sigstore.bundle.v0.4+json'],
    ['of no version', 'mediaType'],
    ['over an envelope', 'dsseEnvelope', { payload: 'AAAA' }],
    ['over nothing', 'messageSignature'],
    ['without digest', 'messageSignature.messageDigest'],
    ['with a digest of no name', 'messageSignature.messageDigest.algorithm'],
    ['with a weak digest', 'messageSignature.messageDigest.algorithm', 'SHA1'],
    ['without signer', 'verificationMaterial.certificate'],
    ['of two kinds of signer', 'verificationMaterial.publicKey', { hint: 'x' }],
    ['with a certificate that is none', 'verificationMaterial.certificate.rawBytes', 'AAAA'],
    ['with junk for base64', 'messageSignature.signature', '*'],
    ['with an entry of another kind', `${ENTRY}.kindVersion.kind`, 'intoto'],
    [
      'with more entries than are looked at',
      ENTRIES,
      (list: unknown) => Array.from({ length: 5 }, () => (list as unknown[])[0]),
    ],
    [
      'with a path longer than any tree is deep',
      `${ENTRY}.inclusionProof.hashes`,
      Array.from({ length: 129 }, () => 'AAAA'),
    ],
  ])('%s is not taken', (_what, path, value) => {
    const bundle = changed(good, path, value);
    expect(checkSignatureForm(JSON.stringify(bundle))).toMatchObject({
      ok: false,
      error: { code: 'upgrade_signature_invalid' },
    });
    expect(codeOf(judge([bundle]))).toBe('upgrade_signature_invalid');
  });

  it('is refused when it is huge, before it is parsed', () => {
    const text = JSON.stringify({ ...good, padding: 'x'.repeat(SIGNATURE_BYTES_MAX) });
    const answer = checkSignatureForm(text);
    expect(answer.ok ? '' : answer.error.message).toContain('at most');
    expect(codeOf(judge([text]))).toBe('upgrade_signature_invalid');
    const deep = `${'{"a":'.repeat(12_000)}1${'}'.repeat(12_000)}`.slice(0, SIGNATURE_BYTES_MAX);
    expect(checkSignatureForm(deep).ok).toBe(false);
  });

  it('is told apart', () => {
    expect(checkSignatureForm(JSON.stringify(good))).toEqual({ ok: true, value: 'sigstore' });
    expect(checkSignatureForm('{}').ok).toBe(false);
    expect(checkSignatureForm('').ok).toBe(false);
  });

  it('is never taken, and never throws, when a letter of a bundle is another', () => {
    const text = JSON.stringify(good);
    const before = judge([text]);
    expect(before.ok).toBe(true);
    fc.assert(
      fc.property(
        fc.nat(text.length - 1),
        fc.constantFrom('A', '"', '{', '9', '\u0000'),
        (at, to) => {
          const changed = text.slice(0, at) + to + text.slice(at + 1);
          const answer = judge([changed]);
          // Some letters mean nothing, such as the number in the log beside a proof.
          if (answer.ok) expect(meaningOf(changed)).toEqual(meaningOf(text));
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** What a bundle says that anybody relies on, without what only repeats it. */
const meaningOf = (text: string): unknown[] =>
  [
    'messageSignature',
    'verificationMaterial.certificate',
    ...['logId', 'integratedTime', 'canonicalizedBody', 'inclusionPromise'].map(
      (field) => `${ENTRY}.${field}`,
    ),
  ].map((path) => valueAt(JSON.parse(text), path));
