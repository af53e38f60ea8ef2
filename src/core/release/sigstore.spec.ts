import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { changed, doubled, valueAt, type Json } from '../../../test/support/json.js';
import {
  pemOf,
  RELEASE_SIGNER,
  RELEASE_WORKFLOW,
  Sigstore,
  type BundleVersion,
  type Workflow,
} from '../../../test/support/sigstore.js';
import {
  BYTES,
  codeOf,
  judgeBundles,
  OTHER,
  trustOf,
  type Judging,
} from '../../../test/support/sigstore-judging.js';
import { assessSignatures, NodePolicy, type SigstoreTrust } from './index.js';

const VERSIONS: readonly BundleVersion[] = ['0.1', '0.2', '0.3'];
const HOUR_MS = 3_600_000;
const ENTRIES = 'verificationMaterial.tlogEntries';
const ENTRY = `${ENTRIES}.0`;
const ISSUER = 'https://token.actions.githubusercontent.com';

const KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const STRANGE_KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' });
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

const judge = (bundles: readonly (Json | string)[], judging: Partial<Judging> = {}) =>
  judgeBundles(bundles, { by: trust, ...judging });

describe('a keyless signature', () => {
  it.each(VERSIONS)('by the right workflow in a bundle of v%s is taken', async (version) => {
    for (const isStamped of [false, true]) {
      const bundle = await sigstore.signKeyless(BYTES, RELEASE_WORKFLOW, { version, isStamped });
      expect(judge([bundle])).toEqual({ ok: true, value: ['release workflow'] });
    }
  });

  it('in the other spelling of v0.3 is taken', () => {
    const mediaType = 'application/vnd.dev.sigstore.bundle+json;version=0.3';
    expect(codeOf(judge([{ ...good, mediaType }]))).toBe('taken');
  });

  // Each pin alone; everything else is right.
  it.each<[string, Partial<Workflow>]>([
    ['issuer', { issuer: 'https://gitlab.com' }],
    ['issuer', { issuer: `${RELEASE_WORKFLOW.issuer}.evil.example` }],
    ['identity', { identity: 'https://github.com/acme/edge/.github/workflows/release.yml' }],
    ['ref', { ref: 'refs/heads/main' }],
    ['ref', { ref: 'refs/heads/refs/tags/v1' }],
    ['ref', { ref: 'refs/tags/v1/evil' }],
    ['workflow', { startedBy: 'acme/edge/.github/workflows/test.yml@refs/tags/v1.6.0' }],
    ['workflow', { startedBy: 'acme/edge/.github/workflows/release.yml@refs/heads/main' }],
  ])('of another %s is refused: %j', async (pin, change) => {
    const bundle = await sigstore.signKeyless(BYTES, { ...RELEASE_WORKFLOW, ...change });
    const answer = judge([bundle]);
    expect(codeOf(answer)).toBe('upgrade_identity_not_allowed');
    expect(answer.ok ? '' : answer.error.message).toContain(`${pin}: `);
  });

  it('of another repository alone is refused, whatever its name and workflow say', async () => {
    const right = 'acme/edge/.github/workflows/release.yml@refs/tags/v1.6.0';
    const bundle = await sigstore.signKeyless(BYTES, {
      ...RELEASE_WORKFLOW,
      repository: 'acme/edge-fork',
      identity: `https://github.com/${right}`,
      startedBy: right,
    });
    const policy = NodePolicy.parse({ signers: [RELEASE_SIGNER] });
    const [finding] = assessSignatures(policy, BYTES, [JSON.stringify(bundle)], trust).findings;
    const wrong = finding?.claims.filter(({ holds }) => !holds).map(({ what }) => what);
    expect(wrong).toEqual(['repository', 'signer']);
  });

  it.each([
    ['issuer', 'https://token.actions.githubusercontent.org'],
    ['repository', 'https://github.com/acme/edges'],
    ['repository', 'https://github.com/acme-edge/edge'],
    ['workflow', '.github/workflows/other.yml'],
    ['ref', 'refs/tags/v1.5.*'],
    ['ref', 'refs/heads/main'],
    ['identity', 'https://github.com/acme/edge/.github/workflows/release.yml@refs/tags/v1.6.1'],
    // Regular expressions to the library, letters to us.
    ['identity', 'https://github.com/acme/edge/.github/workflows/release.yml@refs/tags/v1.6..'],
    ['identity', 'edge'],
  ])('is refused when the policy changes in its %s alone: %s', (pin, value) => {
    const signers = [{ ...RELEASE_SIGNER, [pin]: value }];
    expect(codeOf(judge([good], { signers }))).toBe('upgrade_identity_not_allowed');
  });

  it('by a reusable workflow is taken when its name is given, and only then', async () => {
    const identity = 'https://github.com/acme/ci/.github/workflows/sign.yml@refs/heads/main';
    const bundle = await sigstore.signKeyless(BYTES, { ...RELEASE_WORKFLOW, identity });
    expect(codeOf(judge([bundle]))).toBe('upgrade_identity_not_allowed');
    expect(codeOf(judge([bundle], { signers: [{ ...RELEASE_SIGNER, identity }] }))).toBe('taken');
    const fork = { ...RELEASE_WORKFLOW, identity, repository: 'mallory/edge' };
    const bySomebodyElse = await sigstore.signKeyless(BYTES, fork);
    const signers = [{ ...RELEASE_SIGNER, identity }];
    expect(codeOf(judge([bySomebodyElse], { signers }))).toBe('upgrade_identity_not_allowed');
  });

  it('whose certificate began after the log took it, or had ended before, is refused', async () => {
    for (const apartMs of [HOUR_MS, -HOUR_MS]) {
      const certificateAt = new Date(Date.now() + apartMs);
      const bundle = await sigstore.signKeyless(BYTES, RELEASE_WORKFLOW, { certificateAt });
      expect(codeOf(judge([bundle]))).toBe('upgrade_signature_invalid');
    }
  });

  it('whose certificate ended long ago is taken for the time in the log', () => {
    const { bundle, root, bytes, signers } = publicCase('happy-path-v0.3');
    expect(codeOf(judge([bundle], { signers, bytes, by: trustOf(root) }))).toBe('taken');
  });

  it('that the log took when its key did not count yet, or any more, is refused', () => {
    for (const validFor of [
      { start: '2001-01-01T00:00:00Z', end: '2002-01-01T00:00:00Z' },
      { start: '2101-01-01T00:00:00Z' },
    ]) {
      const root = changed(sigstore.root, 'tlogs.0.publicKey.validFor', validFor);
      expect(codeOf(judge([good], { by: trustOf(root) }))).toBe('upgrade_rekor_invalid');
    }
  });

  it('with proof and time stamp only is refused when the key of the log had ended', async () => {
    const stamped = await sigstore.signKeyless(BYTES, RELEASE_WORKFLOW, { isStamped: true });
    const bundle = changed(stamped, `${ENTRY}.inclusionPromise`);
    expect(codeOf(judge([bundle]))).toBe('taken');
    const validFor = { start: '2001-01-01T00:00:00Z', end: '2002-01-01T00:00:00Z' };
    const root = changed(sigstore.root, 'tlogs.0.publicKey.validFor', validFor);
    expect(codeOf(judge([bundle], { by: trustOf(root) }))).toBe('upgrade_rekor_invalid');
  });

  it.each([
    ['another authority', 'certificateAuthorities', null, 'upgrade_signature_invalid'],
    ['another certificate log', 'ctlogs', null, 'upgrade_signature_invalid'],
    ['no authority', 'certificateAuthorities', [], 'upgrade_signature_invalid'],
    ['no certificate log', 'ctlogs', [], 'upgrade_signature_invalid'],
    ['another log', 'tlogs', null, 'upgrade_rekor_invalid'],
  ])('is refused under a root with %s', async (_what, path, value, code) => {
    const other = (await Sigstore.make()).root;
    const root = changed(sigstore.root, path, value ?? other[path]);
    expect(codeOf(judge([good], { by: trustOf(root) }))).toBe(code);
  });
});

