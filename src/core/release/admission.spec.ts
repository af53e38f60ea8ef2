import { describe, expect, it } from 'vitest';
import {
  aManifest,
  CATALOG_KEY,
  signedIndex,
  signedManifest,
} from '../../../test/support/catalog.js';
import {
  judgeIndex,
  judgeOrigin,
  judgeStart,
  manifestBytes,
  NodePolicy,
  type Indexes,
  type Manifest,
} from './index.js';

const HEX = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);
const imageOf = (hex: string) => ({
  reference: 'registry.example.com/shop/edge',
  digest: `sha256:${hex}`,
});
const policyOf = (more: object = {}): NodePolicy =>
  NodePolicy.parse({ signers: [{ name: 'pipeline', public_key: CATALOG_KEY }], ...more });
const manifestOf = (change: Partial<Manifest> = {}): Manifest =>
  aManifest({ artifacts: [], image: imageOf(HEX), ...change }, Buffer.from('x'));
const indexesOf = (change: Parameters<typeof signedIndex>[1], policy = policyOf()): Indexes => {
  const asked = { policy, trust: null, product: 'edge', channel: 'stable', known: null } as const;
  const judged = judgeIndex(signedIndex(1, change), asked);
  if (!judged.ok) throw new Error(judged.error.message);
  return { stable: judged.value };
};
const start = (
  manifest: Manifest,
  more: Partial<Parameters<typeof judgeStart>[1]> = {},
): string | null => {
  const judged = judgeStart(
    { manifest, bytes: manifestBytes(manifest) },
    {
      policy: policyOf(),
      indexes: {},
      sha256: HEX,
      variant: 'default',
      isInstalled: false,
      nowMs: Date.now(),
      ...more,
    },
  );
  return judged.ok ? null : judged.error.code;
};

describe('where a release comes from', () => {
  const origin = (manifest: Manifest, policy: NodePolicy, change: object = {}) => {
    const { manifest: text, signatures } = signedManifest(manifest);
    const request = { product: 'edge', version: '1.0.0', channel: 'stable' as const, ...change };
    const signed = { manifest: new TextEncoder().encode(text), signatures };
    const judged = judgeOrigin(signed, { policy, trust: null, request });
    return judged.ok ? null : judged.error.code;
  };

  it('is good when the policy lists who signed it; whether upgrades are switched on is not asked', () => {
    expect(origin(manifestOf(), policyOf({ enabled: false }))).toBeNull();
  });

  it('is not, for all else', () => {
    expect(origin(manifestOf(), NodePolicy.parse({}))).toBe('upgrade_identity_not_allowed');
    expect(origin(manifestOf(), policyOf({ min_version: '1.0.1' }))).toBe(
      'upgrade_version_too_old',
    );
    const beta = manifestOf({ channel: 'beta' });
    expect(origin(beta, policyOf(), { channel: 'beta' })).toBe('upgrade_channel_not_allowed');
    for (const change of [{ version: '1.0.1' }, { product: 'other' }]) {
      expect(origin(manifestOf(), policyOf(), change)).toBe('upgrade_manifest_invalid');
    }
  });
});

describe('what may be started', () => {
  it('is what the manifest names, of the variant of the workload', () => {
    expect(start(manifestOf())).toBeNull();
    expect(start(manifestOf(), { sha256: OTHER })).toBe('admission_image_unpublished');
    const images = [
      { variant: 'fips', ...imageOf(OTHER) },
      { variant: 'default', arch: 'arm64' as const, ...imageOf('ef'.repeat(32)) },
    ];
    const manifest = manifestOf({ images });
    expect(start(manifest, { sha256: OTHER })).toBe('upgrade_variant_mismatch');
    expect(start(manifest, { sha256: OTHER, variant: 'fips' })).toBeNull();
    expect(start(manifest, { sha256: OTHER, variant: null })).toBeNull();
    expect(start(manifest, { sha256: 'ef'.repeat(32) })).toBeNull();
    expect(start(manifest, { variant: 'fips' })).toBe('upgrade_variant_mismatch');
  });

  it('is not what any channel revokes, installed or not', () => {
    const indexes = indexesOf({ revoked: [{ version: '1.0.0', sha256: HEX, reason: 'bad' }] });
    expect(start(manifestOf(), { indexes })).toBe('upgrade_revoked');
    expect(start(manifestOf(), { indexes, isInstalled: true })).toBe('upgrade_revoked');
  });

  it('is not what could not be installed any more, unless it was installed by all rules before', () => {
    const expired = manifestOf({ expires_at: '2026-11-20T09:00:00Z' });
    const required = policyOf({ channel_index: 'required' });
    const cases = [
      [expired, {}, 'upgrade_release_expired'],
      [manifestOf(), { indexes: indexesOf({ floor: 2 }) }, 'upgrade_sequence_too_old'],
      [manifestOf(), { policy: required }, 'upgrade_index_missing'],
      [
        manifestOf(),
        {
          indexes: indexesOf({
            current: { version: '1.0.0', manifest_sha256: 'a'.repeat(64), sequence: 1 },
          }),
        },
        'upgrade_index_mismatch',
      ],
    ] as const;
    for (const [manifest, more, code] of cases) {
      expect(start(manifest, more)).toBe(code);
      expect(start(manifest, { ...more, isInstalled: true })).toBeNull();
    }
  });
});
