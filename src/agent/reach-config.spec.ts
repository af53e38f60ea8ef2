import { readFileSync, rmSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeAuthority } from '../../test/support/certificates.js';
import { reachFrom } from './reach-config.js';

const authority = makeAuthority();
const pem = readFileSync(authority.caFile, 'utf8');
afterAll(() => {
  authority.remove();
});

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-reach-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});
const caOf = async (text: string): Promise<string | undefined> => {
  writeFileSync(join(dir, 'ca.pem'), text);
  return (await reachFrom(dir, { manager_ca_file: 'ca.pem' }, {})).ca;
};

describe('how a node reaches its manager', () => {
  it('is told by the configuration and the environment together', async () => {
    const settings = { manager_ca_file: basename(authority.caFile), manager_pins: ['sha256//x'] };
    const env = { HTTPS_PROXY: 'http://proxy.example' };
    expect(await reachFrom(dirname(authority.caFile), settings, env)).toEqual({
      proxy: env,
      ca: pem.trim(),
      pins: ['sha256//x'],
    });
    expect(await reachFrom(dir, {}, {})).toEqual({});
  });

  it('takes several certificates, and nothing that stands between them', async () => {
    const ca = await caOf(`# ours\n${pem}\n# theirs\n${pem}`);
    expect(ca?.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(ca).not.toContain('#');
  });

  it.each([
    ['empty', '', 'holds no certificate in PEM'],
    ['a key', pem.replaceAll('CERTIFICATE', 'PRIVATE KEY'), 'holds no certificate in PEM'],
    ['damaged', pem.replace(/^M.*$/m, 'MIIB'), 'certificate 1 of'],
    ['enormous', 'x'.repeat(1024 * 1024 + 1), 'is larger than'],
  ])('refuses a file of certificates that is %s', async (_what, text, complaint) => {
    const message = expect.stringContaining(complaint) as string;
    await expect(caOf(text)).rejects.toMatchObject({ code: 'config_invalid', message });
  });

  it('refuses one that cannot be read, with its name', async () => {
    await expect(reachFrom(dir, { manager_ca_file: 'none.pem' }, {})).rejects.toMatchObject({
      code: 'config_invalid',
      message: `manager_ca_file: ${join(dir, 'none.pem')} cannot be read (ENOENT)`,
    });
  });

  it.each(['proxy.example:3128', 'socks5://user:secret@proxy.example', 'http://'])(
    'refuses %s as proxy of the environment, and does not show it',
    async (proxy) => {
      const refused = reachFrom(dir, {}, { HTTPS_PROXY: proxy });
      await expect(refused).rejects.toMatchObject({ code: 'config_invalid' });
      await expect(refused).rejects.not.toThrow(/secret/);
      expect(await reachFrom(dir, { https_proxy: '' }, { HTTPS_PROXY: proxy })).toEqual({});
    },
  );
});
