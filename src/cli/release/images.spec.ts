import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { aService, connectNode } from '../../../test/support/node-link.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

const NAME = 'registry.example.com:5000/shop/edge';
const digest = (mark: string): string => `sha256:${mark.repeat(64)}`;

describe('a release of images', () => {
  const root = mkdtempSync(join(tmpdir(), 'bellwether-images-'));
  const at = (...parts: string[]): string => join(root, ...parts);
  let manager: TestManager;
  beforeAll(async () => {
    manager = await startTestManager();
    expect((await run('release', 'keygen', '--out', at('keys'), '--name', 'release')).code).toBe(0);
  });
  afterAll(async () => {
    await manager.stop();
    rmSync(root, { recursive: true, force: true });
  });

  const run = async (...words: string[]) => {
    const env = { BELLWETHER_TOKEN: manager.admin, BELLWETHER_MANAGER: manager.url };
    const terminal = recordingTerminal(env);
    const code = await runProgram(words, terminal);
    return { code, out: terminal.outText(), err: terminal.errText() };
  };
  const HEAD = ['--product', 'edge', '--channel', 'stable'];
  const pack = (folder: string, version: string, sequence: number, ...more: string[]) =>
    run(
      ...['release', 'pack', '--version', version, '--sequence', String(sequence)],
      ...[...HEAD, '--out', at(folder), ...more],
    );
  const manifestIn = (folder: string): unknown =>
    JSON.parse(readFileSync(at(folder, 'manifest.json'), 'utf8'));

  it('is packed, signed, published, and offered to workloads only', async () => {
    const more = [
      '--image',
      `${NAME}@${digest('a')}`,
      '--image',
      `musl/arm64=${NAME}@${digest('b')}`,
    ];
    expect(await pack('one', '1.1.0', 1, ...more)).toMatchObject({ code: 0 });
    expect(manifestIn('one')).toMatchObject({
      artifacts: [],
      image: { reference: NAME, digest: digest('a') },
      images: [{ variant: 'musl', arch: 'arm64', reference: NAME, digest: digest('b') }],
    });
    for (const words of [
      ['release', 'sign', at('one'), '--key', at('keys', 'release.key')],
      ['release', 'publish', at('one')],
    ]) {
      const { code, err } = await run(...words);
      expect([code, err]).toEqual([0, err]);
    }
    expect((await run('release', 'list')).out).toContain('image');
    const offers = async (name: string, capabilities: string[], variant: string) => {
      const node = await manager.node('grp_default', name);
      const link = await connectNode(manager, node, {
        capabilities,
        services: [aService({ version: '1.0.0', variant })],
      });
      const { body } = await manager.call('nodes.upgrades', { params: { id: node.id } });
      await link.close();
      return body.items[0]?.upgrades;
    };
    const offer = { version: '1.1.0', bytes: 0, direct: true };
    const workload = ['upgrade', 'kubernetes_operator'];
    expect(await offers('a', workload, 'default')).toMatchObject([offer]);
    expect(await offers('b', ['upgrade'], 'default')).toEqual([]);
    // It is for arm64, and this one runs on x64.
    expect(await offers('c', workload, 'musl')).toEqual([]);
  });

  it('may be said in the project', async () => {
    const lines = [
      'product = "edge"',
      'channel = "stable"',
      '[[images]]',
      'variant = "default"',
      `reference = "${NAME}"`,
      `digest = "${digest('c')}"`,
    ];
    writeFileSync(at('release.toml'), lines.join('\n'));
    const { code, err } = await pack('two', '1.2.0', 2, '--project', at('release.toml'));
    expect([code, err]).toEqual([0, err]);
    expect(manifestIn('two')).toMatchObject({
      artifacts: [],
      images: [{ variant: 'default', digest: digest('c') }],
    });
  });

  it.each([
    ['nothing', []],
    ['a tag', ['--image', `${NAME}:1.0`]],
    ['a tag beside the digest', ['--image', `${NAME}:1.0@${digest('a')}`]],
    ['no registry', ['--image', `edge@${digest('a')}`]],
    ['a wrong architecture', ['--image', `default/mips=${NAME}@${digest('a')}`]],
    ['too many words', ['--image', `default/x64/more=${NAME}@${digest('a')}`]],
    ['two for all', ['--image', `${NAME}@${digest('a')}`, '--image', `${NAME}@${digest('b')}`]],
    [
      'two for the same',
      ['--image', `musl=${NAME}@${digest('a')}`, '--image', `musl=${NAME}@${digest('b')}`],
    ],
  ])('is not made of %s', async (_, more) => {
    expect((await pack('bad', '1.3.0', 3, ...more)).code).toBe(2);
  });
});
