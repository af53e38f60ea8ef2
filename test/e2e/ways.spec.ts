import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { enroll } from '../../src/agent/enroll.js';
import {
  HttpFetcher,
  MANAGER_ONLY,
  Link,
  pinOf,
  type LinkOptions,
  type Reach,
  type Way,
} from '../../src/agent/link/index.js';
import { Spool } from '../../src/agent/report/index.js';
import { Links } from '../../src/server/gateway/index.js';
import { makeAuthority, type CertificateFiles } from '../support/certificates.js';
import { makeTempDir } from '../support/databases.js';
import { ConnectProxy, Front } from '../support/detour.js';
import { freePort } from '../support/fleet.js';
import { anEvent } from '../support/link-bench.js';
import { aHost, startTestManager, type TestManager, type TestNode } from '../support/manager.js';

/** Real TLS, real proxies, the real link of an agent and a whole manager; only waits are shorter. */
const HEARTBEAT_MS = 1_000;
const authority = makeAuthority();
const stranger = makeAuthority();
const trusted = getCACertificates('default');
const files: CertificateFiles = authority.issue('DNS:localhost', 'IP:127.0.0.1');
const ca = readFileSync(authority.caFile, 'utf8');
const pin = pinOf(new X509Certificate(readFileSync(files.certFile)).raw);
const WRONG_PIN = `sha256//${'A'.repeat(43)}=`;

let front: Front;
let proxy: ConnectProxy;
let manager: TestManager;
let node: TestNode;
let dir: ReturnType<typeof makeTempDir>;
let spool: Spool;
let link: Link | null;
let way: Way | null;
const ways: string[] = [];
const said: { message: string; fields: Readonly<Record<string, unknown>> }[] = [];

// The specs themselves speak to the manager through its front, too.
beforeAll(() => setDefaultCACertificates([...trusted, ca]));
afterAll(() => {
  setDefaultCACertificates(trusted);
  authority.remove();
  stranger.remove();
});
beforeEach(async () => {
  front = new Front(files);
  await front.start();
  proxy = await new ConnectProxy().start();
  // The specs know where the manager is before it is there.
  const port = await freePort();
  front.upstream = port;
  manager = await startTestManager({
    BELLWETHER_PORT: String(port),
    BELLWETHER_PUBLIC_URL: front.url,
    BELLWETHER_HEARTBEAT_MS: String(HEARTBEAT_MS),
  });
  node = await manager.node();
  dir = makeTempDir();
  spool = await Spool.open(join(dir.path, 'spool'));
  link = null;
  way = null;
  ways.length = 0;
  said.length = 0;
});
afterEach(async () => {
  await link?.stop('shutdown');
  await spool.close();
  await manager.stop();
  await proxy.stop();
  await front.stop();
  dir.remove();
});

function start(reach: Reach = { ca }, change: Partial<LinkOptions> = {}): Link {
  link = new Link({
    manager: front.url,
    reach,
    nodeId: node.id,
    key: node.key,
    spool,
    hello: () =>
      Promise.resolve({
        agent_version: '0.1.0',
        boot_id: 'boot-1',
        host: aHost(),
        services: [],
        capabilities: ['upgrade'],
        policy_digest: '',
      }),
    health: () => Promise.resolve({ services: [], disk_free_bytes: 1 }),
    onCommand: ({ command_id }) => Promise.resolve({ type: 'ack', command_id, result: 'accepted' }),
    onPermit: () => undefined,
    onPermitDenied: () => undefined,
    onWay: (now) => {
      way = now;
      if (now !== null) ways.push(`${now.transport} ${now.origin}`);
    },
    clock: { now: () => Date.now() + 1_000, monotonicMs: () => performance.now() },
    random: Math.random,
    log: (message, fields = {}) => said.push({ message, fields }),
    timing: { reconnectBaseMs: 20, answerTimeoutMs: 1_000, probeBaseMs: 3_600_000 },
    ...change,
  });
  link.start();
  return link;
}

