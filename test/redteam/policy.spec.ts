import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/agent/command-line.js';
import type { PolicyUpdate } from '../../src/core/release/index.js';
import { DAY_MS, HostileBench } from '../support/hostile-bench.js';
import { makeSigningKey, signDocument, type SigningKey } from '../support/release-source.js';

let bench: HostileBench;
beforeEach(async () => {
  bench = await HostileBench.make();
  await bench.publish('1.5.0');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await bench.remove();
});

const policyText = (file = 'policy.toml'): string => readFileSync(join(bench.root, file), 'utf8');

describe('no message of a hostile manager', () => {
  const own = { command_id: 'cmd_90000001', generation: 1, service: 'edge', product: 'edge' };
  const policy = 'enabled = true\nallowed_channels = ["dev"]';
  const command = (fields: object): object => ({ type: 'command', command: { ...own, ...fields } });
  const MESSAGES: readonly unknown[] = [
    ...[
      'policy',
      'policy_update',
      'set_policy',
      'config',
      'rotate_key',
      'exec',
      'write_file',
    ].flatMap((action) => [
      command({ action, policy, path: 'policy.toml' }),
      { type: action, policy },
    ]),
    command({ action: 'upgrade_binary', version: '../../policy.toml', channel: 'stable' }),
    command({ action: 'upgrade_binary', version: '1.5.0', channel: '../policy.toml' }),
    command({ action: 'withdraw', withdraws: '../../policy.toml' }),
    { type: 'permit', command_id: 'cmd_00000001', ask: 1, lease_ms: 1_000, policy },
    {
      type: 'permit_denied',
      command_id: 'cmd_00000001',
      ask: 1,
      reason: policy,
      retry_after_ms: 100,
    },
    { type: 'events_ack', spool_id: '../edge/policy.toml', through: 0 },
    { type: 'error', error_code: 'internal_error', message: policy },
    {
      type: 'welcome',
      session_id: 'ses_000000000002',
      server_time: new Date().toISOString(),
      heartbeat_interval_ms: 500,
      events_through: 0,
      commands: [{ ...own, action: 'policy_update', policy }],
      policy,
    },
    '{"type":"welcome","__proto__":{"policy":"enabled = true"}}',
    { type: 'reconnect', after_ms: 10, reason: policy },
  ];

  it('changes the local policy', async () => {
    bench.policy(['allowed_channels = ["beta"]']);
    const before = policyText();
    await bench.start();
    for (const message of MESSAGES) bench.say(message);
    await bench.until(() => {
      expect(bench.heard.filter(({ type }) => type === 'hello').length).toBeGreaterThan(1);
    });
    expect(await bench.upgrade('1.5.0', { generation: 9 })).toBe('upgrade_channel_not_allowed');
    expect(policyText()).toBe(before);
    expect(readdirSync(bench.root).filter((name) => name.startsWith('policy'))).toEqual([
      'policy.toml',
    ]);
    expect(bench.events.map(({ type }) => type)).not.toContain('policy_changed');
  });

  it('makes an empty policy allow anything', async () => {
    writeFileSync(join(bench.root, 'policy.toml'), '', { mode: 0o640 });
    await bench.start();
    expect(await bench.upgrade('1.5.0')).toBe('upgrade_disabled');
    writeFileSync(join(bench.root, 'policy.toml'), 'enabled = true', { mode: 0o640 });
    expect(await bench.upgrade('1.5.0')).toBe('upgrade_identity_not_allowed');
    expect(bench.version).toBeNull();
  });
});

