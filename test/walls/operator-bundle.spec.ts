import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../support/databases.js';
import { ROOT } from './tree.js';

/**
 * All the code in the operator that is not ours, with the reason for each. It may change workloads of a whole cluster:
 * a line here is a decision, and a new version is one too.
 */
const ALLOWED = {
  semver: '7.8.6', // order of versions
  'smol-toml': '1.9.1', // policy.toml
  ws: '8.23.0', // the link
  yaml: '2.9.1', // patches for GitOps
  zod: '4.6.7', // every message, file and object is checked by a schema
  '@sigstore/verify': '4.1.3', // releases signed with Sigstore
  // Behind @sigstore/verify:
  '@sigstore/bundle': '5.0.1',
  '@sigstore/core': '4.0.1',
  '@sigstore/protobuf-specs': '0.5.2',
};

/** A copy of what the bundle is made of, in another folder. */
const copyTo = (folder: string): string => {
  for (const name of ['src', 'scripts', 'package.json', 'tsconfig.json', 'LICENSE']) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
};

const build = (root: string, out: string): void => {
  const script = join(root, 'scripts', 'build-operator.mjs');
  const args = ['--preserve-symlinks', script, '--out', out];
  const done = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(done.status, done.stderr).toBe(0);
};

describe('the bundle of the operator', () => {
  const dir = makeTempDir();
  const here = join(dir.path, 'here');
  const textOf = (name: string): string => readFileSync(join(here, name), 'utf8');
  beforeAll(() => {
    build(ROOT, here);
  }, 120_000);
  afterAll(() => dir.remove());

  it('holds no code of others but what is listed, in the listed version, with its licence', () => {
    const found = JSON.parse(textOf('packages.json')) as { name: string; version: string }[];
    expect(Object.fromEntries(found.map(({ name, version }) => [name, version]))).toEqual(ALLOWED);
    const notices = textOf('THIRD-PARTY.txt');
    for (const { name, version } of found) expect(notices).toContain(`${name} ${version} (`);
  });

  it('holds none of the manager, its database or its framework, and no path of this machine', () => {
    const text = textOf('bellwether-operator.mjs');
    expect(text).not.toMatch(/@nestjs|typeorm|better-sqlite3/);
    expect(text).not.toContain(ROOT);
  });

  it('is the same, byte by byte, when it is built in another folder', () => {
    const there = join(dir.path, 'there');
    build(copyTo(join(dir.path, 'copy')), there);
    expect(readFileSync(join(there, 'SHA256SUMS'), 'utf8')).toBe(textOf('SHA256SUMS'));
  });

  it('runs, and says what it lacks', () => {
    const program = join(here, 'bellwether-operator.mjs');
    const done = spawnSync(process.execPath, [program], { encoding: 'utf8', env: {} });
    expect([done.status, done.stderr]).toEqual([
      78,
      expect.stringContaining('BELLWETHER_CLUSTER_NAME') as string,
    ]);
  });
});