const statusOf = async (): Promise<string> =>
  (await manager.call('nodes.show', { params: { id: node.id } })).body.status;
const goesBy = (transport: string): Promise<void> =>
  expect.poll(() => way?.transport ?? 'none', { timeout: 15_000 }).toBe(transport);
const report = async (...ids: string[]): Promise<void> => {
  await spool.append(ids.map((id) => anEvent(id)));
  link?.pump();
};
const stored = async (): Promise<string[]> => {
  const { body } = await manager.call('events.list', {
    query: { category: 'upgrade', limit: 1_000 },
  });
  return body.items.map((event) => event.message);
};
const connectionEvents = async (): Promise<string[]> => {
  const { body } = await manager.call('events.list', { query: { category: 'connection' } });
  return body.items.map(({ type }) => type);
};

describe('by socket', () => {
  it('through TLS with a certificate of its own authority, pinned, in a tunnel of a proxy', async () => {
    start({ ca, pins: [WRONG_PIN, pin], proxy: { HTTPS_PROXY: proxy.url } });
    await goesBy('socket');
    expect(await statusOf()).toBe('online');
    await report('a', 'b');
    await expect.poll(stored).toEqual(['a', 'b']);
    expect(proxy.tunnels).toEqual([`localhost:${front.port}`]);
    expect(proxy.plain).toEqual([]);
  });

  it('gives the proxy its own credentials', async () => {
    const url = proxy.url.replace('http://', 'http://user:secret@');
    start({ ca, proxy: { HTTPS_PROXY: url } });
    await goesBy('socket');
    const basic = Buffer.from('user:secret').toString('base64');
    expect(proxy.tunnels).toEqual([`localhost:${front.port} Basic ${basic}`]);
  });

  it.each([
    ['localhost', true],
    ['.localhost', true],
    ['*', true],
    ['PORT', true],
    ['example.org', false],
    ['localhost:1', false],
  ])('with NO_PROXY %s: past the proxy is %s', async (NO_PROXY, isPast) => {
    const except = NO_PROXY.replace('PORT', `localhost:${front.port}`);
    start({ ca, proxy: { HTTPS_PROXY: proxy.url, NO_PROXY: except } });
    await goesBy('socket');
    expect(proxy.tunnels).toHaveLength(isPast ? 0 : 1);
  });
});

describe('who answers must prove it', () => {
  const isNeverOnline = async (reach: Reach, change: Partial<LinkOptions> = {}): Promise<void> => {
    start(reach, change);
    await expect
      .poll(() => said.filter(({ message }) => message === 'the link is closed').length, {
        timeout: 10_000,
      })
      .toBeGreaterThan(4);
    expect([ways, await statusOf()]).toEqual([[], 'offline']);
    // Nothing was said to whoever it was, by neither transport.
    expect([front.upgrades, front.requests.filter((one) => one.includes('sync'))]).toEqual([0, []]);
  };
  const codes = (): unknown[] => said.map(({ fields }) => fields['code']);

  it('another key than the pinned one is no manager', async () => {
    await isNeverOnline({ ca, pins: [WRONG_PIN] });
    expect(codes()).toContain('manager_pin_mismatch');
  });

  it('nor behind a proxy', async () => {
    await isNeverOnline({ ca, pins: [WRONG_PIN], proxy: { HTTPS_PROXY: proxy.url } });
    expect(codes()).toContain('manager_pin_mismatch');
    expect(proxy.tunnels.length).toBeGreaterThan(4);
  });

  it('a certificate of another authority is none, whomever the machine trusts', async () => {
    await isNeverOnline({ ca: readFileSync(stranger.caFile, 'utf8'), pins: [pin] });
  });

  it('a proxy that looks into TLS is none when the key is pinned', async () => {
    const inspector = new Front(authority.issue('DNS:localhost'));
    inspector.upstream = front.upstream;
    await inspector.start();
    proxy.inspector = inspector;
    await isNeverOnline({ ca, pins: [pin], proxy: { HTTPS_PROXY: proxy.url } });
    expect([inspector.upgrades, inspector.requests]).toEqual([0, []]);
    await inspector.stop();
  });

  it('by polls as well', async () => {
    await isNeverOnline({ ca, pins: [WRONG_PIN] }, { transport: 'poll' });
    expect(codes()).toContain('manager_pin_mismatch');
  });
});

