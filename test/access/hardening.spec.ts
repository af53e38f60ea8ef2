import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { LINK_PATH, SUBPROTOCOL } from '../../src/protocol/node/index.js';
import { startManager } from '../../src/server/manager.js';
import { loadConfig } from '../../src/server/platform/index.js';
import { parseRanges } from '../../src/server/platform/config/index.js';
import { TrustedProxies } from '../../src/server/platform/http/index.js';
import { makeAuthority } from '../support/certificates.js';
import { makeTempDir, silentLog } from '../support/databases.js';
import { makeClock, startTestManager, type TestManager } from '../support/manager.js';

describe('the address of a caller', () => {
  const proxies = new TrustedProxies(parseRanges('10.0.0.0/8, fd00::/8,127.0.0.1') ?? []);

  it('is the peer itself, whatever it writes, unless that is a trusted proxy', () => {
    expect(proxies.addressOf('203.0.113.9', '1.2.3.4')).toBe('203.0.113.9');
    expect(proxies.addressOf('::ffff:203.0.113.9', '1.2.3.4')).toBe('203.0.113.9');
    expect(new TrustedProxies([]).addressOf('10.0.0.1', '1.2.3.4')).toBe('10.0.0.1');
  });

  it('is the last one that no trusted proxy wrote about itself', () => {
    expect(proxies.addressOf('10.0.0.1', '6.6.6.6, 203.0.113.9, 10.2.3.4')).toBe('203.0.113.9');
    expect(proxies.addressOf('fd00::1', '203.0.113.9')).toBe('203.0.113.9');
    expect(proxies.addressOf('::ffff:10.0.0.1', ['6.6.6.6', '203.0.113.9'])).toBe('203.0.113.9');
    expect(proxies.addressOf('10.0.0.1', '10.0.0.2')).toBe('10.0.0.2');
  });

  it('does not follow what is no address', () => {
    for (const bad of ['', 'unknown', "'; DROP TABLE nodes; --", '1.2.3.4\r\nx: y', '1.2.3.4:80']) {
      expect(proxies.addressOf('10.0.0.1', `6.6.6.6, ${bad}`)).toBe('10.0.0.1');
    }
    expect(proxies.addressOf('10.0.0.1', `${'10.0.0.1,'.repeat(100_000)}10.0.0.1`)).toBe(
      '10.0.0.1',
    );
  });

  it('is configured by ranges that are some', () => {
    for (const bad of ['', 'x', '10.0.0.0/33', '10.0.0/8', 'fd00::/129', '10.0.0.1,,', '/8']) {
      expect(parseRanges(bad)).toBeNull();
    }
  });
});