describe('a policy update', () => {
  const [alice, bob, mallory] = [makeSigningKey(), makeSigningKey(), makeSigningKey()];

  /** Lays it down as a pipeline hands it over, and runs the command of the agent. */
  async function update(
    change: Partial<PolicyUpdate> = {},
    keys: readonly SigningKey[] = [alice, bob],
  ): Promise<number> {
    const policy = bench.policy(
      ['sequence = 4', 'allowed_channels = ["beta"]'],
      [bob],
      'next.toml',
    );
    const signed = signDocument(
      {
        schema: 'bellwether.policy.v1',
        service: 'edge',
        product: 'edge',
        sequence: 4,
        issued_at: new Date(Date.now() - DAY_MS).toISOString(),
        expires_at: new Date(Date.now() + DAY_MS).toISOString(),
        policy,
        ...change,
      },
      ...keys,
    );
    const file = join(bench.folder, 'update.json');
    writeFileSync(file, signed.document);
    for (const name of readdirSync(bench.folder).filter((one) => one.endsWith('.minisig'))) {
      writeFileSync(join(bench.folder, name), '');
    }
    signed.signatures.forEach((text, index) => {
      writeFileSync(`${file}.${index}.minisig`, text);
    });
    return main(['policy', 'update', file, '--dir', bench.folder], {});
  }

  let said: string[];
  beforeEach(async () => {
    said = [];
    for (const where of ['log', 'error'] as const) {
      vi.spyOn(console, where).mockImplementation((text: string) => void said.push(text));
    }
    await bench.start();
    bench.policy(['threshold = 2', 'sequence = 3'], [alice, bob]);
  });

  it('signed under the old policy is put in force, and the old one is kept', async () => {
    const before = policyText();
    expect(await update()).toBe(0);
    expect(policyText()).toContain('sequence = 4');
    expect(policyText('policy.toml.prev')).toBe(before);
    expect(await bench.upgrade('1.5.0')).toBe('upgrade_channel_not_allowed');
    expect(await update()).toBe(1);
    expect(said.join('\n')).toContain('policy_update_too_old');
  });

  it.each([
    ['signed by one of two', {}, [alice], 'upgrade_signature_invalid'],
    ['signed by one twice', {}, [alice, alice], 'upgrade_signature_invalid'],
    ['signed by a stranger', {}, [mallory], 'upgrade_identity_not_allowed'],
    ['not signed', {}, [], 'upgrade_signature_invalid'],
    ['of the same sequence', { sequence: 3 }, [alice, bob], 'policy_update_too_old'],
    ['whose policy says another sequence', { sequence: 5 }, [alice, bob], 'policy_update_invalid'],
    ['for another service', { service: 'api' }, [alice, bob], 'policy_update_invalid'],
    ['for another product', { product: 'api' }, [alice, bob], 'policy_update_invalid'],
    ['that is broken', { policy: 'enabled = maybe' }, [alice, bob], 'policy_update_invalid'],
    ['without signers', { policy: 'sequence = 4' }, [alice, bob], 'policy_update_invalid'],
    [
      'that has expired',
      { issued_at: '2025-01-01T00:00:00Z', expires_at: '2025-01-02T00:00:00Z' },
      [alice, bob],
      'policy_update_expired',
    ],
    [
      'of another kind',
      { schema: 'bellwether.channel.v1' },
      [alice, bob],
      'release_document_invalid',
    ],
  ] as const)('%s changes nothing', async (_what, change, keys, code) => {
    const before = policyText();
    expect(await update(change as Partial<PolicyUpdate>, keys)).toBe(1);
    expect(said.join('\n')).toContain(code);
    expect(policyText()).toBe(before);
    expect(existsSync(join(bench.root, 'policy.toml.prev'))).toBe(false);
  });

  it('of an empty policy is refused whoever signed it', async () => {
    writeFileSync(join(bench.root, 'policy.toml'), '', { mode: 0o640 });
    expect(await update()).toBe(1);
    expect(policyText()).toBe('');
  });

  it('is shown, with what it does not say', async () => {
    expect(await update()).toBe(0);
    expect(await main(['policy', 'show', '--dir', bench.folder], {})).toBe(0);
    const text = said.join('\n');
    for (const line of ['sequence = 4', 'channel_index = "optional"', 'on_revoked = "alert"']) {
      expect(text).toContain(line);
    }
  });
});
