import { parse as parseToml } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { AgentConfig } from '../../src/agent/config.js';
import { parsePolicy } from '../../src/agent/policy-file.js';
import {
  agentLines,
  draftPolicy,
  envIn,
  policyText,
  publicKeyIn,
  type WantedService,
} from '../../src/console/pages/fleet/node-files.js';
import { makeSigningKey } from '../support/fleet.js';

/** What the console gives to copy is what the agent reads. */

const SERVICE: WantedService = {
  product: 'edge',
  root: '/opt/bellwether/edge',
  driver: 'child',
  exec: 'bin/edge',
  env: '',
  healthUrl: 'http://127.0.0.1:8080/health',
};
const config = (service: WantedService): unknown =>
  AgentConfig.parse(parseToml(`manager = "https://m.example"\n\n${agentLines(service)}`));
const STABLE = { channel: 'stable', watchSecs: 30 };
const policy = (text: string) => parsePolicy('policy.toml', Buffer.from(text));

describe('the lines of agent.toml', () => {
  it.each([
    [{}, { driver: 'child', exec: 'bin/edge', health: { kind: 'http' } }],
    [{ healthUrl: ' ' }, { health: { kind: 'none' } }],
    [{ driver: 'systemd' }, { driver: 'systemd', root: '/opt/bellwether/edge' }],
    [{ driver: 'systemd', env: 'PORT=1' }, { driver: 'systemd' }],
    [{ root: '/srv/my "edge"' }, { root: '/srv/my "edge"' }],
    [
      { env: ' PORT=8080\r\nTEXT=a "b" = c ' },
      { driver: 'child', env: { PORT: '8080', TEXT: 'a "b" = c' } },
    ],
    [{ exec: 'bin/a "quoted" name\\' }, { exec: 'bin/a "quoted" name\\' }],
  ] as const)('with %j', (change, wanted) => {
    expect(config({ ...SERVICE, ...change })).toMatchObject({ services: [wanted] });
  });
});

it.each(['PORT', '=1', 'A B=1', 'A=1\nA=2', '1A=1'])('%j is no environment', (text) => {
  expect(envIn(text)).toBeNull();
});

describe('the policy', () => {
  const { publicKey } = makeSigningKey();
  const given = publicKeyIn(`untrusted comment: a key\n${publicKey}\n`);

  it('lists the key that was pasted, whole or as a line', () => {
    if (given === null) throw new Error('it is one');
    expect(publicKeyIn(publicKey)).toEqual(given);
    const signers = [{ kind: 'minisign', keyId: given.keyId }] as const;
    const read = policy(policyText(signers, new Map([[given.keyId, given.key]]), STABLE));
    expect(read).toMatchObject({
      ok: true,
      value: {
        ...{ enabled: true, allowed_channels: ['stable'], boot_health_window_secs: 30 },
        signers: [{ public_key: publicKey }],
      },
    });
  });

  it('names a workflow by what a certificate says of it, and all its tags', () => {
    const identity = 'https://github.com/acme/edge/.github/workflows/release.yml@refs/tags/v1.2.0';
    const issuer = 'https://token.actions.githubusercontent.com';
    const read = policy(
      policyText([{ kind: 'sigstore', issuer, identity }], new Map(), {
        ...STABLE,
        channel: 'beta',
      }),
    );
    expect(read).toMatchObject({
      ok: true,
      value: {
        signers: [
          {
            ...{ issuer, repository: 'https://github.com/acme/edge', ref: 'refs/tags/v*' },
            workflow: '.github/workflows/release.yml',
          },
        ],
      },
    });
  });

  it('without the key is refused, so that nothing can be forgotten', () => {
    const text = policyText([{ kind: 'minisign', keyId: 'A'.repeat(16) }], new Map(), STABLE);
    expect(policy(text).ok).toBe(false);
  });

  it.each(['', 'RWQ', 'not a key', publicKey.slice(4)])('takes %j for no key', (text) => {
    expect(publicKeyIn(text)).toBeNull();
  });

  it('says when the key that was pasted is not the one that signed', () => {
    if (given === null) throw new Error('it is one');
    const mine = { kind: 'minisign', keyId: given.keyId } as const;
    const other = { kind: 'minisign', keyId: 'A'.repeat(16) } as const;
    expect(draftPolicy([mine], publicKey, STABLE)).toMatchObject({ isStranger: false });
    expect(draftPolicy([other], publicKey, STABLE)).toMatchObject({ isStranger: true });
    const first = draftPolicy([], publicKey, STABLE);
    expect(policy(first.text).ok).toBe(true);
    expect(policy(draftPolicy([], '', STABLE).text).ok).toBe(false);
  });
});