describe('the log entry of a bundle', () => {
  it.each<[string, string, unknown?]>([
    ['missing', ENTRIES, []],
    ['without list', ENTRIES],
    ['without proof', `${ENTRY}.inclusionProof`],
    ['without checkpoint', `${ENTRY}.inclusionProof.checkpoint`],
    [
      'of another time than promised',
      `${ENTRY}.integratedTime`,
      (time: unknown) => String(Number(time) + 60),
    ],
    ['of another place than promised', `${ENTRY}.logIndex`, '7'],
    ['of another log', `${ENTRY}.logId.keyId`, Buffer.alloc(32).toString('base64')],
    ['twice', ENTRIES, doubled],
    [
      'proven for another leaf',
      `${ENTRY}.inclusionProof.hashes`,
      [Buffer.alloc(32).toString('base64')],
    ],
    [
      'with another checkpoint',
      `${ENTRY}.inclusionProof.checkpoint.envelope`,
      (text: unknown) => String(text).replace('Timestamp: ', 'Timestamp: 1'),
    ],
    [
      'with another promise',
      `${ENTRY}.inclusionPromise.signedEntryTimestamp`,
      'MEUCIQCACfhpIX3+zVXJjwEeIS0y',
    ],
    ['without any time', `${ENTRY}.inclusionPromise`],
  ])('%s is refused', (_what, path, value) => {
    expect(codeOf(judge([changed(good, path, value)]))).toBe('upgrade_rekor_invalid');
  });

  it('must hold the promise in v0.1, and the proof from v0.2 on', async () => {
    for (const version of VERSIONS) {
      const bundle = await sigstore.signKeyless(BYTES, RELEASE_WORKFLOW, {
        version,
        isStamped: true,
      });
      const withoutPromise = changed(bundle, `${ENTRY}.inclusionPromise`);
      const withoutProof = changed(bundle, `${ENTRY}.inclusionProof`);
      expect([codeOf(judge([withoutPromise])), codeOf(judge([withoutProof]))]).toEqual(
        version === '0.1' ? ['upgrade_rekor_invalid', 'taken'] : ['taken', 'upgrade_rekor_invalid'],
      );
    }
  });

  it('about another manifest is refused', async () => {
    const other = await sigstore.signKeyless(OTHER);
    const bundle = changed(good, ENTRIES, valueAt(other, ENTRIES));
    expect(codeOf(judge([bundle]))).toBe('upgrade_rekor_invalid');
  });

  it('about the same bytes, of another signature, is refused', async () => {
    const other = await sigstore.signKeyless(BYTES, RELEASE_WORKFLOW);
    const bundle = changed(good, ENTRIES, valueAt(other, ENTRIES));
    expect(codeOf(judge([bundle]))).toBe('upgrade_rekor_invalid');
  });

  it('of the same signature under another key is refused, which the library lets pass', async () => {
    const bundle = await sigstore.signManaged(BYTES, KEY);
    const read = (path: string): Buffer => Buffer.from(String(valueAt(bundle, path)), 'base64');
    const entry = await sigstore.logEntry({
      digest: read('messageSignature.messageDigest.digest'),
      signature: read('messageSignature.signature'),
      pem: pemOf(STRANGE_KEY.publicKey),
    });
    const answer = judge([changed(bundle, ENTRY, entry)], { signers: [KEY_SIGNER] });
    expect(codeOf(answer)).toBe('upgrade_rekor_invalid');
    expect(answer.ok ? '' : answer.error.message).toContain('the entry names another key');
  });
});

