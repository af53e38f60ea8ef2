import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestManager } from '../../../test/support/manager.js';
import { startRolloutManager, type RolloutManager } from '../../../test/support/obedient-node.js';
import type { ObedientNode } from '../../../test/support/obedient-node.js';
import { ASKS_BURST_MAX, FRESH_MS } from './find.js';

const ask = (manager: Pick<RolloutManager, 'call'>, group: string, product = 'edge') =>
  manager.call('releases.find', { query: { product, group } }, null);

describe.each(['sqlite', 'postgres'] as const)('what a new node should install, on %s', (kind) => {
  let manager: RolloutManager;
  let east: string;
  let hall: string;
  let west: string;
  let node: ObedientNode;
  beforeAll(async () => {
    manager = await startRolloutManager({
      kind,
      versions: ['1.0.0', '1.1.0', '1.2.0'],
      // The clock jumps by minutes, and nobody must be missed for it.
      env: { BELLWETHER_FIND: 'on', BELLWETHER_HEARTBEAT_MS: '600000' },
    });
    east = await manager.group('east');
    hall = await manager.group('hall', east);
    west = await manager.group('west');
    node = await manager.join(east, 'e1', { version: '0.9.0' });
    await manager.join(west, 'w1', { version: '0.9.0' });
  }, 60_000);
  afterAll(() => manager.stop());

  const begin = async (group: string, version: string): Promise<string> => {
    const { status, body } = await manager.call('groups.upgrade', {
      params: { id: group },
      body: { version, product: 'edge', strategy: 'immediate', settle_seconds: 0 },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    return body.id;
  };
  const ends = (id: string) =>
    expect
      .poll(async () => (await manager.call('rollouts.show', { params: { id } })).body.status)
      .toBe('complete');
  /** Answers are kept for a minute. */
  const later = (): void => manager.clock.advance(FRESH_MS + 1);

  it('is told when a rollout to the group, or above it, is complete, and not before', async () => {
    expect((await ask(manager, east)).status).toBe(404);
    const id = await begin(east, '1.0.0');
    later();
    expect((await ask(manager, east)).status).toBe(404);
    await node.obey();
    await ends(id);
    later();
    for (const group of [east, hall]) {
      const { status, body } = await ask(manager, group);
      expect([status, body.version, body.channel]).toEqual([200, '1.0.0', 'stable']);
    }
    expect((await ask(manager, west)).status).toBe(404);
    expect((await ask(manager, 'grp_default')).status).toBe(404);
  });

  it('is version, channel, digests and the address of the manifest, and nothing else', async () => {
    later();
    const { body, headers } = await ask(manager, east);
    expect(body).toEqual({
      product: 'edge',
      version: '1.0.0',
      channel: 'stable',
      artifacts: [
        {
          os: 'linux',
          arch: expect.any(String) as string,
          variant: 'default',
          format: 'tar.gz',
          size: expect.any(Number) as number,
          sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        },
      ],
      manifest_url: `${manager.url}/node/v1/releases/edge/1.0.0/stable/manifest.json`,
    });
    expect(headers.get('cache-control')).toBe('public, max-age=60');
    // The address opens nothing by itself.
    expect((await fetch(body.manifest_url)).status).toBe(401);
  });

  it('stays what it was while another version is tried, and when that one fails', async () => {
    const id = await begin(east, '1.1.0');
    later();
    expect((await ask(manager, east)).body.version).toBe('1.0.0');
    await node.obey('upgrade_rolled_back');
    await ends(id);
    later();
    expect((await ask(manager, east)).body.version).toBe('1.0.0');
    await ends(await begin(east, '1.2.0').then(async (next) => (await node.obey(), next)));
    // Kept for a minute, as a cache in front would.
    expect((await ask(manager, east)).body.version).toBe('1.0.0');
    later();
    expect((await ask(manager, east)).body.version).toBe('1.2.0');
  });
});

describe('a stranger', () => {
  it('hears the same of what is not there, what is not proven, and what is switched off', async () => {
    const open = await startTestManager({ BELLWETHER_FIND: 'on' });
    const shut = await startTestManager();
    const answers = await Promise.all([
      ask(open, 'grp_default'),
      ask(open, 'grp_nosuchgroup'),
      ask(open, 'grp_default', 'nosuchproduct'),
      ask(shut, 'grp_default'),
    ]);
    const told = answers.map(({ status, body }) => ({ status, ...body, request_id: '' }));
    expect(new Set(told.map((one) => JSON.stringify(one))).size).toBe(1);
    expect(told[0]?.code).toBe('not_found');
    expect(answers.every(({ headers }) => headers.get('cache-control') === 'no-store')).toBe(true);
    await open.stop();
    await shut.stop();
  });

  it('may ask so often and no more, whatever he asks for', async () => {
    const manager = await startTestManager({ BELLWETHER_FIND: 'on' });
    const statuses: number[] = [];
    for (let index = 0; index < ASKS_BURST_MAX + 20; index += 1) {
      statuses.push((await ask(manager, `grp_guess${index}`)).status);
    }
    expect(statuses).toContain(429);
    expect(statuses.slice(0, 40)).toEqual(Array<number>(40).fill(404));
    manager.clock.advance(10_000);
    expect((await ask(manager, 'grp_default')).status).toBe(404);
    await manager.stop();
  });

  it('whose question has no form is told its form', async () => {
    const manager = await startTestManager({ BELLWETHER_FIND: 'on' });
    for (const query of [{}, { product: '../x', group: 'grp_default' }, { product: 'edge' }]) {
      const { status } = await manager.call('releases.find', { query: query as never }, null);
      expect(status).toBe(400);
    }
    await manager.stop();
  });
});
