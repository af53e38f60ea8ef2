import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentConfig, problemsOf, proxyFrom, readConfig } from './config.js';

const PROXY = 'http://proxy.example:3128';
const PIN = `sha256//${'A'.repeat(43)}=`;

describe('the proxy', () => {
  it.each([
    ['nothing', {}, {}, undefined],
    ['the environment', {}, { HTTPS_PROXY: PROXY }, { HTTPS_PROXY: PROXY }],
    ['its small spelling', {}, { https_proxy: PROXY }, { HTTPS_PROXY: PROXY }],
    ['an empty variable', {}, { HTTPS_PROXY: '' }, undefined],
    [
      'the configuration, before it',
      { https_proxy: 'http://other.example' },
      { HTTPS_PROXY: PROXY },
      { HTTPS_PROXY: 'http://other.example' },
    ],
    ['the configuration, which wants none', { https_proxy: '' }, { HTTPS_PROXY: PROXY }, undefined],
    [
      'the exceptions of the environment',
      {},
      { HTTPS_PROXY: PROXY, no_proxy: 'a.example' },
      { HTTPS_PROXY: PROXY, NO_PROXY: 'a.example' },
    ],
    [
      'the exceptions of the configuration, before them',
      { no_proxy: '' },
      { HTTPS_PROXY: PROXY, NO_PROXY: 'a.example' },
      { HTTPS_PROXY: PROXY, NO_PROXY: '' },
    ],
    ['never one for plain http', {}, { HTTP_PROXY: PROXY, ALL_PROXY: PROXY }, undefined],
  ])('is that of %s', (_what, config, env, proxy) => {
    expect(proxyFrom(config, env)).toEqual(proxy);
  });
});

describe('the way to the manager in agent.toml', () => {
  const problems = (given: object): string => {
    const parsed = AgentConfig.safeParse({ manager: 'https://m.example', ...given });
    return parsed.success ? '' : problemsOf(parsed.error);
  };

  it('may hold all of it', () => {
    const whole = {
      manager_urls: ['https://a.example:8443', 'https://b.example'],
      transport: 'poll',
      manager_ca_file: 'ca.pem',
      manager_pins: [PIN],
      https_proxy: 'http://user:secret@proxy.example:3128',
      no_proxy: '.example.org',
    };
    expect(problems(whole)).toBe('');
    expect(AgentConfig.parse({ manager: 'https://m.example' }).transport).toBe('auto');
  });

  it.each([
    [{ manager_urls: [] }, 'manager_urls'],
    [{ manager_urls: Array<string>(9).fill('https://m.example') }, 'manager_urls'],
    [{ manager_urls: ['https://m.example', 'http://m.example'] }, 'manager_urls.1: '],
    [{ manager_urls: ['https://user:secret@m.example'] }, 'manager_urls.0: '],
    [{ transport: 'pigeon' }, 'transport: '],
    [{ manager_pins: ['sha256//short'] }, 'manager_pins.0: write sha256//'],
    [{ manager_pins: [] }, 'manager_pins'],
    [{ manager_pins: Array<string>(9).fill(PIN) }, 'manager_pins'],
    [{ manager_ca_file: '' }, 'manager_ca_file'],
    [{ https_proxy: 'socks5://proxy.example' }, 'https_proxy'],
    [
      { manager: 'http://127.0.0.1:8480', manager_pins: [PIN] },
      'manager_pins: only https proves who answers',
    ],
    [
      { manager_urls: ['http://127.0.0.1:1'], manager_ca_file: 'ca.pem' },
      'manager_ca_file: only https proves who answers',
    ],
  ])('%j is refused at its field', (given, start) => {
    expect(problems(given)).toContain(start);
  });

  it('says nothing of a password', () => {
    expect(problems({ manager_urls: ['https://user:secret@m.example'] })).not.toContain('secret');
  });
});

describe('agent.toml as a file', () => {
  let dir: string;
  let file: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'bellwether-config-'));
    file = join(dir, 'agent.toml');
    writeFileSync(file, 'manager = "https://m.example"\n', { mode: 0o640 });
  });
  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  it('is read when only its owner can write it', async () => {
    expect((await readConfig(dir)).manager).toBe('https://m.example');
    chmodSync(file, 0o644);
    expect((await readConfig(dir)).manager).toBe('https://m.example');
  });

  it.each<[string, () => void, string]>([
    ['its group can write', () => chmodSync(file, 0o660), 'can be changed by others (chmod go-w)'],
    ['everybody can write', () => chmodSync(file, 0o646), 'can be changed by others (chmod go-w)'],
    [
      'is a link',
      () => {
        renameSync(file, `${file}.real`);
        symlinkSync(`${file}.real`, file);
      },
      'is a symbolic link',
    ],
    [
      'is a folder',
      () => {
        rmSync(file);
        mkdirSync(file);
      },
      'is not a file',
    ],
    [
      'is no text',
      () => writeFileSync(file, Buffer.from([0x66, 0xff])),
      'encoded data was not valid',
    ],
    ['is too large', () => writeFileSync(file, ' '.repeat(1024 * 1024 + 1)), 'is larger than'],
    ['is missing', () => rmSync(file), 'is missing; run `bellwether-agent enroll` first'],
  ])('is refused when it %s', async (_what, change, message) => {
    change();
    await expect(readConfig(dir)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(new RegExp(`^${file}:? `)) as string,
    });
    await expect(readConfig(dir)).rejects.toThrow(message);
  });

  it.runIf(process.getuid?.() === 0)('is refused when it belongs to somebody else', async () => {
    chownSync(file, 12_345, 12_345);
    await expect(readConfig(dir)).rejects.toThrow('belongs to somebody else (chown root)');
  });
});