describe('what is signed', () => {
  it.each<[string, Uint8Array]>([
    ['another manifest', OTHER],
    ['a changed one', Buffer.concat([BYTES, Buffer.from(' ')])],
    ['nothing', Buffer.alloc(0)],
  ])('is not %s', (_what, bytes) => {
    expect(codeOf(judge([good], { bytes }))).toBe('upgrade_signature_invalid');
  });

  it('is not what a bundle says, but what its signature fits', async () => {
    const path = 'messageSignature.messageDigest';
    const digest = valueAt(good, path);
    const bundle = changed(await sigstore.signKeyless(OTHER), path, digest);
    expect(codeOf(judge([bundle]))).toBe('upgrade_rekor_invalid');
    const managed = changed(await sigstore.signManaged(OTHER, KEY), path, digest);
    expect(codeOf(judge([managed], { signers: [KEY_SIGNER] }))).toBe('upgrade_signature_invalid');
  });

  it('is not covered by the signature of another bundle', async () => {
    const other = await sigstore.signKeyless(OTHER);
    const bundle = { ...good, messageSignature: other['messageSignature'] };
    expect(codeOf(judge([bundle]))).toBe('upgrade_signature_invalid');
  });
});

describe('the signature of a key that somebody keeps', () => {
  it.each(VERSIONS)('in a bundle of v%s is taken', async (version) => {
    const bundle = await sigstore.signManaged(BYTES, KEY, { version });
    expect(judge([bundle], { signers: [KEY_SIGNER] })).toEqual({
      ok: true,
      value: ['release key'],
    });
  });

  it('is refused when the key is not listed, when it is forged, and when it is not logged', async () => {
    const signers = [KEY_SIGNER];
    const strange = await sigstore.signManaged(BYTES, STRANGE_KEY);
    expect(codeOf(judge([strange], { signers }))).toBe('upgrade_identity_not_allowed');
    const forged = await sigstore.signManaged(BYTES, {
      publicKey: KEY.publicKey,
      privateKey: STRANGE_KEY.privateKey,
    });
    expect(codeOf(judge([forged], { signers }))).toBe('upgrade_signature_invalid');
    const unlogged = changed(await sigstore.signManaged(BYTES, KEY), ENTRIES, []);
    expect(codeOf(judge([unlogged], { signers }))).toBe('upgrade_rekor_invalid');
  });

  it('does not stand in for a workflow, nor a workflow for it', async () => {
    const bundle = await sigstore.signManaged(BYTES, KEY);
    expect(codeOf(judge([bundle]))).toBe('upgrade_identity_not_allowed');
    expect(codeOf(judge([good], { signers: [KEY_SIGNER] }))).toBe('upgrade_identity_not_allowed');
  });

  it('of RSA is taken', async () => {
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const signers = [{ ...KEY_SIGNER, public_key: pemOf(pair.publicKey) }];
    const bundle = await sigstore.signManaged(BYTES, pair);
    expect(codeOf(judge([bundle], { signers }))).toBe('taken');
  });
});

