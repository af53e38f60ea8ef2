import { describe, expect, it } from 'vitest';
import { claimsOf, differencesOf } from './compare.js';
import type { Manifest } from './manifest.js';
import { judgePromotion } from './promotion.js';
import { manifestJsonSchema } from './schema.js';

const artifact = {
  os: 'linux',
  arch: 'x64',
  variant: 'default',
  format: 'tar.gz',
  file: 'edge.tar.gz',
  size: 7,
  sha256: 'a'.repeat(64),
} as const;
const manifest = (change: Partial<Manifest> = {}): Manifest => ({
  schema: 'bellwether.manifest.v1',
  product: 'edge',
  version: '1.4.0',
  channel: 'dev',
  released_at: '2026-11-20T08:00:00Z',
  sequence: 14,
  artifacts: [artifact, { ...artifact, arch: 'arm64', file: 'b', sha256: 'b'.repeat(64) }],
  ...change,
});

describe('a promotion', () => {
  const judged = (known: readonly Manifest[], next: Manifest): string => {
    const verdict = judgePromotion(known, next);
    return verdict.ok ? 'ok' : verdict.error.message;
  };
  const dev = manifest();
  const beta = manifest({ channel: 'beta', sequence: 15 });

  it('goes to a wider channel, with a higher sequence and the same artifacts', () => {
    expect(judged([], dev)).toBe('ok');
    expect(judged([dev], beta)).toBe('ok');
    expect(judged([dev, beta], manifest({ channel: 'stable', sequence: 16 }))).toBe('ok');
    expect(judged([dev], manifest({ channel: 'stable', sequence: 15 }))).toBe('ok');
    const moved = dev.artifacts.map((one) => ({ ...one, url: 'https://x.example/a' })).reverse();
    expect(judged([dev], { ...beta, artifacts: moved, notes: 'ripe' })).toBe('ok');
  });

  it.each<[string, Manifest, RegExp]>([
    ['a narrower channel', manifest({ channel: 'dev', sequence: 16 }), /dev is not wider/],
    ['the same channel', manifest({ channel: 'beta', sequence: 16 }), /beta is not wider/],
    ['the same sequence', manifest({ channel: 'stable', sequence: 15 }), /sequence 15/],
    [
      'another artifact',
      manifest({
        channel: 'stable',
        sequence: 16,
        artifacts: [{ ...artifact, sha256: 'c'.repeat(64) }],
      }),
      /other artifacts/,
    ],
  ])('is refused with %s', (_what, next, message) => {
    expect(judged([beta], next)).toMatch(message);
  });
});

describe('two manifests', () => {
  it('are held against each other claim by claim', () => {
    const old = manifest({ notes: 'first', compatibility: { min_from: '1.0.0' } });
    const [first, second] = old.artifacts;
    const young = manifest({
      version: '1.5.0',
      sequence: 15,
      notes: 'second',
      artifacts: [{ ...first!, size: 9 }],
    });
    expect(differencesOf(old, old)).toEqual([]);
    expect(differencesOf(old, young)).toEqual([
      { claim: 'version', from: '1.4.0', to: '1.5.0' },
      { claim: 'sequence', from: '14', to: '15' },
      { claim: 'compatibility.min_from', from: '1.0.0', to: null },
      { claim: 'artifact linux/x64/default size', from: '7', to: '9' },
      { claim: 'artifact linux/arm64/default file', from: 'b', to: null },
      { claim: 'artifact linux/arm64/default size', from: '7', to: null },
      { claim: 'artifact linux/arm64/default sha256', from: second!.sha256, to: null },
      { claim: 'notes', from: 'first', to: 'second' },
    ]);
  });

  it('leave no claim out', () => {
    const whole = manifest({
      expires_at: '2027-11-20T08:00:00Z',
      notes: 'n',
      compatibility: { min_from: '1.0.0', major_hops_max: 2, state_schema: { min: 1, max: 2 } },
      image: { reference: 'r.example/edge', digest: `sha256:${'d'.repeat(64)}` },
      artifacts: [
        { ...artifact, url: 'https://x.example/a', content: { size: 1, sha256: 'e'.repeat(64) } },
      ],
      deltas: [
        {
          os: 'linux',
          arch: 'x64',
          variant: 'default',
          format: 'bellwether.delta.v1',
          from_version: '1.3.0',
          from_sha256: 'f'.repeat(64),
          file: 'd',
          size: 3,
          sha256: '9'.repeat(64),
        },
      ],
    });
    const text = [...claimsOf(whole).values()].join(' ');
    for (const value of [
      '2027-11-20',
      '1.0.0',
      '"max":2',
      'sha256:dd',
      'x.example',
      'eee',
      '999',
    ]) {
      expect(text).toContain(value);
    }
  });
});

it('the schema of the manifest is one, and strict', () => {
  const schema = manifestJsonSchema();
  expect(schema).toMatchObject({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    additionalProperties: false,
    required: expect.arrayContaining(['schema', 'product', 'artifacts']) as unknown,
  });
});
