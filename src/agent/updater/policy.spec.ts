import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { tarGz } from '../../../test/support/archive.js';
import { NodeBench, serviceArchive } from '../../../test/support/node-bench.js';
import { makeSigningKey } from '../../../test/support/release-source.js';

const OTHER_ARCH = process.arch === 'arm64' ? 'x64' : 'arm64';

let node: NodeBench;
beforeAll(async () => {
  node = await NodeBench.make();
  await node.publish({ version: '1.5.0' });
  await node.open();
  await node.upgrade('1.5.0');
});
beforeEach(() => {
  node.policy();
  node.permitLeaseMs = 5_000;
  node.told.length = 0;
});
afterAll(async () => {
  await node.remove();
});

describe('the local policy', () => {
  it.each([
    ['another product', { manifest: { product: 'gateway' } }, 'upgrade_manifest_invalid'],
    ['another version', { manifest: { version: '1.7.0' } }, 'upgrade_manifest_invalid'],
    ['another channel', { manifest: { channel: 'beta' } }, 'upgrade_manifest_invalid'],
    ['another architecture', { artifact: { arch: OTHER_ARCH } }, 'upgrade_arch_mismatch'],
    ['another variant', { artifact: { variant: 'fips' } }, 'upgrade_variant_mismatch'],
    ['a sequence from before', { sequence: 3 }, 'upgrade_sequence_too_old'],
    ['an unknown signer', { key: makeSigningKey() }, 'upgrade_identity_not_allowed'],
  ] as const)(
    'refuses a signed release of %s',
    async (_, change, code) => {
      await node.publish({ version: '1.6.0', ...(change as object) });
      expect(await node.upgrade('1.6.0')).toBe(code);
      expect(node.version).toBe('1.5.0');
      expect(node.driver.status().running).toBe(true);
      expect(node.types).not.toContain('upgrade_swapping');
      expect(node.told.at(-1)?.details['error_code']).toBe(code);
    },
    40_000,
  );

  it('refuses bytes that are not those of the signed digest', async () => {
    const archive = await serviceArchive('1.6.0');
    const sha256 = await node.publish({ version: '1.6.0', archive });
    const forged = Buffer.from(archive);
    forged[40] = (forged[40] ?? 0) ^ 1;
    node.source.addBlob(forged, sha256);
    expect(await node.upgrade('1.6.0')).toBe('upgrade_checksum_mismatch');
    expect(node.told.at(-1)?.type).toBe('upgrade_verify_failed');
    expect(readdirSync(join(node.root, 'downloads'))).toEqual([]);
  });

  it('refuses a downgrade that goes too far back', async () => {
    await node.publish({ version: '1.3.0' });
    expect(await node.upgrade('1.3.0')).toBe('upgrade_version_too_old');
    node.policy(['enabled = true', 'min_version = "1.5.0"']);
    await node.publish({ version: '1.4.0' });
    expect(await node.upgrade('1.4.0')).toBe('upgrade_version_too_old');
  });

  it.each([
    ['switched off', ['enabled = false'], 'upgrade_disabled'],
    [
      'for another channel',
      ['enabled = true', 'allowed_channels = ["beta"]'],
      'upgrade_channel_not_allowed',
    ],
    ['broken', ['enabled = maybe'], 'upgrade_policy_invalid'],
  ])('that is %s refuses before anything is asked for', async (_, lines, code) => {
    await node.publish({ version: '1.6.0' });
    node.policy(lines);
    node.source.requests.length = 0;
    expect(await node.upgrade('1.6.0')).toBe(code);
    expect(node.source.requests).toEqual([]);
  });

  it.each([
    ['is switched off', ['enabled = false'], undefined, 'upgrade_disabled'],
    [
      'no longer lists who signed it',
      ['enabled = true'],
      makeSigningKey().publicKey,
      'upgrade_identity_not_allowed',
    ],
    [
      'wants a newer one',
      ['enabled = true', 'min_version = "1.7.0"'],
      undefined,
      'upgrade_version_too_old',
    ],
    [
      'wants a smaller one',
      ['enabled = true', 'max_artifact_bytes = 10'],
      undefined,
      'upgrade_artifact_too_large',
    ],
  ] as const)(
    'that %s while a version waits for its permit stops the swap',
    async (_, lines, key, code) => {
      await node.publish({ version: '1.6.0' });
      node.permitLeaseMs = null;
      const command = node.command('1.6.0');
      await node.updater.command(command);
      await node.until(() => {
        expect(node.state.job?.phase).toBe('staged');
      });
      node.policy(lines, key);
      node.permitLeaseMs = 5_000;
      expect(await node.outcomeOf(command.command_id)).toBe(code);
      expect(node.version).toBe('1.5.0');
    },
  );

  it('that changes while the permit is on its way stops the swap', async () => {
    await node.publish({ version: '1.6.0' });
    node.permitLeaseMs = null;
    const command = node.command('1.6.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.state.job?.phase).toBe('staged');
      expect(node.permitsAsked).toBeGreaterThan(0);
    });
    // In one go: the machine takes the permit before anything has read the file again.
    node.policy(['enabled = true', 'min_version = "1.7.0"']);
    const { command_id } = command;
    await node.updater.hear({
      ...{ type: 'permit_granted', command_id },
      ...{ ask: node.permitsAsked, lease_ms: 60_000 },
    });
    expect(await node.outcomeOf(command_id)).toBe('upgrade_version_too_old');
    expect(node.version).toBe('1.5.0');
    expect(node.driver.status().running).toBe(true);
    expect(node.types).not.toContain('upgrade_completed');
  });

  it('that wants a hand is not overruled by a permit that nobody asked for', async () => {
    await node.publish({ version: '1.6.0' });
    node.policy(['enabled = true', 'manual_only = true']);
    const command = node.command('1.6.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.types).toContain('upgrade_staged_manual');
    });
    const asked = node.permitsAsked;
    // It answers the last question of this process.
    const { command_id } = command;
    const permit = { command_id, ask: node.permitsAsked, lease_ms: 5_000 };
    await node.updater.hear({ type: 'permit_granted', ...permit });
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(node.state.job?.phase).toBe('staged');
    expect([node.version, node.permitsAsked]).toEqual(['1.5.0', asked]);
  });

  it('refuses an archive that leaves its place, and keeps nothing of it', async () => {
    const archive = await tarGz([{ name: '../escaped', content: 'x' }]);
    await node.publish({ version: '1.6.0', archive });
    expect(await node.upgrade('1.6.0')).toBe('upgrade_extract_failed');
    expect(node.told.at(-1)?.type).toBe('upgrade_stage_failed');
    await node.until(() => {
      expect(readdirSync(join(node.root, 'versions'))).toEqual(['1.5.0']);
      expect(readdirSync(join(node.root, 'downloads'))).toEqual([]);
    });
  });
});
