import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../src/server/platform/database/index.js';
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

/** The main job on real input: real agents as processes, real services, real signatures. */
describe('a signed release reaches real nodes in waves, and a bad one turns back', () => {
  let manager: TestManager;
  let key: SigningKey;
  let programs: ReturnType<typeof buildPrograms>;
  const dir = makeTempDir();
  const agents: TestAgent[] = [];

  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startTestManager({ BELLWETHER_PERMIT_LEASE_MS: '2000' });
    key = makeSigningKey();
    for (let index = 0; index < 3; index += 1) {
      agents.push(
        await startAgent({
          manager,
          programs: programs.path,
          folder: dir.path,
          name: `edge-0${index + 1}`,
          publicKey: key.publicKey,
        }),
      );
    }
    await eventually(async () => {
      const { body } = await manager.call('nodes.list');
      expect(body.items.map((node) => node.status)).toEqual(['online', 'online', 'online']);
    });
  }, 120_000);

  afterAll(async () => {
    for (const agent of agents) await agent.stop();
    await manager.stop();
    programs.remove();
    dir.remove();
  }, 60_000);

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

  const versions = (): Promise<(string | null)[]> =>
    Promise.all(agents.map((agent) => agent.version()));

  it('the first version is installed everywhere', async () => {
    await publish(manager, { folder: dir.path, version: '1.0.0', sequence: 1, key });
    await reaches(await upgrade('1.0.0', 'immediate'), { status: 'complete', reason: 'complete' });
    expect(await versions()).toEqual(['1.0.0', '1.0.0', '1.0.0']);
  }, 90_000);

  it('the next one goes through its waves', async () => {
    await publish(manager, { folder: dir.path, version: '1.1.0', sequence: 2, key });
    const id = await upgrade('1.1.0', 'staged');
    await reaches(id, { status: 'complete', reason: 'complete' });
    expect(await versions()).toEqual(['1.1.0', '1.1.0', '1.1.0']);
    const { body } = await manager.call('rollouts.show', { params: { id } });
    expect(body.waves.map((wave) => [wave.size, wave.counts.succeeded, wave.verdict])).toEqual([
      [1, 1, 'good'],
      [2, 2, 'good'],
    ]);
  }, 90_000);

  it('one that fails its health check is turned back by its canary, and the rollout pauses', async () => {
    await publish(manager, {
      folder: dir.path,
      version: '1.2.0',
      sequence: 3,
      healthy: false,
      key,
    });
    const id = await upgrade('1.2.0', 'staged');
    await reaches(id, { status: 'paused', reason: 'wave_failed' });
    await eventually(async () => {
      expect(await versions()).toEqual(['1.1.0', '1.1.0', '1.1.0']);
    });
    const { body } = await manager.call('rollouts.targets', { params: { id } });
    expect(body.items.map((target) => [target.wave, target.state, target.error_code])).toEqual([
      [0, 'rolled_back', 'upgrade_unhealthy'],
      [1, 'pending', null],
      [1, 'pending', null],
    ]);
    await manager.call('rollouts.cancel', { params: { id } });
  }, 90_000);

  it('one that a stranger signed is refused by the node itself', async () => {
    const stranger = makeSigningKey();
    await publish(manager, { folder: dir.path, version: '1.3.0', sequence: 4, key: stranger });
    const { body } = await manager.call('nodes.upgrade', {
      params: { id: agents[0]?.nodeId ?? '' },
      body: { version: '1.3.0' },
    });
    await reaches(body.id, { status: 'complete', reason: 'complete_with_failures' });
    const events = await manager.call('events.list', {
      query: { category: 'upgrade', rollout_id: body.id, limit: 1000 },
    });
    const refusal = events.body.items.find((event) => event.type === 'upgrade_verify_failed');
    expect(refusal?.details['error_code']).toBe('upgrade_identity_not_allowed');
    expect(await versions()).toEqual(['1.1.0', '1.1.0', '1.1.0']);
  }, 90_000);

  it('a manager that was set back to a backup counts on from what its nodes have seen', async () => {
    const database = manager.manager.app.get(Database);
    await database.transaction((tx) => tx.run('UPDATE nodes SET generation = 0', []));
    for (const agent of agents) {
      await agent.kill();
      agent.start();
    }
    await eventually(async () => {
      const { body } = await manager.call('events.list', { query: { limit: 1000 } });
      expect(body.items.filter((event) => event.type === 'node_ahead')).toHaveLength(3);
    });
    await publish(manager, { folder: dir.path, version: '1.4.0', sequence: 5, key });
    await reaches(await upgrade('1.4.0', 'immediate'), { status: 'complete', reason: 'complete' });
    expect(await versions()).toEqual(['1.4.0', '1.4.0', '1.4.0']);
  }, 90_000);

  it('leaves one gapless sequence of events, and who asked for what', async () => {
    const { body } = await manager.call('events.list', { query: { limit: 1000 } });
    expect(body.items.map((event) => event.id)).toEqual(body.items.map((_, index) => index + 1));
    const audit = await manager.call('audit.list', { query: { limit: 500 } });
    const actions = new Set(audit.body.items.map((entry) => entry.action));
    for (const action of [
      'node.enroll',
      'release.publish',
      'group.upgrade.schedule',
      'group.upgrade.paused',
      'group.upgrade.complete',
      'node.upgrade.request',
    ]) {
      expect(actions).toContain(action);
    }
  });
});
