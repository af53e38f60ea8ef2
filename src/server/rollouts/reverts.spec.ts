import { afterEach, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import { aService } from '../../../test/support/node-link.js';
import {
  ann,
  lookAt,
  rolloutsOn,
  rowsOf,
  type TestRollouts,
} from '../../../test/support/rollouts.js';
import type { UpgradeBinary } from '../../protocol/node/index.js';
import { findRollout } from './tables/rollouts.store.js';

const running: TestRollouts[] = [];
afterEach(async () => {
  for (const rollouts of running.splice(0)) await rollouts.stop();
});

const IMMEDIATE = { strategy: 'immediate' } as const;
const at = (version: string) => ({ services: [aService({ version })] });

describeOnBothDatabases('the way back', (openTestDatabase) => {
  async function setUp() {
    const manager = rolloutsOn(await openTestDatabase());
    running.push(manager);
    for (const version of ['1.0.0', '1.5.0', '2.0.0']) await manager.publish(version);
    const revert = async (id: string) => {
      const stored = await findRollout(manager.database.read, id);
      if (stored === null) throw new Error('no rollout');
      return manager.reverts.revert(stored, ann);
    };
    /** Upgrades nodes and lets the fleet know what they run. */
    const upgrade = async (id: string, nodeIds: readonly string[]) => {
      for (const nodeId of nodeIds) {
        await manager.succeed(id, nodeId);
        await manager.presence(nodeId, true, [aService({ version: '2.0.0' })]);
      }
    };
    const audit = async (action: 'rollout.revert' | 'rollout.cancel') =>
      manager.audit.read(manager.database.read, {
        before: null,
        limit: 9,
        groups: 'all',
        action,
      });
    return { manager, revert, upgrade, audit };
  }

  it('is one rollout for each version that nodes came from, and offers that version', async () => {
    const { manager, revert, upgrade, audit } = await setUp();
    const old = await manager.enroll(2);
    const newer = await manager.enroll(1, at('1.5.0'));
    const nodes = [...old, ...newer];
    const id = await manager.create({ nodes, preset: IMMEDIATE });
    await upgrade(
      id,
      nodes.map((node) => node.id),
    );
    await manager.orchestrator.wake(id);
    const { ids, skipped } = await revert(id);
    expect(skipped).toEqual([]);
    const ways = await Promise.all(ids.map((way) => lookAt(manager.database, way)));
    expect(ways.map(({ meta, targets }) => [meta.version, meta.reverts, targets.length])).toEqual([
      ['1.0.0', id, 2],
      ['1.5.0', id, 1],
    ]);
    const [command] = await manager.nodeSide.open(manager.identity(newer[0]?.id ?? ''));
    expect((command as UpgradeBinary).version).toBe('1.5.0');
    const [entry] = await audit('rollout.revert');
    expect(entry).toMatchObject({
      actor_name: 'ann',
      target_id: id,
      details: { version: '2.0.0', product: 'edge', rollout_ids: [...ids] },
    });
  });

  it('leaves a node alone that belongs to others since', async () => {
    const { manager, revert, upgrade } = await setUp();
    const nodes = await manager.enroll(2);
    const [gone = '', here = ''] = nodes.map((node) => node.id);
    const id = await manager.create({ nodes, preset: IMMEDIATE });
    await upgrade(id, [gone, here]);
    const west = await manager.group('west', 'grp_default');
    const moved = await findRollout(manager.database.read, id);
    const led = await manager.group('led', 'grp_default');
    await manager.database.transaction(async (tx) => {
      await tx.run('UPDATE nodes SET group_id = ? WHERE id = ?', [west, gone]);
      await tx.run('UPDATE nodes SET group_id = ? WHERE id = ?', [led, here]);
      await tx.run('UPDATE rollouts SET group_id = ? WHERE id = ?', [led, moved?.meta.id ?? '']);
    });
    const { ids, skipped } = await revert(id);
    expect(skipped).toEqual([{ node_id: gone, reason: 'in_another_group' }]);
    const { targets } = await lookAt(manager.database, ids[0] ?? '');
    expect(targets.map((target) => target.nodeId)).toEqual([here]);
  });

  it('takes a node that was in the middle of its swap back when it is through', async () => {
    const { manager, revert, upgrade } = await setUp();
    const nodes = await manager.enroll(3);
    const [one = '', two = '', three = ''] = nodes.map((node) => node.id);
    const id = await manager.create({ nodes, preset: IMMEDIATE });
    await upgrade(id, [one]);
    for (const nodeId of [two, three]) await manager.ask(id, nodeId);
    await revert(id);
    const waysBack = () =>
      manager.database.read.all(
        `SELECT t.node_id, r.version FROM rollouts r JOIN rollout_targets t ON t.rollout_id = r.id
         WHERE r.reverts IS NOT NULL ORDER BY r.created_at`,
      );
    await manager.sweeper.sweep();
    expect(await waysBack()).toEqual([{ node_id: one, version: '1.0.0' }]);
    manager.clock.advance(1_000);
    await manager.tell(id, two, 'upgrade_completed');
    await manager.presence(two, true, [aService({ version: '2.0.0' })]);
    // One that went back by itself needs no help.
    await manager.tell(id, three, 'upgrade_rolled_back');
    for (let sweeps = 0; sweeps < 3; sweeps += 1) await manager.sweeper.sweep();
    expect(await waysBack()).toEqual([
      { node_id: one, version: '1.0.0' },
      { node_id: two, version: '1.0.0' },
    ]);
    const [command] = await manager.nodeSide.open(manager.identity(two));
    expect((command as UpgradeBinary).version).toBe('1.0.0');
  });

  it('cancels a rollout that still runs, and takes back who was upgraded only', async () => {
    const { manager, revert, upgrade, audit } = await setUp();
    const nodes = await manager.enroll(4);
    const id = await manager.create({
      nodes,
      preset: IMMEDIATE,
      terms: { maxUnavailable: { count: 2 } },
    });
    const [one, two] = nodes.map((node) => node.id);
    await upgrade(id, [one ?? '', two ?? '']);
    const { ids } = await revert(id);
    const [way] = await Promise.all(ids.map((each) => lookAt(manager.database, each)));
    expect(way?.targets.map((target) => target.nodeId)).toEqual([one, two]);
    // Within the same limit.
    expect(way?.state.plan.maxUnavailable).toEqual({ count: 2 });
    const { state, targets } = await lookAt(manager.database, id);
    expect([state.status, targets.map((target) => target.state)]).toEqual([
      'cancelled',
      ['succeeded', 'succeeded', 'cancelled', 'cancelled'],
    ]);
    expect(await audit('rollout.cancel')).toHaveLength(1);
  });

  it('leaves out who has no way back, with the reason', async () => {
    const { manager, revert, upgrade } = await setUp();
    const fresh = await manager.enroll(1, { services: [aService({ version: null })] });
    const lost = await manager.enroll(1, at('1.7.0'));
    const back = await manager.enroll(2);
    const nodes = [...fresh, ...lost, ...back];
    const id = await manager.create({ nodes, preset: IMMEDIATE });
    await upgrade(
      id,
      nodes.map((node) => node.id),
    );
    // This one went back by itself meanwhile, and nobody has heard of it here.
    await manager.database.transaction((tx) =>
      tx.run('UPDATE nodes SET services = ? WHERE id = ?', [
        JSON.stringify([aService()]),
        back[0]?.id ?? '',
      ]),
    );
    const { ids, skipped } = await revert(id);
    expect([...skipped].sort((a, b) => (a.reason < b.reason ? -1 : 1))).toEqual([
      { node_id: back[0]?.id, reason: 'already_current' },
      { node_id: fresh[0]?.id, reason: 'no_previous_version' },
      { node_id: lost[0]?.id, reason: 'no_release' },
    ]);
    const [way] = await Promise.all(ids.map((each) => lookAt(manager.database, each)));
    expect(way?.targets.map((target) => target.nodeId)).toEqual([back[1]?.id]);
  });

  it('leaves out a version whose artifact is gone, and takes the others back', async () => {
    const { manager, revert, upgrade } = await setUp();
    const [old, newer] = [await manager.enroll(1), await manager.enroll(1, at('1.5.0'))];
    const nodes = [...old, ...newer];
    const id = await manager.create({ nodes, preset: IMMEDIATE });
    await upgrade(
      id,
      nodes.map((node) => node.id),
    );
    await manager.loseArtifact('1.0.0');
    const { ids, skipped } = await revert(id);
    expect(skipped).toEqual([{ node_id: old[0]?.id, reason: 'binary_not_staged' }]);
    const [way] = await Promise.all(ids.map((each) => lookAt(manager.database, each)));
    expect(way?.meta.version).toBe('1.5.0');
  });

  it('is refused when there is nothing to take back', async () => {
    const { manager, revert } = await setUp();
    const id = await manager.create({ nodes: await manager.enroll(2), preset: IMMEDIATE });
    await expect(revert(id)).rejects.toMatchObject({ code: 'rollout_empty' });
    expect((await lookAt(manager.database, id)).state.status).toBe('in_progress');
  });

  it('is all or nothing: where one node is taken nothing is cancelled and nothing begins', async () => {
    const { manager, revert, upgrade, audit } = await setUp();
    const old = await manager.enroll(1);
    const newer = await manager.enroll(1, at('1.5.0'));
    const nodes = [...old, ...newer];
    const id = await manager.create({ nodes, preset: IMMEDIATE });
    await upgrade(
      id,
      nodes.map((node) => node.id),
    );
    await manager.orchestrator.wake(id);
    const busy = await manager.scopes.nodesOf({
      groupId: 'grp_default',
      subgroups: true,
      labels: {},
      nodeIds: newer.map((node) => node.id),
      exclude: [],
    });
    await manager.create({ nodes: busy, version: '2.1.0' });
    const before = await rowsOf(manager.database, 'rollouts', 'commands', 'audit_entries');
    await expect(revert(id)).rejects.toMatchObject({ code: 'rollout_node_busy' });
    expect(await rowsOf(manager.database, 'rollouts', 'commands', 'audit_entries')).toEqual(before);
    expect(await audit('rollout.revert')).toEqual([]);
  });

  it('of two who want it at one moment is made once', async () => {
    const { manager, revert, upgrade } = await setUp();
    const nodes = await manager.enroll(2);
    const id = await manager.create({ nodes, preset: IMMEDIATE });
    await upgrade(
      id,
      nodes.map((node) => node.id),
    );
    const tries = await Promise.allSettled([revert(id), revert(id)]);
    expect(tries.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await rowsOf(manager.database, 'rollouts', 'active_targets')).toEqual([2, 2]);
  });
});
