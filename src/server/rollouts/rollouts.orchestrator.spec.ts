import { afterEach, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import {
  aRelease,
  ann,
  lookAt,
  rolloutsOn,
  rollsOut,
  rowsOf,
  type TestRollouts,
} from '../../../test/support/rollouts.js';
import { MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import type { Database } from '../platform/database/index.js';

const running: TestRollouts[] = [];
afterEach(async () => {
  for (const rollouts of running.splice(0)) await rollouts.stop();
});

function managerOn(...given: Parameters<typeof rolloutsOn>): TestRollouts {
  const rollouts = rolloutsOn(...given);
  running.push(rollouts);
  return rollouts;
}

const WRITTEN = [
  'rollouts',
  'rollout_targets',
  'active_targets',
  'rollout_journal',
  'commands',
  'events',
  'audit_entries',
] as const;

const wavesOf = async ({ database }: TestRollouts, id: string) =>
  (await lookAt(database, id)).state.waves.map((wave) => wave.status);

/** The table is away: whatever touches it fails, as on a broken disk. */
async function without(database: Database, table: string, work: () => Promise<void>) {
  const rename = (from: string, to: string) =>
    database.transaction(async (tx) => {
      await tx.run(`ALTER TABLE ${from} RENAME TO ${to}`);
    });
  await rename(table, `${table}_away`);
  await work();
  await rename(`${table}_away`, table);
}

describeOnBothDatabases('a rollout', (openTestDatabase) => {
  it('is made with its targets, commands, journal, events and audit, and starts at once', async () => {
    const manager = managerOn(await openTestDatabase());
    const nodes = await manager.enroll(4);
    const id = await manager.create({ nodes });
    const { state, meta, targets, counts, journalLength } = await lookAt(manager.database, id);
    expect(meta).toMatchObject({ product: 'edge', version: '2.0.0', createdBy: 'ann' });
    expect(state).toMatchObject({ status: 'in_progress', reason: 'wave_open' });
    expect(state.waves.map((wave) => wave.counts)).toEqual(counts);
    expect(targets.map(({ wave, state: is }) => [wave, is])).toEqual([
      [0, 'offered'],
      [0, 'offered'],
      [1, 'pending'],
      [1, 'pending'],
    ]);
    expect(targets.every(({ fromVersion }) => fromVersion === '1.0.0')).toBe(true);
    expect(journalLength).toBe(4);
    expect(await rowsOf(manager.database, ...WRITTEN)).toEqual([1, 4, 4, 4, 2, 2, 1]);
  });

  it.each(WRITTEN)('that fails in the middle (no %s) leaves nothing behind', async (table) => {
    const manager = managerOn(await openTestDatabase());
    const { database } = manager;
    const nodes = await manager.enroll(3);
    await without(database, table, async () => {
      await expect(manager.create({ nodes })).rejects.toThrow(table);
    });
    expect(await rowsOf(database, ...WRITTEN)).toEqual([0, 0, 0, 0, 0, 0, 0]);
    // No number was spent either: the next one starts both sequences.
    const id = await manager.create({ nodes });
    const page = await manager.events.read(database.read, { after: 0, limit: 9, groups: 'all' });
    expect(page.items.map((event) => [event.id, event.rollout_id])).toEqual([
      [1, id],
      [2, id],
    ]);
  });

  it.each(['rollout_journal', 'events', 'audit_entries'])(
    'whose verb fails in the middle (no %s) stays as it was',
    async (table) => {
      const manager = managerOn(await openTestDatabase());
      const { database, orchestrator } = manager;
      const id = await manager.create({ nodes: await manager.enroll(3) });
      const before = [await lookAt(database, id), await rowsOf(database, ...WRITTEN)];
      await without(database, table, async () => {
        await expect(orchestrator.verb(id, { verb: 'pause' }, ann)).rejects.toThrow(table);
        await expect(orchestrator.verb(id, { verb: 'cancel' }, ann)).rejects.toThrow(table);
      });
      expect([await lookAt(database, id), await rowsOf(database, ...WRITTEN)]).toEqual(before);
      await orchestrator.verb(id, { verb: 'pause' }, ann);
      expect((await lookAt(database, id)).state.status).toBe('paused');
    },
  );

  it('takes no report whose event could not be stored, and takes it when it comes again', async () => {
    const manager = managerOn(await openTestDatabase());
    const { database } = manager;
    const id = await manager.create({ nodes: await manager.enroll(2) });
    const [first] = (await lookAt(database, id)).targets;
    const nodeId = first?.nodeId ?? '';
    const before = [await lookAt(database, id), await rowsOf(database, ...WRITTEN)];
    const report = () => manager.tell(id, nodeId, 'upgrade_stage_failed', 'upgrade_disk_full');
    await without(database, 'audit_entries', async () => {
      await expect(report()).rejects.toThrow('audit_entries');
    });
    expect([await lookAt(database, id), await rowsOf(database, ...WRITTEN)]).toEqual(before);
    await report();
    const { state, targets } = await lookAt(database, id);
    expect(state).toMatchObject({ status: 'paused', reason: 'wave_failed' });
    expect(targets[0]).toMatchObject({ state: 'failed', errorCode: 'upgrade_disk_full' });
  });

  it('wanted for a node that another active one holds is refused, and is made after that', async () => {
    const manager = managerOn(await openTestDatabase());
    const { database } = manager;
    const nodes = await manager.enroll(3);
    const id = await manager.create({ nodes: nodes.slice(0, 1) });
    const again = () => manager.create({ nodes, version: '2.1.0' });
    await expect(again()).rejects.toMatchObject({
      code: 'rollout_node_busy',
      message: '1 of 3 nodes are in another active rollout',
      context: { node_ids: [nodes[0]?.id] },
    });
    await manager.orchestrator.verb(id, { verb: 'pause' }, ann);
    await expect(again()).rejects.toMatchObject({ code: 'rollout_node_busy' });
    expect(await rowsOf(database, 'rollouts', 'active_targets')).toEqual([1, 1]);
    await manager.orchestrator.verb(id, { verb: 'cancel' }, ann);
    await again();
    expect(await rowsOf(database, 'rollouts', 'active_targets')).toEqual([2, 3]);
  });

  it('wanted by many at once is made once', async () => {
    const manager = managerOn(await openTestDatabase());
    const other = managerOn(manager.database, manager.clock);
    const nodes = await manager.enroll(250);
    const tries = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) =>
        (index % 2 === 0 ? manager : other).create({ nodes, version: `2.0.${index}` }),
      ),
    );
    const refused = tries.filter(({ status }) => status === 'rejected');
    const busy = { reason: { code: 'rollout_node_busy' } };
    expect(refused).toMatchObject(Array.from({ length: 7 }, () => busy));
    expect(await rowsOf(manager.database, 'rollouts', 'active_targets')).toEqual([1, 250]);
  });

  it('with nobody to upgrade is refused, with the reason for each node', async () => {
    const manager = managerOn(await openTestDatabase());
    const [node] = await manager.enroll(1);
    const nodes = node === undefined ? [] : [node];
    await expect(manager.create({ nodes, version: '1.0.0' })).rejects.toMatchObject({
      code: 'rollout_empty',
      context: { skipped: [{ node_id: node?.id, reason: 'already_current' }] },
    });
    const request = { ...rollsOut({ nodes }), release: aRelease('2.0.0', 'arm64') };
    await expect(manager.orchestrator.create(request, ann)).rejects.toMatchObject({
      code: 'release_not_for_scope',
      context: { skipped: [{ reason: 'no_artifact_for_host' }] },
    });
    // From 1.0.0 a release of the next major can be reached, not the one after it.
    await expect(manager.create({ nodes, version: '3.0.0' })).rejects.toMatchObject({
      code: 'release_not_for_scope',
      context: { skipped: [{ reason: 'hop_not_allowed' }] },
    });
    expect(await rowsOf(manager.database, 'rollouts')).toEqual([0]);
  });

  it('leaves out nodes on which a person said so, and goes on with the others', async () => {
    const manager = managerOn(await openTestDatabase());
    const [pinned, off, free] = await manager.enroll(3);
    if (pinned === undefined || off === undefined || free === undefined) throw new Error('none');
    const said = (node: typeof pinned, by_hand: { enabled: boolean; pin: string | null }) => ({
      ...node,
      services: node.services.map((one) => ({ ...one, by_hand })),
    });
    const nodes = [
      said(pinned, { enabled: true, pin: '1.0.0' }),
      said(off, { enabled: false, pin: null }),
      said(free, { enabled: true, pin: '2.0.0' }),
    ];
    const { meta, targets } = await lookAt(manager.database, await manager.create({ nodes }));
    expect(targets.map(({ nodeId }) => nodeId)).toEqual([free.id]);
    expect([...meta.skipped].sort((a, b) => (a.reason < b.reason ? -1 : 1))).toEqual([
      { node_id: off.id, reason: 'disabled_by_hand' },
      { node_id: pinned.id, reason: 'pinned_by_hand' },
    ]);
    await expect(manager.create({ nodes: nodes.slice(0, 2) })).rejects.toMatchObject({
      code: 'rollout_empty',
      message: expect.stringContaining('1 pinned_by_hand') as string,
    });
  });
});

