import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { policyDigest, PolicyFile } from './policy-file.js';

let root: string;
let path: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bellwether-policy-'));
  path = join(root, 'policy.toml');
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const write = (text: string, mode = 0o640): void => {
  writeFileSync(path, text);
  chmodSync(path, mode);
};
const problemOf = async (file = new PolicyFile(root)): Promise<string> => {
  const read = await file.read();
  expect(read.ok ? '' : read.error.code).toBe('upgrade_policy_invalid');
  return read.ok ? '' : read.error.message;
};

describe('the policy file', () => {
  it('is read, with its defaults', async () => {
    write('enabled = true\n');
    const read = await new PolicyFile(root).read();
    expect(read.ok && read.value).toMatchObject({ enabled: true, allowed_channels: ['stable'] });
  });

  it('refuses everything when it is missing', async () => {
    expect(await problemOf()).toContain('is missing');
  });

  it('is not followed through a link, and not read when it is no file', async () => {
    const real = join(root, 'real.toml');
    writeFileSync(real, 'enabled = true\n');
    symlinkSync(real, path);
    expect(await problemOf()).toContain('symbolic link');
    rmSync(path);
    mkdirSync(path);
    expect(await problemOf()).toContain('is not a file');
    rmSync(path, { recursive: true });
    execFileSync('mkfifo', [path]);
    expect(await problemOf()).toContain('is not a file');
  });

  it('is refused when others can change it', async () => {
    for (const mode of [0o660, 0o602, 0o666]) {
      write('enabled = true\n', mode);
      expect(await problemOf()).toContain('chmod go-w');
    }
  });

  it('is refused when it is too large, and never read whole', async () => {
    write('');
    truncateSync(path, 3 * 1024 ** 3);
    expect(await problemOf()).toContain('larger than');
  });

  it('says every problem of its content', async () => {
    write('enabled = "yes"\nallowed_chanels = ["beta"]\nthreshold = 0\n');
    const problem = await problemOf();
    for (const field of ['enabled', 'allowed_chanels', 'threshold'])
      expect(problem).toContain(field);
    write('enabled = \n');
    expect(await problemOf()).toContain('Invalid TOML');
    writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00]));
    await problemOf();
  });

  it('is read again when it changes, also when it is exchanged for another, and says so once', async () => {
    const changes: string[] = [];
    const file = new PolicyFile(root, (digest) => changes.push(digest));
    write('enabled = true\n');
    const first = await file.digest();
    await file.read();
    expect(changes).toEqual([]);
    writeFileSync(join(root, 'next'), 'enabled = null\n'.replace('null', 'false'), { mode: 0o640 });
    renameSync(join(root, 'next'), path);
    const read = await file.read();
    expect(read.ok && read.value.enabled).toBe(false);
    await file.read();
    expect(changes).toHaveLength(1);
    expect(changes[0]).not.toBe(first);
    rmSync(path);
    await problemOf(file);
    expect(changes[1]).toBe('invalid');
  });

  it('has one digest for a node, which tells that some policy changed', async () => {
    expect(await policyDigest([])).toBe('');
    write('enabled = true\n');
    const file = new PolicyFile(root);
    const one = await policyDigest([{ service: 'edge', file }]);
    expect(one).toBe(await file.digest());
    const both = [
      { service: 'edge', file },
      { service: 'gateway', file: new PolicyFile(join(root, 'gateway')) },
    ];
    const two = await policyDigest(both);
    expect(two).not.toBe(one);
    write('enabled = false\n');
    expect(await policyDigest(both)).not.toBe(two);
  });
});
