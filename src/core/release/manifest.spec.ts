import { describe, expect, it } from 'vitest';
import { DELTA, FULL, MANIFEST } from '../../../test/support/release/manifests.js';
import { artifactFor, manifestBytes, parseManifest } from './index.js';

describe('a manifest', () => {
  const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  it.each([
    ['is not JSON', new TextEncoder().encode('hello')],
    ['is not UTF-8', Uint8Array.from([0xff, 0xfe])],
    ['is too large', new Uint8Array(1024 * 1024 + 1)],
    ['is not canonical', new TextEncoder().encode(JSON.stringify(MANIFEST, null, 2))],
    ['has an unknown field', text({ ...MANIFEST, sha256: 'x' })],
    ['has no artifact', text({ ...MANIFEST, artifacts: [] })],
    [
      'has two artifacts for one host',
      text({ ...MANIFEST, artifacts: [MANIFEST.artifacts[0], MANIFEST.artifacts[0]] }),
    ],
    [
      'has a path for a file name',
      text({ ...MANIFEST, artifacts: [{ ...MANIFEST.artifacts[0], file: '../a' }] }),
    ],
    ['has a product that climbs', text({ ...MANIFEST, product: '../etc' })],
    ['has a version with a v', text({ ...MANIFEST, version: 'v1.4.0' })],
    ['has a sequence that is no whole number', text({ ...MANIFEST, sequence: 1.5 })],
    ['expires before it is released', text({ ...FULL, expires_at: '2026-11-19T08:00:00Z' })],
    ['reads no state', text({ ...FULL, compatibility: { state_schema: { min: 4, max: 3 } } })],
    ['has an image with a tag', text({ ...FULL, image: { ...FULL.image, reference: 'a/edge:1' } })],
    ['has an image by tag only', text({ ...FULL, image: { ...FULL.image, digest: 'latest' } })],
    ['has a delta to an artifact without content', text({ ...MANIFEST, deltas: [DELTA] })],
    [
      'has two deltas from one artifact',
      text({ ...FULL, deltas: [DELTA, { ...DELTA, file: 'b' }] }),
    ],
    ['has one file twice', text({ ...FULL, deltas: [{ ...DELTA, file: 'a.tar.gz' }] })],
    [
      'has an address without TLS',
      text({ ...MANIFEST, artifacts: [{ ...MANIFEST.artifacts[0], url: 'http://x.example/a' }] }),
    ],
  ])('that %s is refused', (_why, bytes) => {
    expect(parseManifest(bytes)).toMatchObject({
      ok: false,
      error: { code: 'upgrade_manifest_invalid' },
    });
  });

  it('with everything in it comes back from its own bytes', () => {
    expect(parseManifest(manifestBytes(FULL))).toEqual({ ok: true, value: FULL });
  });

  it('comes back from its own bytes', () => {
    expect(parseManifest(manifestBytes(MANIFEST))).toEqual({ ok: true, value: MANIFEST });
  });

  it('names the artifact of a host, if there is one', () => {
    const host = { os: 'linux', arch: 'x64', variant: 'default' };
    expect(artifactFor(MANIFEST, host)?.file).toBe('a.tar.gz');
    expect(artifactFor(MANIFEST, { ...host, arch: 'arm64' })).toBeUndefined();
    expect(artifactFor(MANIFEST, { ...host, os: 'darwin' })).toBeUndefined();
    expect(artifactFor(MANIFEST, { ...host, variant: 'full' })).toBeUndefined();
  });
});