describeOnBothDatabases('two who steer one rollout at the same moment', (openTestDatabase) => {
  it('do not both win: the second is told what is so now', async () => {
    const manager = managerOn(await openTestDatabase());
    const other = managerOn(manager.database, manager.clock);
    const id = await manager.create({ nodes: await manager.enroll(3) });
    const tries = await Promise.allSettled([
      manager.orchestrator.verb(id, { verb: 'pause' }, ann),
      other.orchestrator.verb(id, { verb: 'pause' }, { ...ann, name: 'bob' }),
    ]);
    expect(tries.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(tries.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: {
        code: 'rollout_wrong_state',
        context: {
          status: 'paused',
          allowed: expect.arrayContaining(['resume', 'cancel']) as unknown,
        },
      },
    });
    const entries = await manager.audit.read(manager.database.read, {
      before: null,
      limit: 10,
      groups: 'all',
      action: 'rollout.pause',
    });
    expect(entries).toHaveLength(1);
  });

  it('and many nodes that report meanwhile lose no report', async () => {
    const manager = managerOn(await openTestDatabase());
    const other = managerOn(manager.database, manager.clock);
    const nodes = await manager.enroll(24);
    const id = await manager.create({ nodes, wavePercents: [100] });
    const verbs = (async () => {
      for (let round = 0; round < 4; round += 1) {
        await manager.orchestrator.verb(id, { verb: 'pause' }, ann);
        await other.orchestrator.verb(id, { verb: 'resume' }, ann);
      }
    })();
    await Promise.all([
      verbs,
      ...nodes.map(async ({ id: nodeId }, index) => {
        const at = index % 2 === 0 ? manager : other;
        for (const type of ['upgrade_started', 'upgrade_staged', 'upgrade_probation'] as const) {
          await at.tell(id, nodeId, type);
        }
        await at.tell(id, nodeId, 'upgrade_completed');
      }),
    ]);
    const { state, counts, targets, journalLength } = await lookAt(manager.database, id);
    expect(targets.every((target) => target.state === 'succeeded')).toBe(true);
    expect(state.waves.map((wave) => wave.counts)).toEqual(counts);
    expect(await rowsOf(manager.database, 'rollout_journal')).toEqual([journalLength]);
  });
});