describe('enrollment and downloads go the same way', () => {
  const enrolling = async (reach: Reach) => {
    const { body } = await manager.call('enrollment.create', { body: { group_id: 'grp_default' } });
    const wanted = { manager: front.url, token: body.secret, name: 'edge-02', labels: {} };
    const into = join(dir.path, 'etc');
    return enroll({ ...wanted, dir: into, allowPlaintext: false, reach });
  };
  const downloading = (reach: Reach, managerOrigin = front.url): Promise<unknown> =>
    new HttpFetcher({
      manager: front.url,
      nodeId: node.id,
      key: node.key,
      allowPlaintext: false,
      delivery: () => Promise.resolve(MANAGER_ONLY),
      reach,
      managerOrigin: () => managerOrigin,
      now: () => Date.now() + 1_000,
    }).fetchDocument({
      name: { kind: 'channel', product: 'edge', channel: 'stable' },
      sources: [],
      signal: new AbortController().signal,
    });

  it('through the proxy, with authority and pin', async () => {
    const reach = { ca, pins: [pin], proxy: { HTTPS_PROXY: proxy.url } };
    expect((await enrolling(reach)).name).toBe('edge-02');
    expect(await downloading(reach)).toBeNull();
    expect(proxy.tunnels).toEqual([`localhost:${front.port}`, `localhost:${front.port}`]);
  });

  it('and tell nothing to somebody with another key', async () => {
    const before = front.requests.length;
    const reach = { ca, pins: [WRONG_PIN] };
    const refused = enrolling(reach);
    await expect(refused).rejects.toMatchObject({ code: 'manager_pin_mismatch' });
    expect(existsSync(join(dir.path, 'etc'))).toBe(false);
    // As much as a line that is down: the next try may meet the manager.
    await expect(downloading(reach)).rejects.toMatchObject({
      code: 'upgrade_network_error',
      message: expect.stringContaining('is not one of manager_pins') as string,
    });
    const told = front.requests.slice(before).filter((one) => !one.includes('/api/'));
    expect(told).toEqual([]);
  });

  it('to the address that works, with tokens for the name of the manager', async () => {
    const second = new Front(files);
    second.upstream = front.upstream;
    await second.start();
    expect(await downloading({ ca, pins: [pin] }, second.url)).toBeNull();
    expect(second.requests).toEqual(['GET /node/v1/channels/edge/stable']);
    await second.stop();
  });
});

