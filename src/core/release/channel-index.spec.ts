import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  documentBytes,
  DOCUMENT_BYTES_MAX,
  formatPublicKey,
  judgeByIndex,
  judgeIndex,
  NodePolicy,
  publicKeyOf,
  revocationOf,
  signMinisign,
  trustedIndexes,
  type ChannelIndex,
  type IndexMemory,
  type SignedDocument,
} from './index.js';

const { privateKey: ALICE } = generateKeyPairSync('ed25519');
const { privateKey: BOB } = generateKeyPairSync('ed25519');
const signer = (name: string, key: typeof ALICE) => ({
  name,
  public_key: formatPublicKey(publicKeyOf(key)).split('\n')[1] ?? '',
});
const policyOf = (change: object = {}, signers = [signer('alice', ALICE)]): NodePolicy =>
  NodePolicy.parse({ enabled: true, signers, ...change });

const INDEX: ChannelIndex = {
  schema: 'bellwether.channel.v1',
  product: 'edge',
  channel: 'stable',
  sequence: 5,
  issued_at: '2026-11-20T00:00:00Z',
  expires_at: '2026-11-27T00:00:00Z',
  current: { version: '1.5.0', manifest_sha256: 'c'.repeat(64), sequence: 15 },
  floor: 12,
  revoked: [{ version: '1.3.0', sha256: 'b'.repeat(64), reason: 'it leaks' }],
};
const IN_TIME = Date.parse('2026-11-21T00:00:00Z');
const TOO_LATE = Date.parse('2026-11-27T00:00:00Z');

const sign = (document: object, key = ALICE): SignedDocument => {
  const bytes = documentBytes(document as Parameters<typeof documentBytes>[0]);
  const signature = signMinisign(key, bytes, 'index');
  if (!signature.ok) throw new Error(signature.error.message);
  return { document: new TextDecoder().decode(bytes), signatures: [signature.value] };
};
const judge = (signed: SignedDocument, known: IndexMemory | null = null, policy = policyOf()) =>
  judgeIndex(signed, { policy, trust: null, product: 'edge', channel: 'stable', known });
const memory = (change: Partial<ChannelIndex> = {}, key = ALICE): IndexMemory => {
  const policy = policyOf({}, [signer('alice', ALICE), signer('bob', BOB)]);
  const judged = judge(sign({ ...INDEX, ...change }, key), null, policy);
  if (!judged.ok) throw new Error(judged.error.message);
  return judged.value;
};
const codeOf = (judged: { ok: boolean; error?: { code: string } }): string =>
  judged.ok ? 'ok' : (judged.error?.code ?? '');

describe('a channel index', () => {
  it.each([
    ['a wrong tag', { schema: 'bellwether.downgrade.v1' }],
    ['an unknown field', { more: 1 }],
    ['no sequence', { sequence: undefined }],
    ['sequence 0', { sequence: 0 }],
    ['no expiry', { expires_at: undefined }],
    ['an expiry before its issue', { expires_at: '2026-11-19T00:00:00Z' }],
    ['an expiry years away', { expires_at: '2028-11-27T00:00:00Z' }],
    ['a floor above current', { floor: 16 }],
    ['a digest twice', { revoked: [INDEX.revoked[0], INDEX.revoked[0]] }],
    ['a reason of two lines', { revoked: [{ ...INDEX.revoked[0], reason: 'a\nb' }] }],
    ['a reason that is too long', { revoked: [{ ...INDEX.revoked[0], reason: 'x'.repeat(201) }] }],
    ['too long a kill list', { revoked: Array(513).fill(INDEX.revoked[0]) }],
    ['a short digest', { current: { ...INDEX.current, manifest_sha256: 'c' } }],
    ['another product', { product: 'gateway' }],
    ['another channel', { channel: 'beta' }],
  ])('with %s is refused', (_what, change) => {
    expect(codeOf(judge(sign({ ...INDEX, ...change })))).toBe('release_document_invalid');
  });

  it('is judged by its signature before it is parsed', () => {
    const { signatures } = sign(INDEX);
    const forged = { document: 'no JSON', signatures };
    expect(codeOf(judge(forged))).toBe('upgrade_signature_invalid');
    expect(codeOf(judge(sign(INDEX, BOB)))).toBe('upgrade_identity_not_allowed');
  });

  it('has one text, of bounded length', () => {
    const bytes = new TextEncoder().encode(JSON.stringify(INDEX));
    const signature = signMinisign(ALICE, bytes, 'index');
    const loose = {
      document: JSON.stringify(INDEX),
      signatures: [signature.ok ? signature.value : ''],
    };
    expect(codeOf(judge(loose))).toBe('release_document_invalid');
    const huge = sign({ ...INDEX, more: 'x'.repeat(DOCUMENT_BYTES_MAX) });
    expect(codeOf(judge(huge))).toBe('release_document_invalid');
  });

  it('never gives way to an older one, nor to another of the same sequence', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            sequence: fc.integer({ min: 1, max: 9 }),
            floor: fc.integer({ min: 0, max: 3 }),
          }),
        ),
        (offers) => {
          let known: IndexMemory | null = null;
          for (const offer of offers) {
            const judged = judge(sign({ ...INDEX, ...offer }), known);
            const before: IndexMemory | null = known;
            const isTaken = before === null || offer.sequence > before.sequence;
            const isSame = offer.sequence === before?.sequence && offer.floor === before.floor;
            expect(judged.ok).toBe(isTaken || isSame);
            if (judged.ok) known = judged.value;
            expect(known?.sequence ?? 0).toBeGreaterThanOrEqual(before?.sequence ?? 0);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is taken when it is newer, though it has expired', () => {
    const old = { issued_at: '2025-01-01T00:00:00Z', expires_at: '2025-01-02T00:00:00Z' };
    expect(judge(sign({ ...INDEX, sequence: 6, ...old }), memory()).ok).toBe(true);
  });
});

