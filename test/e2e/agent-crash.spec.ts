import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FAULT_POINTS, type FaultPoint } from '../../src/agent/updater/index.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import {
  eventually,
  makeSigningKey,
  publish,
  startAgent,
  type SigningKey,
  type TestAgent,
} from '../support/fleet.js';
import { startTestManager, type TestManager } from '../support/manager.js';

/** Points that only a release that fails its probation passes. */
const ON_THE_WAY_BACK: readonly FaultPoint[] = [
  'after-state-rolling-back',
  'after-rollback-link',
  'after-state-rolled-back',
];

describe('an agent that is killed at each step of an update', () => {
  let manager: TestManager;
  let key: SigningKey;
  let programs: ReturnType<typeof buildPrograms>;
  let agent: TestAgent;
  let minor = 0;
  let good = '1.0.0';
  const dir = makeTempDir();

  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startTestManager({ BELLWETHER_PERMIT_LEASE_MS: '1000' });
    key = makeSigningKey();
    const { publicKey } = key;
    const folder = dir.path;
    agent = await startAgent({
      manager,
      programs: programs.path,
      folder,
      name: 'edge-01',
      publicKey,
    });
    await publish(manager, { folder, version: good, sequence: 1, key });
    await eventually(async () => {
      expect((await manager.call('nodes.list')).body.items[0]?.services).toHaveLength(1);
    });
    await upgraded(await upgrade(good), 'complete');
  }, 120_000);

  afterAll(async () => {
    await agent.stop();
    await manager.stop();
    programs.remove();
    dir.remove();
  }, 60_000);

  async function upgrade(version: string): Promise<string> {
    const { status, body } = await manager.call('nodes.upgrade', {
      params: { id: agent.nodeId },
      body: { version, product: 'edge' },
    });
    expect(status, JSON.stringify(body)).toBe(202);
    return body.id;
  }

  const upgraded = (id: string, reason: string): Promise<void> =>
    eventually(async () => {
      const { body } = await manager.call('rollouts.show', { params: { id } });
      expect(body).toMatchObject({ status: 'complete', reason });
    }, 60_000);

  it.each(FAULT_POINTS)(
    '%s: it ends on exactly one good version, each event once',
    async (point) => {
      const isBad = ON_THE_WAY_BACK.includes(point);
      minor += 1;
      const version = `1.${minor}.0`;
      const { path: folder } = dir;
      await publish(manager, { folder, version, sequence: minor + 1, healthy: !isBad, key });
      await agent.kill();
      agent.start({ BELLWETHER_FAULT: point });
      const id = await upgrade(version);
      await agent.ended();
      agent.start();
      await upgraded(id, isBad ? 'complete_with_failures' : 'complete');
      if (!isBad) good = version;

      await eventually(async () => {
        expect(await agent.version()).toBe(good);
      });
      expect(readlinkSync(join(agent.root, 'current'))).toBe(join('versions', good));
      // What is old goes after the outcome was told.
      await eventually(async () => {
        const left = readdirSync(join(agent.root, 'versions'));
        expect(left.length, left.join()).toBeLessThanOrEqual(3);
        const odd = left.filter((name) => !/^\d+\.\d+\.\d+$/.test(name));
        expect(odd).toEqual([]);
      });
      const told = async (): Promise<string[]> => {
        const { body } = await manager.call('events.list', {
          query: { rollout_id: id, category: 'upgrade', limit: 1000 },
        });
        return body.items.filter((event) => event.node_id !== null).map((event) => event.type);
      };
      // Its first words after a crash are how it ended, and end the rollout; the events come right behind them.
      await eventually(async () => {
        expect((await told()).at(-1)).toBe(isBad ? 'upgrade_rolled_back' : 'upgrade_completed');
      });
      const types = await told();
      // A swap that a crash undid is begun, and told, a second time; all else happens once.
      const others = types.filter((type) => type !== 'upgrade_swapping');
      expect(new Set(others).size, types.join()).toBe(others.length);
      expect(types.filter((type) => type === 'upgrade_swapping').length).toBeLessThanOrEqual(2);
    },
    90_000,
  );
});
