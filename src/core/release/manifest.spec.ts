import { describe, expect, it } from 'vitest';
import { artifactFor, manifestBytes, parseManifest, type Manifest } from './index.js';

const MANIFEST: Manifest = {
  schema: 'bellwether.manifest.v1',
  product: 'edge',
  version: '1.4.0',
  channel: 'stable',
  released_at: '2026-11-20T08:00:00Z',
  sequence: 14,
  artifacts: [
    {
      os: 'linux',
      arch: 'x64',
      variant: 'default',
      format: 'tar.gz',
      file: 'a.tar.gz',
      size: 100,
      sha256: 'a'.repeat(64),
    },
  ],
};

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
  ])('that %s is refused', (_why, bytes) => {
    expect(parseManifest(bytes)).toMatchObject({
      ok: false,
      error: { code: 'upgrade_manifest_invalid' },
    });
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
