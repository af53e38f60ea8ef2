import { describe, expect, it } from 'vitest';
import { AgentConfig, problemsOf, proxyFrom } from './config.js';

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
