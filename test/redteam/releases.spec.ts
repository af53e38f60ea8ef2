import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DAY_MS, HostileBench } from '../support/hostile-bench.js';
import { serviceArchive } from '../support/node-bench.js';
import { makeSigningKey, signDocument } from '../support/release-source.js';

/**
 * The attacks that The Update Framework lists, each by a manager in the hands of an attacker, against
 * a real agent. docs/trust.md names these specs row by row.
 */
let bench: HostileBench;
beforeEach(async () => {
  bench = await HostileBench.make();
  await bench.publish('1.5.0');
});
afterEach(() => bench.remove());

const installed = async (lines: readonly string[] = []): Promise<void> => {
  bench.policy(lines);
  await bench.start();
  expect(await bench.upgrade('1.5.0')).toBe('succeeded');
};
const ago = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString();

describe('arbitrary software', () => {
  it('signed by a stranger is refused', async () => {
    await installed();
    await bench.publish('1.6.0', { key: makeSigningKey() });
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_identity_not_allowed');
    expect([bench.version, bench.isRunning]).toEqual(['1.5.0', true]);
  });

  it('under a signature of other bytes is refused', async () => {
    await installed();
    await bench.publish('1.6.0');
    const path = '/node/v1/releases/edge/1.6.0/stable/manifest.json';
    const manifest = await bench.manifestOf('1.6.0');
    bench.source.serve(path, JSON.stringify({ ...manifest, notes: 'harmless' }));
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_signature_invalid');
    expect(bench.version).toBe('1.5.0');
  });
});

describe('wrong software', () => {
  it('another product that the same people signed is refused', async () => {
    await installed();
    await bench.publish('1.6.0', { manifest: { product: 'gateway' } });
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_manifest_invalid');
    expect(bench.version).toBe('1.5.0');
  });

  it('a release of another channel is refused', async () => {
    await installed();
    await bench.publish('1.6.0', { manifest: { channel: 'dev' } });
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_manifest_invalid');
    expect(await bench.upgrade('1.6.0', { channel: 'dev' })).toBe('upgrade_channel_not_allowed');
  });
});

describe('rollback', () => {
  it('to a release from long ago is refused', async () => {
    await installed();
    await bench.publish('1.1.0');
    expect(await bench.upgrade('1.1.0')).toBe('upgrade_version_too_old');
    expect(bench.version).toBe('1.5.0');
  });

  it('to an index from before is refused, also after a restart', async () => {
    await bench.index('1.5.0', { sequence: 7 });
    await installed(['channel_index = "required"']);
    await bench.stop();
    await bench.start();
    await bench.publish('1.6.0');
    await bench.index('1.6.0', { sequence: 6 });
    // The one that is known is still fresh: the release itself may be installed.
    expect(await bench.upgrade('1.6.0')).toBe('succeeded');
    expect(bench.state.indexes?.stable?.sequence).toBe(7);
    const told = bench.events.find((event) => event.type === 'channel_index_refused');
    expect(told).toMatchObject({
      severity: 'warning',
      details: { error_code: 'upgrade_index_too_old' },
    });
  });

  it('below the floor of the index is refused, though the local grace would allow it', async () => {
    await bench.publish('1.4.0');
    await bench.index('1.5.0', { floor: 6 });
    await installed();
    expect(await bench.upgrade('1.4.0')).toBe('upgrade_sequence_too_old');
    expect(bench.version).toBe('1.5.0');
  });
});

describe('fast-forward', () => {
  it('by an index of a sequence that only a stranger signed changes nothing', async () => {
    await bench.index('1.5.0', { sequence: 7 });
    await installed();
    const mallory = makeSigningKey();
    await bench.index('1.5.0', { sequence: Number.MAX_SAFE_INTEGER }, [mallory]);
    await bench.publish('1.6.0');
    expect(await bench.upgrade('1.6.0')).toBe('succeeded');
    expect(bench.state.indexes?.stable?.sequence).toBe(7);
  });

  it('by a stolen key ends when the policy no longer lists that key', async () => {
    const stolen = makeSigningKey();
    bench.policy(['channel_index = "required"'], [bench.source.key, stolen]);
    await bench.index('1.5.0', { sequence: Number.MAX_SAFE_INTEGER }, [stolen]);
    await bench.start();
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
    bench.policy(['channel_index = "required"']);
    await bench.publish('1.6.0');
    await bench.index('1.6.0', { sequence: 8 });
    expect(await bench.upgrade('1.6.0')).toBe('succeeded');
    expect(bench.state.indexes?.stable?.sequence).toBe(8);
  });
});

