import { X509Certificate } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pinOf } from '../../src/agent/link/index.js';
import { Links } from '../../src/server/gateway/index.js';
import { buildPrograms } from '../support/built.js';
import { makeAuthority } from '../support/certificates.js';
import { makeTempDir } from '../support/databases.js';
import { ConnectProxy, Front } from '../support/detour.js';
import {
  eventually,
  freePort,
  makeSigningKey,
  publish,
  startAgent,
  type SigningKey,
  type TestAgent,
} from '../support/fleet.js';
import { startTestManager, type TestManager } from '../support/manager.js';

/**
 * Real agents as processes behind a real proxy that looks into TLS and lets no Upgrade through, and
 * one with a straight line: one rollout for all of them.
 */
describe('nodes behind a proxy take part in rollouts as all others do', () => {
  const trusted = getCACertificates('default');
  const authority = makeAuthority();
  const dir = makeTempDir();
  const files = authority.issue('DNS:localhost');
  const pin = pinOf(new X509Certificate(readFileSync(files.certFile)).raw);
  const front = new Front(files);
  const inspector = new Front(files);
  const proxy = new ConnectProxy();
  const agents: TestAgent[] = [];
  let manager: TestManager;
  let key: SigningKey;
  let programs: ReturnType<typeof buildPrograms>;

  beforeAll(async () => {
    setDefaultCACertificates([...trusted, readFileSync(authority.caFile, 'utf8')]);
    programs = buildPrograms();
    await front.start();
    await inspector.start();
    await proxy.start();
    proxy.inspector = inspector;
    inspector.onUpgrade = 'refuse';
    const port = await freePort();
    front.upstream = port;
    inspector.upstream = port;
    manager = await startTestManager({
      BELLWETHER_PORT: String(port),
      BELLWETHER_PUBLIC_URL: front.url,
      BELLWETHER_PERMIT_LEASE_MS: '2000',
    });
    key = makeSigningKey();
    for (let index = 0; index < 3; index += 1) {
      const ca = ['--manager-ca-file', authority.caFile];
      const behind = ['--manager-pin', pin, '--https-proxy', proxy.url];
      const isBehind = index > 0;
      agents.push(
        await startAgent({
          manager,
          programs: programs.path,
          folder: dir.path,
          name: `edge-0${index + 1}`,
          publicKey: key.publicKey,
          // Three services of Node start at once: on a busy machine that takes its time.
          windowSecs: 6,
          enrollOptions: isBehind ? [...ca, ...behind] : ca,
          settings: [
            `manager_ca_file = "${authority.caFile}"`,
            ...(isBehind ? [`manager_pins = ["${pin}"]`, `https_proxy = "${proxy.url}"`] : []),
          ],
        }),
      );
    }
  }, 120_000);

  afterAll(async () => {
    for (const agent of agents) await agent.stop();
    await manager.stop();
    await proxy.stop();
    await inspector.stop();
    await front.stop();
    setDefaultCACertificates(trusted);
    authority.remove();
    programs.remove();
    dir.remove();
  }, 60_000);

  const transports = () => {
    const links = manager.manager.app.get(Links);
    return agents.map(({ nodeId }) => links.transportOf(nodeId));
  };
  const versions = () => Promise.all(agents.map((agent) => agent.version()));
  const upgrade = async (version: string, strategy: 'staged' | 'immediate'): Promise<string> => {
    const { status, body } = await manager.call('groups.upgrade', {
      params: { id: 'grp_default' },
      body: { version, product: 'edge', strategy, settle_seconds: 0, wave_percents: [30, 100] },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    return body.id;
  };
  const reaches = (id: string, wanted: { status: string; reason?: string }): Promise<void> =>
    eventually(async () => {
      const { body } = await manager.call('rollouts.show', { params: { id } });
      expect(body).toMatchObject(wanted);
    }, 60_000);

  it('they come by polls, by themselves', async () => {
    expect(proxy.tunnels.length).toBeGreaterThanOrEqual(2);
    await eventually(() => {
      expect(transports()).toEqual(['socket', 'poll', 'poll']);
      return Promise.resolve();
    });
    expect(inspector.upgrades).toBeGreaterThanOrEqual(6);
  }, 60_000);

  it('a version is installed on all, and the next one goes through its waves', async () => {
    await publish(manager, { folder: dir.path, version: '1.0.0', sequence: 1, key });
    await reaches(await upgrade('1.0.0', 'immediate'), { status: 'complete', reason: 'complete' });
    expect(await versions()).toEqual(['1.0.0', '1.0.0', '1.0.0']);
    await publish(manager, { folder: dir.path, version: '1.1.0', sequence: 2, key });
    await reaches(await upgrade('1.1.0', 'staged'), { status: 'complete', reason: 'complete' });
    expect(await versions()).toEqual(['1.1.0', '1.1.0', '1.1.0']);
    // Artifacts came through the same proxy.
    expect(inspector.requests.some((one) => one.includes('/node/v1/blobs/'))).toBe(true);
    expect(proxy.plain).toEqual([]);
  }, 120_000);

  it('an ill one is turned back by a polling node, which tells why', async () => {
    const bad = { folder: dir.path, version: '1.2.0', sequence: 3, healthy: false, key };
    await publish(manager, bad);
    const { body } = await manager.call('nodes.upgrade', {
      params: { id: agents[1]?.nodeId ?? '' },
      body: { version: '1.2.0' },
    });
    await reaches(body.id, { status: 'complete', reason: 'complete_with_failures' });
    const targets = await manager.call('rollouts.targets', { params: { id: body.id } });
    expect(targets.body.items.map((one) => [one.state, one.error_code])).toEqual([
      ['rolled_back', 'upgrade_unhealthy'],
    ]);
    await eventually(async () => {
      expect(await versions()).toEqual(['1.1.0', '1.1.0', '1.1.0']);
    });
  }, 90_000);

  it('their events are whole: no number twice, none missing, none lost', async () => {
    const { body } = await manager.call('events.list', { query: { limit: 1000 } });
    expect(body.items.map((event) => event.id)).toEqual(body.items.map((_, index) => index + 1));
    expect(body.items.filter(({ type }) => type === 'events_lost')).toEqual([]);
    for (const { nodeId } of agents) {
      const own = body.items.filter((event) => event.node_id === nodeId);
      const types = own.map(({ type }) => type);
      expect(types.filter((type) => type === 'upgrade_completed')).toHaveLength(2);
      expect(types.filter((type) => type === 'node_disconnected')).toEqual([]);
    }
  });

  it('when the proxy lets sockets through, a restarted agent comes by socket again', async () => {
    inspector.onUpgrade = 'pass';
    await agents[2]?.kill();
    agents[2]?.start();
    await eventually(() => {
      expect(transports()).toEqual(['socket', 'poll', 'socket']);
      return Promise.resolve();
    });
  }, 60_000);

  it.each([
    ['manager_pins', [`manager_pins = ["sha256//short"]`], /manager_pins\.0: write sha256\/\//],
    ['manager_ca_file', ['manager_ca_file = "/nonexistent/ca.pem"'], /cannot be read \(ENOENT\)/],
    ['manager_urls', ['manager_urls = ["http://far.example"]'], /manager_urls\.0: .*use https/],
    ['transport', ['transport = "pigeon"'], /transport: Invalid option/],
  ])('a wrong %s is told before anything starts', (_what, settings, complaint) => {
    const folder = makeTempDir();
    writeFileSync(
      join(folder.path, 'agent.toml'),
      [`manager = "${front.url}"`, ...settings].join('\n'),
    );
    const program = join(programs.path, 'agent', 'main.js');
    const ran = spawnSync(process.execPath, [program, 'run', '--dir', folder.path], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    folder.remove();
    expect([ran.status, ran.stderr]).toEqual([78, expect.stringMatching(complaint)]);
  });
});
