import { appendFileSync, chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tar } from '../../../test/support/archive.js';
import { NodeBench, RUNS } from '../../../test/support/node-bench.js';
import { digestOf } from '../../../test/support/release-source.js';
import { verifyNode } from './verify.js';

let node: NodeBench;
let config: string;

/** A node on which a release was installed that says what its archive holds, so that it is kept. */
beforeEach(async () => {
  node = await NodeBench.make();
  const content = await tar([
    { name: 'bin/edge', mode: 0o755, content: RUNS },
    { name: 'version', content: '1.0.0' },
    { name: 'healthy' },
  ]);
  const described = { content: { size: content.length, sha256: digestOf(content) } };
  await node.publish({ version: '1.0.0', archive: gzipSync(content), artifact: described });
  await node.open();
  expect(await node.upgrade('1.0.0')).toBe('succeeded');
  config = join(node.folder, 'agent.toml');
  configure();
}, 30_000);
afterEach(() => node.remove());

function configure(...more: string[]): void {
  const service = ['[[services]]', 'name = "edge"', 'product = "edge"', `root = "${node.root}"`];
  const lines = ['manager = "https://manager.example"', ...service, 'exec = "bin/edge"', ...more];
  writeFileSync(config, lines.join('\n'));
}

const tree = (...parts: string[]): string => join(node.root, 'versions', '1.0.0', ...parts);
async function found() {
  const [edge] = await verifyNode(node.folder, 'edge');
  if (edge === undefined) throw new Error('nothing was looked at');
  return edge;
}

describe('what is installed', () => {
  it('is fine as it was signed', async () => {
    expect(await found()).toEqual({
      service: 'edge',
      fine: ['policy', 'links and markers', '1.0.0 as signed'],
      problems: [],
    });
  });

  it.each<[string, () => void, string]>([
    ['changed', () => appendFileSync(tree('bin', 'edge'), '#'), 'bin/edge was changed'],
    ['missing', () => rmSync(tree('healthy')), 'healthy is missing'],
    [
      'added',
      () => writeFileSync(tree('bin', 'plugin'), '', { mode: 0o755 }),
      'bin/plugin was added: no release brought it',
    ],
    ['added as a folder', () => mkdirSync(tree('lib')), 'lib was added: no release brought it'],
    [
      'added as a link',
      () => symlinkSync('edge', tree('bin', 'other')),
      'bin/other was added: no release brought it',
    ],
    [
      'given another mode',
      () => chmodSync(tree('version'), 0o755),
      'version was changed: its mode is 755, not 644',
    ],
  ])('is told when something of it was %s', async (_what, change, problem) => {
    change();
    const { fine, problems } = await found();
    expect(problems).toEqual([`${tree()}/${problem}`]);
    expect(fine).not.toContain('1.0.0 as signed');
  });

  it('is told with hooks that would not be run', async () => {
    const hook = join(node.folder, 'drain');
    configure(`hooks = { pre_swap = { command = ["${hook}"] } }`);
    expect((await found()).problems).toEqual([`hook pre_swap: ${hook} is missing`]);
    writeFileSync(hook, '#!/bin/sh\n', { mode: 0o755 });
    expect((await found()).problems).toEqual([]);
  });

  it('is not looked at by a configuration that others could write', async () => {
    chmodSync(config, 0o664);
    await expect(found()).rejects.toMatchObject({
      code: 'config_invalid',
      message: `${config} can be changed by others (chmod go-w)`,
    });
  });
});
