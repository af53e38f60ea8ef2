import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../support/databases.js';
import { ROOT } from './tree.js';

/**
 * All the code in the command line that is not ours, with the reason for each. It holds tokens and signs
 * releases: a line here is a decision, and a new version is one too.
 */
const ALLOWED = {
  semver: '7.8.6', // order of versions
  'smol-toml': '1.9.1', // policies, release.toml, plans
  yaml: '2.9.1', // `apply`, `-o yaml`
  zod: '4.6.7', // every answer and file is checked by a schema
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

describe('the bundle of the command line', () => {
  const dir = makeTempDir();
  const [first, second] = [join(dir.path, 'first'), join(dir.path, 'second')];
  beforeAll(() => {
    for (const out of [first, second]) {
      const script = join(ROOT, 'scripts', 'build-cli.mjs');
      const words = [script, '--js-only', '--out', out];
      const done = spawnSync(process.execPath, words, { encoding: 'utf8' });
      expect(done.status, done.stderr).toBe(0);
    }
  }, 120_000);
  afterAll(() => dir.remove());

  it('holds no code of others but what is listed, in the listed version', () => {
    const found = JSON.parse(readFileSync(join(first, 'packages.json'), 'utf8')) as {
      name: string;
      version: string;
    }[];
    expect(Object.fromEntries(found.map(({ name, version }) => [name, version]))).toEqual(ALLOWED);
  });

  it('holds none of the manager or the agent, and no path of this machine', () => {
    const text = readFileSync(join(first, 'bellwether.mjs'), 'utf8');
    expect(text).not.toMatch(/@nestjs|typeorm|better-sqlite3|reflect-metadata/);
    expect(text).not.toContain(ROOT);
  });

  it('is the same, byte by byte, when it is built again', () => {
    const sums = (of: string): string => readFileSync(join(of, 'SHA256SUMS'), 'utf8');
    expect(sums(second)).toBe(sums(first));
  });

  it('runs', () => {
    const program = join(first, 'bellwether.mjs');
    const done = spawnSync(process.execPath, [program, '--version'], { encoding: 'utf8' });
    expect([done.status, done.stderr]).toEqual([0, '']);
    expect(done.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