describe('what is remembered', () => {
  it('counts while one of its signers is listed', () => {
    const indexes = { stable: memory(), beta: memory({}, BOB) };
    expect(Object.keys(trustedIndexes(policyOf(), indexes))).toEqual(['stable']);
    expect(Object.keys(trustedIndexes(null, indexes))).toEqual(['stable', 'beta']);
  });

  it('revokes a digest on every channel, and a version whose digest is unknown', () => {
    const indexes = { stable: memory() };
    const is = (version: string, sha256: string | null): boolean =>
      revocationOf(indexes, { version, sha256 }) !== null;
    expect(is('1.3.0', 'b'.repeat(64))).toBe(true);
    expect(is('9.9.9', 'b'.repeat(64))).toBe(true);
    expect(is('1.3.0', 'd'.repeat(64))).toBe(false);
    expect(is('1.3.0', null)).toBe(true);
    expect(is('1.4.0', null)).toBe(false);
  });
});

describe('a release under an index', () => {
  const RELEASE = {
    manifest: { version: '1.5.0', sequence: 15 },
    manifestSha256: 'c'.repeat(64),
    artifactSha256: 'a'.repeat(64),
    hasPermit: false,
  };
  const verdict = (
    change: Partial<typeof RELEASE> = {},
    policy = policyOf(),
    nowMs = IN_TIME,
    indexes: Parameters<typeof judgeByIndex>[0]['indexes'] = { stable: memory() },
  ): string =>
    codeOf(judgeByIndex({ policy, indexes, channel: 'stable', nowMs }, { ...RELEASE, ...change }));
  const required = policyOf({ channel_index: 'required' });

  it('passes when nothing speaks against it', () => {
    expect(verdict()).toBe('ok');
    expect(verdict({}, required)).toBe('ok');
    // Newer than current: pipelines publish before they announce.
    expect(
      verdict({ manifest: { version: '1.6.0', sequence: 16 }, manifestSha256: 'e'.repeat(64) }),
    ).toBe('ok');
  });

  it.each([
    ['it is revoked', { artifactSha256: 'b'.repeat(64) }, 'upgrade_revoked'],
    [
      'it is revoked, permit or not',
      { artifactSha256: 'b'.repeat(64), hasPermit: true },
      'upgrade_revoked',
    ],
    ['its manifest is another', { manifestSha256: 'f'.repeat(64) }, 'upgrade_index_mismatch'],
    [
      'it lies below the floor',
      { manifest: { version: '1.1.0', sequence: 11 } },
      'upgrade_sequence_too_old',
    ],
    [
      'it lies below the floor, with a permit',
      { manifest: { version: '1.1.0', sequence: 11 }, hasPermit: true },
      'ok',
    ],
  ])('is judged when %s', (_what, change, code) => {
    expect(verdict(change)).toBe(code);
    expect(verdict(change, required)).toBe(code);
  });

  it('needs a fresh index where the policy says so', () => {
    expect(verdict({}, required, TOO_LATE)).toBe('upgrade_index_expired');
    expect(verdict({}, required, IN_TIME, {})).toBe('upgrade_index_missing');
    expect(verdict({}, required, IN_TIME, { beta: memory() })).toBe('upgrade_index_missing');
    expect(verdict({}, policyOf(), TOO_LATE)).toBe('ok');
    expect(verdict({}, policyOf(), IN_TIME, {})).toBe('ok');
  });
});