describe('where a socket does not work', () => {
  it.each(['refuse', 'hang', 'swallow'] as const)(
    'an Upgrade that a proxy answers with %s makes the node poll, and it misses nothing',
    async (onUpgrade) => {
      const inspector = new Front(authority.issue('DNS:localhost'));
      inspector.upstream = front.upstream;
      inspector.onUpgrade = onUpgrade;
      await inspector.start();
      proxy.inspector = inspector;
      await spool.append([anEvent('before')]);
      start({ ca, proxy: { HTTPS_PROXY: proxy.url } });
      await goesBy('poll');
      expect(inspector.upgrades).toBe(3);
      expect(await statusOf()).toBe('online');
      await report('a', 'b');
      await expect.poll(stored).toEqual(['before', 'a', 'b']);
      expect(proxy.plain).toEqual([]);
      await link?.stop('shutdown');
      await expect.poll(statusOf).toBe('offline');
      await inspector.stop();
    },
    20_000,
  );

  it('a manager that says no itself is asked again by socket', async () => {
    await manager.call('nodes.revoke', { params: { id: node.id } });
    start();
    const refusals = () => said.filter(({ message }) => message === 'the manager refused the link');
    await expect.poll(() => refusals().length, { timeout: 10_000 }).toBeGreaterThan(4);
    expect(front.requests.filter((one) => one.includes('sync'))).toEqual([]);
  });

  it('one that is cut again and again gives way to polls', async () => {
    front.cutAfterMs = 300;
    start();
    await goesBy('poll');
    expect(ways).toEqual([
      `socket ${front.url}`,
      `socket ${front.url}`,
      `socket ${front.url}`,
      `poll ${front.url}`,
    ]);
    await report('a');
    await expect.poll(stored).toEqual(['a']);
  }, 20_000);

  it('goes back to the socket by itself, without having been away', async () => {
    front.onUpgrade = 'refuse';
    const timing = { reconnectBaseMs: 20, answerTimeoutMs: 1_000, probeBaseMs: 300 };
    start({ ca }, { timing });
    await goesBy('poll');
    // Looked, and found nothing better: that costs nothing.
    await expect.poll(() => front.upgrades, { timeout: 5_000 }).toBeGreaterThan(3);
    expect(way?.transport).toBe('poll');
    let count = 0;
    const reporting = setInterval(() => void report(`${(count += 1)}`), 20);
    front.onUpgrade = 'pass';
    await goesBy('socket');
    clearInterval(reporting);
    await expect.poll(stored).toEqual(Array.from({ length: count }, (_, index) => `${index + 1}`));
    expect(await connectionEvents()).toEqual(['node_connected', 'node_transport_changed']);
    expect(manager.manager.app.get(Links).count()).toBe(1);
  }, 20_000);

  it('a poll outlives requests that fail, and says everything once', async () => {
    start({ ca }, { transport: 'poll' });
    await goesBy('poll');
    await report('a');
    for (let round = 0; round < 6; round += 1) {
      front.cutAll();
      front.isDown = round % 2 === 0;
      await report(`${round}`);
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    front.isDown = false;
    await expect.poll(stored, { timeout: 10_000 }).toEqual(['a', '0', '1', '2', '3', '4', '5']);
    expect(await connectionEvents()).toEqual(['node_connected']);
  }, 20_000);
});

describe('several addresses of one manager', () => {
  it('the next one when the first is dead, and the first again when it lives', async () => {
    const first = new Front(files);
    await first.start();
    const dead = first.url;
    await first.stop();
    const timing = { reconnectBaseMs: 20, answerTimeoutMs: 1_000, probeBaseMs: 300 };
    start({ ca }, { managerUrls: [dead, front.url], timing });
    await goesBy('socket');
    expect(way?.origin).toBe(front.url);
    expect(link?.origin).toBe(front.url);
    await report('a');
    await expect.poll(stored).toEqual(['a']);
  });

  it('goes back to the first when it lives again, and over to the next when it dies', async () => {
    const second = new Front(files);
    second.upstream = front.upstream;
    await second.start();
    // The first address is there, but for nothing.
    front.onUpgrade = 'refuse';
    front.isDown = true;
    const timing = { reconnectBaseMs: 20, answerTimeoutMs: 1_000, probeBaseMs: 300 };
    const direct = `http://127.0.0.1:${front.upstream}`;
    const status = async (): Promise<string> => {
      const { id } = node;
      const headers = { authorization: `Bearer ${manager.admin}` };
      const response = await fetch(`${direct}/api/v1/nodes/${id}`, { headers });
      return ((await response.json()) as { status: string }).status;
    };
    start({ ca }, { managerUrls: [front.url, second.url], timing });
    await expect.poll(() => way?.origin, { timeout: 10_000 }).toBe(second.url);
    expect(await status()).toBe('online');
    front.onUpgrade = 'pass';
    front.isDown = false;
    await expect.poll(() => way?.origin, { timeout: 10_000 }).toBe(front.url);
    front.onUpgrade = 'refuse';
    front.isDown = true;
    front.cutAll();
    await expect.poll(() => way?.origin, { timeout: 10_000 }).toBe(second.url);
    expect(await status()).toBe('online');
    await link?.stop('shutdown');
    await second.stop();
    front.isDown = false;
  }, 30_000);
});
