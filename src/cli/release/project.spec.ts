import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { parseManifest } from '../../core/release/index.js';
import { runProgram } from '../program.js';

let work = '';
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'bellwether-project-'));
});
afterEach(() => rmSync(work, { recursive: true, force: true }));
const at = (...parts: string[]): string => join(work, ...parts);

async function run(words: readonly string[]) {
  const terminal = recordingTerminal({ SOURCE_DATE_EPOCH: '1795000000' });
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
const pack = (...more: string[]) =>
  run([
    ...['release', 'pack', '--project', at('release.toml'), '--version', '1.4.0'],
    ...['--sequence', '14', '--out', at('out'), ...more],
  ]);
const manifest = () => {
  const parsed = parseManifest(readFileSync(at('out', 'manifest.json')));
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};

describe('release init', () => {
  it('writes a project that can be packed, and says how it goes on', async () => {
    const { code, out } = await run(['release', 'init', '--product', 'edge', '--out', work]);
    expect(code).toBe(0);
    expect(out).toContain(`release pack --project ${at('release.toml')}`);
    mkdirSync(at('build', 'linux-x64'), { recursive: true });
    writeFileSync(at('build', 'linux-x64', 'edge'), 'program');
    expect(await pack()).toMatchObject({ code: 0 });
    expect(manifest()).toMatchObject({
      product: 'edge',
      channel: 'stable',
      artifacts: [{ os: 'linux', arch: 'x64', variant: 'default' }],
    });
  });

  it('overwrites nothing', async () => {
    writeFileSync(at('release.toml'), 'mine');
    const { code, err } = await run(['release', 'init', '--product', 'edge', '--out', work]);
    expect([code, readFileSync(at('release.toml'), 'utf8')]).toEqual([1, 'mine']);
    expect(err).toContain('release.toml');
  });

  it('takes no product that could not be one', async () => {
    const { code } = await run(['release', 'init', '--product', '../etc', '--out', work]);
    expect(code).toBe(2);
  });
});

describe('a project', () => {
  const FULL = `
product = "edge"
channel = "beta"
notes = "notes.md"
expires_after_days = 30
[compatibility]
min_from = "1.2.0"
major_hops_max = 1
state_schema = { min = 3, max = 4 }
[image]
reference = "registry.example.com/fleet/edge"
digest = "sha256:${'a'.repeat(64)}"
[[artifact]]
os = "linux"
arch = "arm64"
variant = "full"
path = "edge"
`;

  it('says all that stays the same; paths begin where it lies', async () => {
    writeFileSync(at('release.toml'), FULL);
    writeFileSync(at('notes.md'), 'better');
    writeFileSync(at('edge'), 'program');
    expect(await pack()).toMatchObject({ code: 0 });
    expect(manifest()).toMatchObject({
      channel: 'beta',
      notes: 'better',
      released_at: '2026-11-18T11:06:40.000Z',
      expires_at: '2026-12-18T11:06:40.000Z',
      compatibility: {
        min_from: '1.2.0',
        major_hops_max: 1,
        state_schema: { min: 3, max: 4 },
      },
      image: { digest: `sha256:${'a'.repeat(64)}` },
      artifacts: [{ os: 'linux', arch: 'arm64', variant: 'full' }],
    });
  });

  it('gives way to what stands on the command line', async () => {
    writeFileSync(at('release.toml'), FULL.replace('notes =', '# notes ='));
    writeFileSync(at('other'), 'program');
    const more = ['--channel', 'dev', '--artifact', `linux/x64=${at('other')}`];
    expect(await pack(...more)).toMatchObject({ code: 0 });
    expect(manifest()).toMatchObject({ channel: 'dev', artifacts: [{ arch: 'x64' }] });
  });

  it.each([
    ['is not TOML', 'product = ', /release.toml: /],
    ['has a misspelt key', `${FULL}\n[compatibilty]\n`, /compatibilty/],
    ['names a system that nobody knows', FULL.replace('linux', 'amiga'), /artifact.0.os/],
    ['has no artifact', 'product = "edge"\n', /artifact/],
    ['expires in the past', FULL.replace('= 30', '= -1'), /expires_after_days/],
    ['names a version with a v', FULL.replace('"1.2.0"', '"v1.2"'), /compatibility.min_from/],
    ['is far too large', `# ${'x'.repeat(300_000)}\n${FULL}`, /at most 262144/],
  ])('that %s is refused with what is wrong', async (_what, text, told) => {
    writeFileSync(at('release.toml'), text);
    const { code, err } = await pack();
    expect(code).toBe(2);
    expect(err).toMatch(told);
    expect(err).toContain('release init');
  });

  it('is needed, or else what to pack', async () => {
    const words = ['release', 'pack', '--version', '1.0.0', '--sequence', '1', '--out', at('out')];
    const { code, err } = await run([...words, '--product', 'edge', '--channel', 'dev']);
    expect(code).toBe(2);
    expect(err).toContain('--artifact, --image or --project');
    expect((await run(words)).err).toContain('--product');
  });
});
