import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DowngradePermit } from '../../src/core/release/index.js';
import { DAY_MS, HostileBench } from '../support/hostile-bench.js';
import { makeSigningKey, signDocument } from '../support/release-source.js';

let bench: HostileBench;
beforeEach(async () => {
  bench = await HostileBench.make();
  for (const version of ['1.1.0', '1.5.0']) await bench.publish(version);
  await bench.start();
  expect(await bench.upgrade('1.5.0')).toBe('succeeded');
});
afterEach(() => bench.remove());

function permit(change: Partial<DowngradePermit> = {}, key = bench.source.key): void {
  const signed = signDocument(
    {
      schema: 'bellwether.downgrade.v1',
      product: 'edge',
      channel: 'stable',
      sequence: 3,
      issued_at: new Date(Date.now() - DAY_MS).toISOString(),
      expires_at: new Date(Date.now() + DAY_MS).toISOString(),
      to: '1.1.0',
      from: { min: '1.4.0', max: '1.5.0' },
      ...change,
    },
    key,
  );
  bench.source.serve('/node/v1/downgrades/edge/stable/1.1.0', JSON.stringify(signed));
}

describe('a downgrade beyond the local grace', () => {
  it('is made under a signed permit, and the permit is remembered', async () => {
    permit();
    expect(await bench.upgrade('1.1.0')).toBe('succeeded');
    expect([bench.version, bench.state.downgrades]).toEqual(['1.1.0', { stable: 3 }]);
    // Once a newer permit was used, the older one is over.
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
    permit({ sequence: 2 });
    expect(await bench.upgrade('1.1.0')).toBe('upgrade_version_too_old');
  });

  it('passes the floor of the index under a permit, and never the kill list', async () => {
    const sha256 = await bench.publish('1.1.0');
    permit();
    await bench.index('1.5.0', { sequence: 7, floor: 6 });
    expect(await bench.upgrade('1.1.0')).toBe('succeeded');
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
    const revoked = [{ version: '1.1.0', sha256, reason: 'it leaks' }];
    await bench.index('1.5.0', { sequence: 8, revoked });
    expect(await bench.upgrade('1.1.0')).toBe('upgrade_revoked');
  });

  it.each([
    ['has expired', { issued_at: '2025-01-01T00:00:00Z', expires_at: '2025-01-02T00:00:00Z' }],
    ['is for other nodes', { node_ids: ['nod_000000000002'] }],
    ['is for those who run something else', { from: { min: '1.2.0', max: '1.4.9' } }],
    ['is for another product', { product: 'gateway' }],
    ['leads to another version', { to: '1.2.0' }],
  ] as const)('is refused when the permit %s', async (_what, change) => {
    permit(change as Partial<DowngradePermit>);
    expect(await bench.upgrade('1.1.0')).toBe('upgrade_version_too_old');
    expect(bench.version).toBe('1.5.0');
  });

  it('is refused when a stranger signed the permit', async () => {
    permit({}, makeSigningKey());
    expect(await bench.upgrade('1.1.0')).toBe('upgrade_identity_not_allowed');
  });

  it('is refused below min_version under every permit', async () => {
    bench.policy(['min_version = "1.4.0"']);
    permit();
    expect(await bench.upgrade('1.1.0')).toBe('upgrade_version_too_old');
  });
});