describe('freeze', () => {
  const OLD = { issued_at: ago(3), expires_at: ago(1) };

  it('on an index that has expired is told, and nothing new is installed', async () => {
    await bench.index('1.5.0');
    await installed(['channel_index = "required"']);
    await bench.publish('1.6.0');
    await bench.index('1.5.0', { sequence: 7, ...OLD });
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_index_expired');
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_index_expired');
    const told = bench.events.filter((event) => event.type === 'channel_index_expired');
    expect(told.map((event) => event.severity)).toEqual(['warning']);
    expect([bench.version, bench.isRunning]).toEqual(['1.5.0', true]);
  });

  it('by showing no index at all is refused where one is required', async () => {
    bench.policy(['channel_index = "required"']);
    await bench.start();
    expect(await bench.upgrade('1.5.0')).toBe('upgrade_index_missing');
    expect(bench.version).toBeNull();
  });

  it('where no index is required is told all the same', async () => {
    await bench.index('1.5.0', OLD);
    await installed();
    expect(bench.events.map((event) => event.type)).toContain('channel_index_expired');
  });
});

describe('mix and match', () => {
  it('of one manifest with the artifact of another is refused', async () => {
    await installed();
    const sha256 = await bench.publish('1.6.0');
    bench.source.addBlob(await serviceArchive('1.7.0'), sha256);
    expect(['upgrade_checksum_mismatch', 'upgrade_length_mismatch']).toContain(
      await bench.upgrade('1.6.0'),
    );
    expect(bench.version).toBe('1.5.0');
  });

  it('of two manifests signed for one version is refused by the index', async () => {
    await installed();
    await bench.publish('1.6.0');
    await bench.index('1.6.0');
    await bench.publish('1.6.0', { archive: await serviceArchive('1.6.0-other') });
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_index_mismatch');
    expect(bench.version).toBe('1.5.0');
  });

  it('of an index of another product or channel is refused', async () => {
    bench.policy(['channel_index = "required"']);
    await bench.start();
    for (const change of [{ product: 'gateway' }, { channel: 'beta' }] as const) {
      await bench.index('1.5.0', change);
      expect(await bench.upgrade('1.5.0')).toBe('upgrade_index_missing');
    }
  });

  it('of one kind of signed document for another is refused', async () => {
    bench.policy(['channel_index = "required"']);
    await bench.start();
    const manifest = await bench.manifestOf('1.5.0');
    bench.announce(signDocument(manifest, bench.source.key));
    expect(await bench.upgrade('1.5.0')).toBe('upgrade_index_missing');
    const told = bench.events.find((event) => event.type === 'channel_index_refused');
    expect(told?.details['error_code']).toBe('release_document_invalid');
  });
});

describe('key compromise', () => {
  it('of one key out of two installs nothing', async () => {
    const [ours, stolen] = [makeSigningKey(), makeSigningKey()];
    bench.policy(['threshold = 2'], [ours, stolen]);
    await bench.start();
    await bench.publish('1.5.0', { keys: [stolen, stolen, makeSigningKey()] });
    expect(await bench.upgrade('1.5.0')).toBe('upgrade_signature_invalid');
    expect(bench.version).toBeNull();
    await bench.publish('1.5.0', { keys: [stolen, ours] });
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
  });

  it('of one key out of two revokes nothing', async () => {
    const [ours, stolen] = [makeSigningKey(), makeSigningKey()];
    bench.policy(['threshold = 2'], [ours, stolen]);
    const sha256 = await bench.publish('1.5.0', { keys: [stolen, ours] });
    await bench.start();
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
    const revoked = [{ version: '1.5.0', sha256, reason: 'sabotage' }];
    await bench.index('1.5.0', { sequence: 9, revoked }, [stolen]);
    await bench.publish('1.6.0', { keys: [stolen, ours] });
    expect(await bench.upgrade('1.6.0')).toBe('succeeded');
    expect(bench.state.indexes).toBeUndefined();
  });

  it('ends when the policy no longer lists the key', async () => {
    const stolen = makeSigningKey();
    bench.policy([], [bench.source.key, stolen]);
    await bench.start();
    expect(await bench.upgrade('1.5.0')).toBe('succeeded');
    bench.policy();
    await bench.publish('1.6.0', { key: stolen });
    expect(await bench.upgrade('1.6.0')).toBe('upgrade_identity_not_allowed');
    expect(bench.version).toBe('1.5.0');
  });
});
