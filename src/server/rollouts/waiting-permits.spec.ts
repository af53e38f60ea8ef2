import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { makeClock } from '../../../test/support/manager.js';
import { describeOnBothDatabases, silentLog } from '../../../test/support/databases.js';
import { ann, lookAt, rolloutsOn, type TestRollouts } from '../../../test/support/rollouts.js';
import { instant, MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import { WORKS_PER_COMMIT_MAX, type Database } from '../platform/database/index.js';

const running: TestRollouts[] = [];
afterEach(async () => {
  for (const rollouts of running.splice(0)) await rollouts.stop();
});

/** When the row of the rollout and its targets were written last, with all that is in them. */
const written = async (database: Database, id: string) => [
  await database.read.get('SELECT * FROM rollouts WHERE id = ?', [id]),
  await database.read.all('SELECT * FROM rollout_targets WHERE rollout_id = ? ORDER BY node_id', [
    id,
  ]),
];

describeOnBothDatabases('a node that waits for its permit', (openTestDatabase) => {
  /** Two nodes of which one may be down; the first one is, and stays so. Deadlines are a minute. */
  async function setUp() {
    const manager = rolloutsOn(await openTestDatabase());
    running.push(manager);
    const nodes = await manager.enroll(2);
    const id = await manager.create({
      nodes,
      preset: { strategy: 'immediate' },
      terms: { maxUnavailable: { count: 1 } },
    });
    const [one, two] = nodes.map((node) => node.id);
    if (one === undefined || two === undefined) throw new Error('no nodes');
    await manager.ask(id, one);
    const target = async () =>
      (await lookAt(manager.database, id)).targets.find((each) => each.nodeId === two);
    return { manager, id, one, two, target };
  }

  it('and asks again and again is not silent, however long it takes', async () => {
    const { manager, id, one, two, target } = await setUp();
    for (let round = 0; round < 20; round += 1) {
      manager.clock.advance(20 * SECOND_MS);
      // The other one swaps slowly, and says so.
      await manager.tell(id, one, 'upgrade_swapping');
      expect(await manager.ask(id, two)).toMatchObject({ granted: false });
      await manager.orchestrator.wake(id);
      expect(await target()).toMatchObject({ state: 'staged', reason: 'waits_for_permit' });
    }
    manager.clock.advance(61 * SECOND_MS);
    await manager.orchestrator.wake(id);
    expect(await target()).toMatchObject({ state: 'silent' });
    // It was here all the time: it is heard again, and takes the place that is free now.
    await manager.tell(id, one, 'upgrade_completed');
    expect(await manager.ask(id, two)).toMatchObject({ granted: true });
  });

  it('is written down once in half of its time, not with every question', async () => {
    const { manager, id, two, target } = await setUp();
    const { database, clock } = manager;
    const writes: string[] = [];
    let before = JSON.stringify(await written(database, id));
    for (let second = 0; second < 120; second += 5) {
      await manager.ask(id, two);
      const after = JSON.stringify(await written(database, id));
      if (after !== before) writes.push(`${second}`);
      before = after;
      clock.advance(5 * SECOND_MS);
    }
    // Of 24 questions: staged, then kept alive each time that half a minute is left.
    expect(writes.length).toBeLessThanOrEqual(6);
    expect(await target()).toMatchObject({ state: 'staged' });
  });

  it('is told when to come again: at the known time, and at least once a minute', async () => {
    const { manager, id, one, two } = await setUp();
    const { book, database, clock } = manager;
    expect(await manager.ask(id, two)).toEqual({
      granted: false,
      reason: 'too_many_nodes_down',
      retryAfterMs: 1_000,
    });
    await manager.tell(id, one, 'upgrade_completed');
    const freeze = (to: number) =>
      database.transaction((tx) =>
        book.freeze(tx, {
          id: `frz_${to}`,
          groupId: 'grp_default',
          name: 'fair',
          from: instant(0),
          to: instant(to),
          createdBy: 'ann',
          createdAt: instant(0),
        }),
      );
    await freeze(clock.now() + 20 * SECOND_MS);
    const soon = await manager.ask(id, two);
    expect(soon).toMatchObject({ granted: false, reason: 'frozen' });
    expect((soon as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(15_000);
    expect((soon as { retryAfterMs: number }).retryAfterMs).toBeLessThanOrEqual(20_000);
    await freeze(clock.now() + 60 * MINUTE_MS);
    expect(await manager.ask(id, two)).toMatchObject({ reason: 'frozen', retryAfterMs: 60_000 });
  });

  it('of a paused rollout is not silent either when that goes on', async () => {
    const { manager, id, two, target } = await setUp();
    await manager.orchestrator.verb(id, { verb: 'pause' }, ann);
    for (let round = 0; round < 10; round += 1) {
      manager.clock.advance(MINUTE_MS);
      expect(await manager.ask(id, two)).toMatchObject({ reason: 'rollout_not_running' });
    }
    await manager.orchestrator.verb(id, { verb: 'resume' }, ann);
    expect(await target()).toMatchObject({ state: 'staged' });
  });

  it('too long for its turn is sent back before anything is locked for it; who can still be served is', async () => {
    const manager = rolloutsOn(await openTestDatabase(), makeClock(), silentLog, {
      BELLWETHER_PERMIT_LEASE_MS: '4000',
    });
    running.push(manager);
    const { database } = manager;
    // So many as have their turn together, and one.
    const nodes = await manager.enroll(WORKS_PER_COMMIT_MAX[manager.database.kind] + 1);
    const id = await manager.create({ nodes, preset: { strategy: 'immediate' } });
    const [last, ...early] = nodes.map((node) => node.id);
    if (last === undefined) throw new Error('no nodes');
    const [turn, row] = [Promise.withResolvers<null>(), Promise.withResolvers<null>()];
    const before = database.together(() => turn.promise, { line: id });
    const late = early.map((nodeId) => manager.ask(id, nodeId));
    // Longer than a quarter of the lease, which leaves time to wait for the rollout.
    await sleep(1_400);
    const inTime = manager.ask(id, last);
    await sleep(50);
    // On PostgreSQL somebody else has the row, and whoever needs it waits; on SQLite nobody can.
    const isHeld = Promise.withResolvers<null>();
    const holder = database.transaction(async (tx) => {
      if (database.kind === 'sqlite') return;
      await tx.get('SELECT id FROM rollouts WHERE id = ? FOR UPDATE', [id]);
      isHeld.resolve(null);
      await row.promise;
    });
    if (database.kind === 'postgres') await isHeld.promise;
    turn.resolve(null);
    await before;
    for (const answer of await Promise.all(late)) {
      expect(answer).toMatchObject({ granted: false, reason: 'manager_busy' });
    }
    row.resolve(null);
    await holder;
    expect(await inTime).toMatchObject({ granted: true });
  });

  it('too long for the rollout itself is sent back as well', async () => {
    const manager = rolloutsOn(await openTestDatabase(), makeClock(), silentLog, {
      BELLWETHER_PERMIT_LEASE_MS: '1000',
    });
    running.push(manager);
    const { database } = manager;
    const nodes = await manager.enroll(1);
    const id = await manager.create({ nodes, preset: { strategy: 'immediate' } });
    const nodeId = nodes[0]?.id ?? '';
    const isHeld = Promise.withResolvers<null>();
    const holder = database.transaction(async (tx) => {
      const row = database.kind === 'postgres' ? 'FOR UPDATE' : '';
      await tx.get(`SELECT id FROM rollouts WHERE id = ? ${row}`, [id]);
      isHeld.resolve(null);
      await sleep(700);
    });
    await isHeld.promise;
    expect(await manager.ask(id, nodeId)).toMatchObject({
      granted: false,
      reason: 'manager_busy',
    });
    await holder;
    expect(await manager.ask(id, nodeId)).toMatchObject({ granted: true });
  });
});
