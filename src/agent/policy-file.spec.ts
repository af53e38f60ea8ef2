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
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { changed } from '../../test/support/json.js';
import { RELEASE_SIGNER, Sigstore } from '../../test/support/sigstore.js';
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

describe('the trusted root beside it', () => {
  let sigstore: Sigstore;
  beforeAll(async () => {
    sigstore = await Sigstore.make();
  });
  const rootPath = (): string => join(root, 'trusted_root.json');
  const writeRoot = (text: string, mode = 0o640): void => {
    writeFileSync(rootPath(), text);
    chmodSync(rootPath(), mode);
  };
  const KEYLESS = [
    'enabled = true',
    '[[signers]]',
    ...Object.entries(RELEASE_SIGNER).map(([key, value]) => `${key} = "${value}"`),
  ].join('\n');
  const refusalOf = async (): Promise<string> => {
    const file = new PolicyFile(root);
    const read = await file.read();
    expect(await file.trust()).toBeNull();
    expect(await file.digest()).toBe('invalid');
    expect(read.ok ? '' : read.error.code).toBe('upgrade_trusted_root_invalid');
    return read.ok ? '' : read.error.message;
  };

  it('is asked for only by a policy that lists Sigstore signers', async () => {
    write('enabled = true\n');
    writeRoot('junk', 0o666);
    const file = new PolicyFile(root);
    expect((await file.read()).ok).toBe(true);
    expect(await file.trust()).toBeNull();
  });

  it('goes with the policy, and its change is told', async () => {
    write(KEYLESS);
    writeRoot(sigstore.rootText);
    const changes: string[] = [];
    const file = new PolicyFile(root, (digest) => changes.push(digest));
    expect((await file.read()).ok).toBe(true);
    expect(await file.trust()).not.toBeNull();
    const before = await file.digest();
    writeRoot(`${sigstore.rootText}\n`);
    expect(await file.digest()).not.toBe(before);
    expect(changes).toHaveLength(1);
    rmSync(rootPath());
    expect((await file.read()).ok).toBe(false);
    expect(changes).toHaveLength(2);
  });

  it('is read with the same guards as the policy', async () => {
    write(KEYLESS);
    expect(await refusalOf()).toContain('is missing');
    for (const mode of [0o660, 0o602, 0o666]) {
      writeRoot(sigstore.rootText, mode);
      expect(await refusalOf()).toContain('chmod go-w');
    }
    rmSync(rootPath());
    writeFileSync(join(root, 'real.json'), sigstore.rootText);
    symlinkSync(join(root, 'real.json'), rootPath());
    expect(await refusalOf()).toContain('symbolic link');
    rmSync(rootPath());
    writeRoot('');
    truncateSync(rootPath(), 3 * 1024 ** 3);
    expect(await refusalOf()).toContain('larger than');
  });

  it('is refused for its content, with the place', async () => {
    write(KEYLESS);
    const spoilt = changed(sigstore.root, 'tlogs.0.publicKey.validFor.start');
    writeRoot(JSON.stringify(spoilt));
    expect(await refusalOf()).toContain('tlogs.0.publicKey.validFor.start');
  });
});
