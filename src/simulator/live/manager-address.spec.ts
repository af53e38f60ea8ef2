import { describe, expect, it } from 'vitest';
import { judgeAddress } from './manager-address.js';

describe('where load may go', () => {
  it.each(['http://127.0.0.1:8480', 'http://127.1.2.3', 'http://[::1]:8480', 'http://localhost:1'])(
    'goes to this machine: %s',
    (url) => {
      expect(judgeAddress(url, null).origin).toBe(new URL(url).origin);
    },
  );

  it.each([
    'https://manager.example',
    'https://127.0.0.1.example',
    'https://10.0.0.1',
    'https://localhost.example',
  ])('asks for the name of any other host: %s', (url) => {
    const { hostname } = new URL(url);
    expect(() => judgeAddress(url, null)).toThrow(`--i-operate ${hostname}`);
    expect(() => judgeAddress(url, 'example')).toThrow('--i-operate');
    expect(judgeAddress(url, hostname).hostname).toBe(hostname);
  });

  it('sends no token to another machine without TLS', () => {
    expect(() => judgeAddress('http://manager.example', 'manager.example')).toThrow('TLS');
  });

  it.each(['', 'manager', 'ftp://127.0.0.1'])('refuses what is no address: %j', (url) => {
    expect(() => judgeAddress(url, null)).toThrow('give an address');
  });
});