describeOnBothDatabases('a manager that starts again', (openTestDatabase) => {
  it('leads its rollouts on from where the last commit was', async () => {
    const database = await openTestDatabase();
    const before = managerOn(database);
    const nodes = await before.enroll(2);
    const id = await before.create({ nodes, settleMs: 10 * MINUTE_MS });
    const [first] = (await lookAt(database, id)).targets;
    await before.succeed(id, first?.nodeId ?? '');
    expect((await lookAt(database, id)).state.reason).toBe('settling');
    await before.stop();

    before.clock.advance(11 * MINUTE_MS);
    const after = managerOn(database, before.clock);
    after.sweeper.start();
    await expect.poll(() => wavesOf(after, id)).toEqual(['passed', 'open']);
    const [, second] = (await lookAt(database, id)).targets;
    await after.succeed(id, second?.nodeId ?? '');
    after.clock.advance(11 * MINUTE_MS);
    await after.sweeper.sweep();
    const { state } = await lookAt(database, id);
    expect(state).toMatchObject({ status: 'complete', reason: 'complete' });
    expect(await rowsOf(database, 'active_targets')).toEqual([0]);
  });

  it('finds nodes that fell silent while it was away', async () => {
    const database = await openTestDatabase();
    const before = managerOn(database);
    const id = await before.create({ nodes: await before.enroll(4) });
    await before.stop();
    before.clock.advance(2 * MINUTE_MS);
    const { sweeper } = managerOn(database, before.clock);
    await sweeper.sweep();
    // Whoever speaks up in the settle time still counts.
    expect((await lookAt(database, id)).state.reason).toBe('settling');
    before.clock.advance(2 * SECOND_MS);
    await sweeper.sweep();
    const { state, targets } = await lookAt(database, id);
    expect(state).toMatchObject({ status: 'paused', reason: 'not_enough_evidence' });
    expect(targets.map((target) => target.state)).toEqual([
      'silent',
      'silent',
      'pending',
      'pending',
    ]);
  });
});