describe('a manager on its own', () => {
  let manager: TestManager;
  beforeAll(async () => {
    manager = await startTestManager({
      BELLWETHER_TRUSTED_PROXIES: '127.0.0.1,::1',
      BELLWETHER_REQUESTS_PER_MINUTE: '60',
    });
  });
  afterAll(() => manager.stop());
  const port = (): number => Number(new URL(manager.url).port);
  const open = async (): Promise<Socket> => {
    const socket = connect(port(), '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  };
  const answerOf = async (socket: Socket): Promise<string> => {
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    await once(socket, 'close');
    return text;
  };

  it('answers with headers that let no browser run, frame or sniff anything', async () => {
    for (const path of ['/healthz', '/api/v1/nodes', '/nowhere']) {
      const { headers } = await fetch(manager.url + path);
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none'; frame-ancestors 'none'",
      );
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-frame-options')).toBe('DENY');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
      expect(headers.get('x-powered-by')).toBeNull();
      expect(headers.get('access-control-allow-origin')).toBeNull();
    }
  });

  it('believes a trusted proxy about who calls, in the audit log and for its limits', async () => {
    const knock = (from: string) =>
      fetch(`${manager.url}/api/v1/nodes`, {
        headers: { authorization: 'Bearer wrong', 'x-forwarded-for': `6.6.6.6, ${from}` },
      });
    for (let i = 0; i < 21; i += 1) await knock('203.0.113.7');
    expect((await knock('203.0.113.7')).status).toBe(429);
    expect((await knock('203.0.113.8')).status).toBe(401);
    const link = new WebSocket(manager.url.replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
      headers: { authorization: 'Bearer wrong', 'x-forwarded-for': '203.0.113.9' },
    });
    const [, refused] = (await once(link, 'unexpected-response')) as [
      unknown,
      { statusCode: number },
    ];
    expect(refused.statusCode).toBe(401);
    link.on('error', () => undefined);
    link.terminate();
    const query = { action: 'auth.refused' as const, limit: 100 };
    const { body } = await manager.call('audit.list', { query });
    const addresses = new Set(body.items.map((entry) => entry.ip));
    expect(addresses).toEqual(new Set(['203.0.113.7', '203.0.113.8', '203.0.113.9']));
  });

  it('tells each token how fast it may call, and stops it there, and nobody else', async () => {
    const secret = await manager.token('release');
    const other = await manager.token('release');
    const first = await manager.call('releases.list', {}, secret);
    expect(first.headers.get('ratelimit-policy')).toBe('"token";q=60;w=60');
    expect(first.headers.get('ratelimit')).toBe('"token";r=59;t=1');
    let last = first;
    for (let i = 0; i < 70 && last.status === 200; i += 1) {
      last = await manager.call('releases.list', {}, secret);
    }
    expect([last.status, last.body.code]).toEqual([429, 'rate_limited']);
    expect(last.headers.get('retry-after')).toBe('1');
    expect(last.headers.get('ratelimit')).toMatch(/^"token";r=0;t=\d+$/);
    expect((await manager.call('releases.list', {}, other)).status).toBe(200);
    manager.clock.advance(2_000);
    expect((await manager.call('releases.list', {}, secret)).status).toBe(200);
  });

  it('hangs up on whoever trickles its headers', async () => {
    const socket = await open();
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n');
    const drip = setInterval(() => socket.write('x-a: b\r\n'), 500);
    const text = await answerOf(socket);
    clearInterval(drip);
    expect(text).toContain('408');
  });

  it('answers whoever trickles a body, and hangs up', async () => {
    const socket = await open();
    socket.write(
      'POST /api/v1/setup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{',
    );
    const drip = setInterval(() => socket.write(' '), 500);
    const text = await answerOf(socket);
    clearInterval(drip);
    expect(text).toContain('HTTP/1.1 408');
    expect(text).toContain('request_too_slow');
  });

  it('takes hostile text as text: in SQL, in log lines, in ids of other kinds', async () => {
    const hostile = [
      "' OR '1'='1",
      "'; DROP TABLE node_groups; --",
      'a\u0000b',
      'line\nbreak {"level":60,"msg":"forged"}',
      '${jndi:ldap://x}',
      '../../etc/passwd',
      '%',
      '\u202egnp.exe',
    ];
    for (const text of hostile) {
      manager.clock.advance(10_000);
      const shown = await manager.call('nodes.show', { params: { id: text } });
      expect([400, 404]).toContain(shown.status);
      const listed = await manager.call('nodes.list', { query: { group_id: text } });
      expect([400, 404]).toContain(listed.status);
      const events = await manager.call('events.list', { query: { category: text } });
      expect([200, 400]).toContain(events.status);
      if (events.status === 200) expect(events.body.items).toEqual([]);
    }
    expect((await manager.call('groups.list')).body.items.length).toBeGreaterThan(0);
  });
});

describe('TLS in the manager itself', () => {
  it('takes new certificate files over without a restart, and no broken ones', async () => {
    const authority = makeAuthority();
    const dir = makeTempDir();
    const files = { certFile: join(dir.path, 'tls.pem'), keyFile: join(dir.path, 'tls.key') };
    const put = (from: typeof files): void => {
      copyFileSync(from.keyFile, files.keyFile);
      copyFileSync(from.certFile, files.certFile);
    };
    const [first, second] = [authority.issue('DNS:localhost'), authority.issue('DNS:localhost')];
    put(first);
    const config = loadConfig({
      BELLWETHER_DATA_DIR: join(dir.path, 'data'),
      BELLWETHER_PORT: '0',
      BELLWETHER_TLS_CERT_FILE: files.certFile,
      BELLWETHER_TLS_KEY_FILE: files.keyFile,
    });
    const manager = await startManager({ config, log: silentLog, clock: makeClock() });
    const ca = readFileSync(authority.caFile);
    const { port } = new URL(manager.config.publicUrl);
    const options = { host: '127.0.0.1', port: Number(port), servername: 'localhost', ca };
    const serial = async (): Promise<string> => {
      const socket = connectTls(options);
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    try {
      expect(manager.config.publicUrl).toMatch(/^https:/);
      const answer = request({ ...options, path: '/healthz', agent: false }).end();
      const [response] = (await once(answer, 'response')) as [
        { statusCode: number; headers: object },
      ];
      expect(response.statusCode).toBe(200);
      expect(response.headers).toHaveProperty('strict-transport-security');
      answer.destroy();
      const before = await serial();
      // Half of a pair, as it stands between two writes: the old one goes on.
      writeFileSync(files.certFile, readFileSync(second.certFile));
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      expect(await serial()).toBe(before);
      put(second);
      await expect.poll(serial, { timeout: 20_000 }).not.toBe(before);
    } finally {
      await manager.stop();
      authority.remove();
      dir.remove();
    }
  });

  it('does not start with files that do not fit, and says which', () => {
    expect(() => loadConfig({ BELLWETHER_TLS_CERT_FILE: '/x.pem' })).toThrow(
      /BELLWETHER_TLS_KEY_FILE/,
    );
  });
});
