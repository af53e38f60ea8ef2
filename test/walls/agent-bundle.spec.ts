import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../support/databases.js';
import { ROOT } from './tree.js';

/**
 * All the code in the agent that is not ours, with the reason for each. The agent runs as root on
 * machines that matter: a line here is a decision, and a new version is one too.
 */
const ALLOWED = {
  semver: '7.8.6', // order of versions
  'smol-toml': '1.9.1', // agent.toml, policy.toml
  ws: '8.23.0', // the link; the WebSocket of the platform tells nothing of a refused upgrade
  zod: '4.6.7', // every message and file is checked by a schema
  'tar-stream': '3.2.2', // archives of releases
  '@sigstore/verify': '4.1.3', // releases signed with Sigstore
  // Behind @sigstore/verify:
  '@sigstore/bundle': '5.0.1',
  '@sigstore/core': '4.0.1',
  '@sigstore/protobuf-specs': '0.5.2',
  // Behind tar-stream:
  b4a: '1.9.0',
  'events-universal': '1.0.1',
  'fast-fifo': '1.3.2',
  streamx: '2.28.1',
  'text-decoder': '1.2.7',
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
  const script = join(root, 'scripts', 'build-agent.mjs');
  const args = ['--preserve-symlinks', script, '--js-only', '--out', out];
  const done = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(done.status, done.stderr).toBe(0);
};

describe('the bundle of the agent', () => {
  const dir = makeTempDir();
  const here = join(dir.path, 'here');
  beforeAll(() => build(ROOT, here));
  afterAll(() => dir.remove());

  it('holds no code of others but what is listed, in the listed version', () => {
    const found = JSON.parse(readFileSync(join(here, 'packages.json'), 'utf8')) as {
      name: string;
      version: string;
    }[];
    expect(Object.fromEntries(found.map(({ name, version }) => [name, version]))).toEqual(ALLOWED);
  });

  it('holds none of the manager, its database or its framework', () => {
    const text = readFileSync(join(here, 'bellwether-agent.mjs'), 'utf8');
    expect(text).not.toMatch(/@nestjs|typeorm|better-sqlite3|reflect-metadata/);
    expect(text).not.toContain(ROOT);
  });

  it('is the same, byte by byte, when it is built in another folder', () => {
    const there = join(dir.path, 'there');
    build(copyTo(join(dir.path, 'copy')), there);
    for (const name of ['bellwether-agent.mjs', 'packages.json', 'SHA256SUMS']) {
      expect(readFileSync(join(there, name)).equals(readFileSync(join(here, name)))).toBe(true);
    }
  });

  it('runs', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    const program = join(here, 'bellwether-agent.mjs');
    const done = spawnSync(process.execPath, [program, 'version'], { encoding: 'utf8' });
    expect(done.stdout.trim()).toBe(version);
    expect(existsSync(program)).toBe(true);
  });
});
