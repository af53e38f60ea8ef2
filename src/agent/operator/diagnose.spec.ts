import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { diagnose } from './diagnose.js';

const CANARY = 'cAnArY0123456789';

it('a bundle holds no argument of a hook, no password of a proxy, no value behind an option', async () => {
  const dir = makeTempDir();
  const root = join(dir.path, 'edge');
  mkdirSync(join(root, 'log'), { recursive: true });
  writeFileSync(join(root, 'log', 'service.log'), `a line\nlogging in with ${CANARY}-arg\n`);
  const toml = [
    'manager = "https://manager.example"',
    `https_proxy = "http://node:it's-${CANARY}@proxy.example:3128"`,
    '[[services]]',
    ...['name = "edge"', 'product = "edge"', `root = "${root}"`, 'exec = "run"'],
    `args = ["--password", "${CANARY}-arg", "--port", "8080"]`,
    '[services.hooks]',
    `pre_swap = { command = ["/usr/local/bin/drain", "--key", "${CANARY}"] }`,
  ];
  writeFileSync(join(dir.path, 'agent.toml'), toml.join('\n'));
  const text = JSON.stringify(await diagnose(dir.path));
  dir.remove();
  expect(text).not.toContain(CANARY);
  for (const kept of ['a line', '/usr/local/bin/drain', 'proxy.example:3128', 'pre_swap']) {
    expect(text).toContain(kept);
  }
});