const VECTORS = 'test/vectors/sigstore';
function publicCase(name: string) {
  const root: unknown = JSON.parse(
    readFileSync(`${VECTORS}/public-good-trusted-root.json`, 'utf8'),
  );
  const repository =
    'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon';
  const workflow = '.github/workflows/extremely-dangerous-oidc-beacon.yml';
  const keyless = { name: 'beacon', kind: 'sigstore', issuer: ISSUER, repository, workflow };
  const signers: unknown[] = [{ ...keyless, ref: 'refs/heads/main' }];
  if (name.startsWith('managed')) {
    const public_key = readFileSync(`${VECTORS}/${name}/key.pub`, 'utf8');
    signers.push({ name: 'key', kind: 'sigstore-key', public_key });
  }
  const bundle = readFileSync(`${VECTORS}/${name}/bundle.sigstore.json`, 'utf8');
  const own = name.startsWith('wrong-material') ? `${name}/artifact` : 'a.txt';
  return { root, signers, bundle, bytes: readFileSync(`${VECTORS}/${own}`) };
}

describe('bundles of the public instance, made by others', () => {
  it.each([
    ['happy-path-v0.1', 'taken'],
    ['happy-path-v0.3', 'taken'],
    ['managed-key-happy-path', 'taken'],
    ['set-invalid-signature_fail', 'upgrade_rekor_invalid'],
    ['signature-mismatch_fail', 'upgrade_rekor_invalid'],
    ['wrong-material_fail', 'upgrade_signature_invalid'],
  ])('%s: %s', (name, code) => {
    const { root, signers, bundle, bytes } = publicCase(name);
    expect(codeOf(judge([bundle], { signers, bytes, by: trustOf(root) }))).toBe(code);
  });
});

// A signature of our own that stands nowhere, to show that the arithmetic alone is not enough.
it('a good signature without a bundle around it is no signature', () => {
  const raw = sign('sha256', BYTES, KEY.privateKey).toString('base64');
  expect(codeOf(judge([raw], { signers: [KEY_SIGNER] }))).toBe('upgrade_signature_invalid');
});
