import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestManager } from '../../../test/support/manager.js';
import { changed, type Json } from '../../../test/support/json.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import {
  pemOf,
  RELEASE_SIGNER,
  RELEASE_WORKFLOW,
  Sigstore,
} from '../../../test/support/sigstore.js';
import { runProgram } from '../program.js';

const root = mkdtempSync(join(tmpdir(), 'bellwether-sigstore-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let sigstore: Sigstore;
beforeAll(async () => {
  sigstore = await Sigstore.make();
});

let work = '';
let count = 0;
beforeEach(async () => {
  work = join(root, String((count += 1)));
  mkdirSync(join(work, 'node'), { recursive: true });
  writeFileSync(at('edge'), 'a program');
  await runOk([
    ...['release', 'pack', '--product', 'edge', '--version', '1.6.0', '--channel', 'stable'],
    ...['--sequence', '16', '--artifact', `linux/x64=${at('edge')}`, '--out', at('out')],
  ]);
});
const at = (...parts: string[]): string => join(work, ...parts);

async function run(words: readonly string[], env: Record<string, string> = {}) {
  const terminal = recordingTerminal(env);
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
async function runOk(words: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { code, out, err } = await run(words, env);
  expect([code, err]).toEqual([0, err]);
  return out;
}
const manifest = (): Buffer => readFileSync(at('out', 'manifest.json'));
const write = (name: string, bundle: Json): string => {
  writeFileSync(at(name), JSON.stringify(bundle));
  return at(name);
};
const attach = (path: string): readonly string[] => [
  ...['release', 'sign', '--attach', path, at('out')],
];

/** A policy as a node has it, with the trusted root beside it. */
function policy(change: object = {}, lines: readonly string[] = ['enabled = true']): string {
  const signer = Object.entries({ ...RELEASE_SIGNER, ...change });
  const text = [...lines, '[[signers]]', ...signer.map(([key, value]) => `${key} = '${value}'`)];
  writeFileSync(at('node', 'policy.toml'), text.join('\n'));
  writeFileSync(at('node', 'trusted_root.json'), sigstore.rootText);
  return at('node', 'policy.toml');
}
const verify = (path: string) => run(['release', 'verify', '--policy', path, at('out')]);

describe('release sign --attach', () => {
  it('takes a bundle over the manifest, under the name of its file', async () => {
    const path = write('release.sigstore.json', await sigstore.signKeyless(manifest()));
    const file = at('out', 'manifest.json.release.sigstore.json');
    expect(await runOk(attach(path))).toBe(`${file}\n`);
    expect(readFileSync(file, 'utf8')).toBe(readFileSync(path, 'utf8'));
    // The same again changes nothing; another one is not put in its place.
    await runOk(attach(path));
    write('release.sigstore.json', await sigstore.signKeyless(manifest()));
    expect((await run(attach(path))).code).toBe(1);
  });

  it('refuses a bundle over something else, what is no bundle, and a huge one', async () => {
    const other = write('a.json', await sigstore.signKeyless(Buffer.from('other')));
    expect((await run(attach(other))).err).toContain('is about other bytes');
    writeFileSync(at('b.json'), '{}');
    expect((await run(attach(at('b.json')))).err).toContain('[upgrade_signature_invalid]');
    writeFileSync(at('c.json'), 'x'.repeat(70_000));
    expect((await run(attach(at('c.json')))).err).toContain('[local_file_failed]');
    const both = ['--key', at('edge'), '--attach', other];
    expect((await run(['release', 'sign', ...both, at('out')])).code).toBe(2);
  });
});

describe('release verify', () => {
  const sign = async (workflow = RELEASE_WORKFLOW, spoil = (bundle: Json): Json => bundle) => {
    const bundle = await sigstore.signKeyless(manifest(), workflow);
    await runOk(attach(write('release.sigstore.json', spoil(bundle))));
  };

  it('says of each claim that it passed', async () => {
    await sign();
    const { code, out } = await verify(policy());
    expect(code).toBe(0);
    for (const what of [
      ...['form', 'content', 'time', 'log entry', 'signature', 'certificate'],
      ...['issuer', 'identity', 'repository', 'ref', 'workflow', 'signer', 'threshold'],
      ...['enabled', 'channel', 'size', 'artifact'],
    ]) {
      expect(out).toMatch(new RegExp(`^ {2}passed {2}${what} `, 'm'));
    }
    expect(out).not.toContain('FAILED');
    expect(out).toContain('edge 1.6.0 is signed by release workflow; 1 artifact(s) match');
  });

  it.each<[string, object, string[]]>([
    ['issuer', { issuer: 'https://other.example' }, ['issuer']],
    ['repository', { repository: 'https://github.com/acme/other' }, ['repository', 'identity']],
    ['ref', { ref: 'refs/heads/main' }, ['ref']],
    ['workflow', { workflow: '.github/workflows/other.yml' }, ['workflow', 'identity']],
    ['identity', { identity: 'release@acme.example' }, ['identity']],
  ])('says that the %s is another one', async (_what, change, wrong) => {
    await sign();
    const { code, out, err } = await verify(policy(change));
    expect([code, err]).toEqual([1, expect.stringContaining('[upgrade_identity_not_allowed]')]);
    for (const what of [...wrong, 'signer', 'threshold']) {
      expect(out).toMatch(new RegExp(`^ {2}FAILED {2}${what} `, 'm'));
    }
    expect(out).toMatch(/^ {2}passed {2}signature /m);
    expect(out).toMatch(/^ {2}passed {2}artifact /m);
  });

  it.each<[string, string, unknown, string, string]>([
    ['not logged', 'verificationMaterial.tlogEntries', [], 'log entry', 'upgrade_rekor_invalid'],
    [
      'of somebody else',
      'messageSignature.signature',
      Buffer.alloc(70).toString('base64'),
      'log entry',
      'upgrade_rekor_invalid',
    ],
  ])('says of a signature that is %s where it failed', async (_what, path, value, claim, code) => {
    await sign(RELEASE_WORKFLOW, (bundle) => changed(bundle, path, value));
    const answer = await verify(policy());
    expect([answer.code, answer.err]).toEqual([1, expect.stringContaining(`[${code}]`)]);
    expect(answer.out).toMatch(new RegExp(`^ {2}FAILED {2}${claim} `, 'm'));
  });

  it.each([
    ['channel', ['enabled = true', 'allowed_channels = ["beta"]'], 'upgrade_channel_not_allowed'],
    ['enabled', ['enabled = false'], 'upgrade_disabled'],
    ['size', ['enabled = true', 'max_artifact_bytes = 1'], 'upgrade_artifact_too_large'],
    ['version', ['enabled = true', 'min_version = "2.0.0"'], 'upgrade_version_too_old'],
  ])('says that the policy forbids it by its %s', async (claim, lines, code) => {
    await sign();
    const answer = await verify(policy({}, lines));
    expect([answer.code, answer.err]).toEqual([1, expect.stringContaining(`[${code}]`)]);
    expect(answer.out).toMatch(new RegExp(`^ {2}FAILED {2}${claim} `, 'm'));
  });

  it('says every problem of a policy and of a trusted root', async () => {
    await sign();
    const wrong = await verify(policy({ ref: '*' }));
    expect([wrong.code, wrong.err]).toEqual([
      1,
      expect.stringContaining('[upgrade_policy_invalid]'),
    ]);
    const path = policy();
    rmSync(at('node', 'trusted_root.json'));
    expect((await verify(path)).err).toContain('[upgrade_trusted_root_invalid]');
    write('root.json', changed(sigstore.root, 'tlogs.0.publicKey.validFor.start'));
    const named = ['--policy', path, '--trusted-root', at('root.json'), at('out')];
    const { err } = await run(['release', 'verify', ...named]);
    expect(err).toContain('since when it counts must be there');
  });

  it('wants to know whose signature counts, and takes no threshold beside a policy', async () => {
    expect((await run(['release', 'verify', at('out')])).code).toBe(2);
    const words = ['release', 'verify', '--policy', policy(), '--threshold', '1', at('out')];
    expect((await run(words)).code).toBe(2);
  });

  it('counts minisign and a workflow together', async () => {
    await sign();
    await runOk(['release', 'keygen', '--out', at('keys'), '--name', 'alice']);
    await runOk(['release', 'sign', '--key', at('keys', 'alice.key'), at('out')]);
    const path = policy({}, ['enabled = true', 'threshold = 1']);
    const key = ['--public-key', at('keys', 'alice.pub')];
    const out = await runOk(['release', 'verify', '--policy', path, ...key, at('out')]);
    expect(out).toContain('signed by alice, release workflow');
  });
});

describe('release publish', () => {
  it('brings a release with a bundle to the manager, and not one with junk', async () => {
    const manager = await startTestManager();
    const env = {
      BELLWETHER_MANAGER: manager.url,
      BELLWETHER_TOKEN: await manager.token('release'),
    };
    try {
      const file = at('out', 'manifest.json.release.sigstore.json');
      writeFileSync(file, '{"mediaType":"x"}');
      const refused = await run(['release', 'publish', at('out')], env);
      expect([refused.code, refused.err]).toEqual([
        1,
        expect.stringContaining('[upgrade_signature_invalid]'),
      ]);
      rmSync(file);
      await runOk(attach(write('release.json', await sigstore.signKeyless(manifest()))));
      expect(await runOk(['release', 'publish', at('out')], env)).toContain('published edge 1.6.0');
    } finally {
      await manager.stop();
    }
  });
});

describe('release verify-bundle', () => {
  const IDENTITY = 'https://github.com/acme/edge/.github/workflows/release.yml@refs/tags/v1.6.0';
  const words = (...more: string[]): string[] => [
    ...['release', 'verify-bundle', '--bundle', at('b.json'), '--trusted-root', at('root.json')],
    ...more,
    at('edge'),
  ];
  const by = (identity: string, issuer: string): string[] =>
    words('--certificate-identity', identity, '--certificate-oidc-issuer', issuer);
  beforeEach(() => {
    write('root.json', sigstore.root);
  });

  it('accepts the right identity, letter by letter, and nobody else', async () => {
    write('b.json', await sigstore.signKeyless(readFileSync(at('edge'))));
    expect((await run(by(IDENTITY, RELEASE_WORKFLOW.issuer))).code).toBe(0);
    for (const [identity, issuer] of [
      [IDENTITY.replace('v1.6.0', 'v1.6..'), RELEASE_WORKFLOW.issuer],
      [IDENTITY.slice(0, -1), RELEASE_WORKFLOW.issuer],
      ['.*', RELEASE_WORKFLOW.issuer],
      [IDENTITY, 'https://other.example'],
    ] as const) {
      const { code, err } = await run(by(identity, issuer));
      expect([code, err]).toEqual([1, expect.stringContaining('[upgrade_identity_not_allowed]')]);
    }
    writeFileSync(at('edge'), 'another program');
    const { code, err } = await run(by(IDENTITY, RELEASE_WORKFLOW.issuer));
    expect([code, err]).toEqual([1, expect.stringContaining('[upgrade_signature_invalid]')]);
  });

  it('accepts the right key, and no other; an identity is no key', async () => {
    const [mine, other] = [0, 1].map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
    write('b.json', await sigstore.signManaged(readFileSync(at('edge')), mine!));
    writeFileSync(at('mine.pub'), pemOf(mine!.publicKey));
    writeFileSync(at('other.pub'), pemOf(other!.publicKey));
    expect((await run(words('--key', at('mine.pub')))).code).toBe(0);
    expect((await run(words('--key', at('other.pub')))).code).toBe(1);
    expect((await run(by(IDENTITY, RELEASE_WORKFLOW.issuer))).code).toBe(1);
    expect((await run(words())).code).toBe(2);
    expect((await run(words('--key', at('edge')))).code).toBe(2);
  });
});