describeOnBothDatabases('deadlines', (openTestDatabase) => {
  it('stand still while the rollout is paused, and begin anew when it is resumed', async () => {
    const manager = managerOn(await openTestDatabase());
    const { clock, orchestrator } = manager;
    const id = await manager.create({ nodes: await manager.enroll(2) });
    const state = async () => (await lookAt(manager.database, id)).targets[0]?.state;
    await orchestrator.verb(id, { verb: 'pause' }, ann);
    clock.advance(10 * MINUTE_MS);
    await orchestrator.wake(id);
    await orchestrator.verb(id, { verb: 'resume' }, ann);
    clock.advance(30 * SECOND_MS);
    await orchestrator.wake(id);
    expect(await state()).toBe('offered');
    clock.advance(40 * SECOND_MS);
    await orchestrator.wake(id);
    expect(await state()).toBe('silent');
  });
});

describeOnBothDatabases('the sweep', (openTestDatabase) => {
  it('finds alarms that were lost', async () => {
    const manager = managerOn(await openTestDatabase());
    // A closed alarm clock takes every alarm and rings none.
    await manager.wakeups.close();
    const nodes = await manager.enroll(2);
    const id = await manager.create({ nodes });
    const [first] = (await lookAt(manager.database, id)).targets;
    await manager.succeed(id, first?.nodeId ?? '');
    manager.clock.advance(2 * SECOND_MS);
    expect(await wavesOf(manager, id)).toEqual(['settling', 'pending']);
    await manager.sweeper.sweep();
    expect(await wavesOf(manager, id)).toEqual(['passed', 'open']);
  });

  it('changes nothing when nothing is due, however often it comes', async () => {
    const manager = managerOn(await openTestDatabase());
    const id = await manager.create({ nodes: await manager.enroll(3) });
    const before = [await lookAt(manager.database, id), await rowsOf(manager.database, ...WRITTEN)];
    for (let round = 0; round < 3; round += 1) {
      await manager.sweeper.sweep();
      await manager.orchestrator.wake(id);
    }
    await manager.orchestrator.wake('rol_unknown0');
    expect([
      await lookAt(manager.database, id),
      await rowsOf(manager.database, ...WRITTEN),
    ]).toEqual(before);
  });

  it('is not stopped by one rollout that cannot be read', async () => {
    const manager = managerOn(await openTestDatabase());
    await manager.wakeups.close();
    const [one, two] = await manager.enroll(2);
    const broken = await manager.create({ nodes: one === undefined ? [] : [one] });
    const sound = await manager.create({ nodes: two === undefined ? [] : [two] });
    await manager.database.transaction((tx) =>
      tx.run(`UPDATE rollouts SET state = '{' WHERE id = ?`, [broken]),
    );
    manager.clock.advance(2 * MINUTE_MS);
    await manager.sweeper.sweep();
    manager.clock.advance(2 * SECOND_MS);
    await manager.sweeper.sweep();
    expect((await lookAt(manager.database, sound)).state.status).toBe('paused');
  });

  it('has ended when the manager has stopped', async () => {
    const manager = managerOn(await openTestDatabase());
    await manager.wakeups.close();
    for (const node of await manager.enroll(40)) await manager.create({ nodes: [node] });
    manager.clock.advance(2 * MINUTE_MS);
    manager.sweeper.start();
    await manager.stop();
    const before = await rowsOf(manager.database, ...WRITTEN);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await rowsOf(manager.database, ...WRITTEN)).toEqual(before);
  });
});
