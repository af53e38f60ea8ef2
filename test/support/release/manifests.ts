import type { Manifest } from '../../../src/core/release/index.js';

/** As small as a manifest can be. */
export const MANIFEST: Manifest = {
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

export const DELTA = {
  os: 'linux',
  arch: 'x64',
  variant: 'default',
  format: 'bellwether.delta.v1',
  from_version: '1.3.0',
  from_sha256: 'b'.repeat(64),
  file: 'a-from-1.3.0.delta',
  size: 10,
  sha256: 'c'.repeat(64),
} as const;
/** With every field that there is. */
export const FULL: Manifest = {
  ...MANIFEST,
  expires_at: '2027-11-20T08:00:00Z',
  compatibility: {
    min_from: '1.2.0',
    major_hops_max: 1,
    state_schema: { min: 3, max: 4 },
  },
  artifacts: [
    {
      ...MANIFEST.artifacts[0]!,
      url: 'https://releases.example.com/edge/1.4.0/a.tar.gz',
      content: { size: 300, sha256: 'd'.repeat(64) },
    },
  ],
  image: { reference: 'registry.example.com/fleet/edge', digest: `sha256:${'e'.repeat(64)}` },
  deltas: [DELTA],
};
