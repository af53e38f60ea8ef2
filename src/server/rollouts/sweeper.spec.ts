import { afterEach, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import { aService } from '../../../test/support/node-link.js';
import { ann, lookAt, rolloutsOn, type TestRollouts } from '../../../test/support/rollouts.js';
import { MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';

const running: TestRollouts[] = [];
afterEach(async () => {
  for (const rollouts of running.splice(0)) await rollouts.stop();
});

const NEW = aService({ version: '2.0.0' });

describeOnBothDatabases('a node that goes away', (openTestDatabase) => {
  /** Two nodes in two waves; the first is upgraded, and its wave settles for five minutes. */
  async function setUp() {
    const manager = rolloutsOn(await openTestDatabase());
    running.push(manager);
    const nodes = await manager.enroll(2);
    const id = await manager.create({ nodes, settleMs: 5 * MINUTE_MS });
    const look = () => lookAt(manager.database, id);
    const [first, second] = (await look()).targets;
    if (first === undefined || second === undefined) throw new Error('no targets');
    await manager.succeed(id, first.nodeId);
    await manager.presence(first.nodeId, true, [NEW]);
    const { clock, sweeper } = manager;
    const pass = async (ms: number) => {
      clock.advance(ms);
      await sweeper.sweep();
    };
    return { manager, id, look, pass, upgraded: first.nodeId, waiting: second.nodeId };
  }

  it('for a minute after its upgrade stops the rollout', async () => {
    const { manager, look, pass, upgraded } = await setUp();
    await manager.presence(upgraded, false);
    await pass(50 * SECOND_MS);
    expect((await look()).state.status).toBe('in_progress');
    await pass(11 * SECOND_MS);
    const { state, targets } = await look();
    expect(state).toMatchObject({ status: 'paused', reason: 'nodes_went_offline' });
    expect(state.waves[0]).toMatchObject({ offline: 1 });
    expect(targets[0]).toMatchObject({ state: 'succeeded', offline: true });
    // Again and again tells nothing new.
    const { journalLength } = await look();
    await pass(10 * SECOND_MS);
    expect((await look()).journalLength).toBe(journalLength);
  });

  it('and comes back with its hello is counted as there again; a resume goes on', async () => {
    const { manager, id, look, pass, upgraded } = await setUp();
    await manager.presence(upgraded, false);
    await pass(61 * SECOND_MS);
    const resume = () => manager.orchestrator.verb(id, { verb: 'resume' }, ann);
    // As long as it is away resuming does not help.
    await resume();
    expect((await look()).state).toMatchObject({ status: 'paused', reason: 'nodes_went_offline' });
    await manager.presence(upgraded, true, [NEW]);
    const { state, targets } = await look();
    expect([state.status, state.waves[0]?.offline, targets[0]?.offline]).toEqual([
      'paused',
      0,
      false,
    ]);
    await resume();
    await pass(6 * MINUTE_MS);
    expect((await look()).state.waves.map((wave) => wave.status)).toEqual(['passed', 'open']);
  });

  it('for a moment only, or before its upgrade, stops nothing', async () => {
    const { manager, look, pass, upgraded, waiting } = await setUp();
    await manager.presence(waiting, false);
    for (let round = 0; round < 3; round += 1) {
      await manager.presence(upgraded, false);
      await pass(40 * SECOND_MS);
      await manager.presence(upgraded, true, [NEW]);
    }
    expect((await look()).state).toMatchObject({ status: 'in_progress', reason: 'settling' });
  });

  it('after its wave has passed opens that wave again', async () => {
    const { manager, look, pass, upgraded, waiting } = await setUp();
    await pass(6 * MINUTE_MS);
    expect((await look()).state.waves.map((wave) => wave.status)).toEqual(['passed', 'open']);
    await manager.presence(upgraded, false);
    await pass(20 * SECOND_MS);
    expect(await manager.ask((await look()).meta.id, waiting)).toMatchObject({ granted: true });
    await pass(45 * SECOND_MS);
    const { state } = await look();
    expect(state).toMatchObject({ status: 'paused', reason: 'nodes_went_offline' });
    expect(state.waves[0]?.status).toBe('open');
  });

  it('is not judged by a process that is young itself: its nodes are on their way back', async () => {
    const { manager, look, upgraded } = await setUp();
    await manager.stop();
    await manager.presence(upgraded, false);
    manager.clock.advance(2 * MINUTE_MS);
    const after = rolloutsOn(manager.database, manager.clock);
    running.push(after);
    after.sweeper.start();
    await after.sweeper.sweep();
    manager.clock.advance(30 * SECOND_MS);
    await after.sweeper.sweep();
    expect((await look()).state.status).toBe('in_progress');
    manager.clock.advance(31 * SECOND_MS);
    await after.sweeper.sweep();
    expect((await look()).state).toMatchObject({ status: 'paused', reason: 'nodes_went_offline' });
  });
});

describeOnBothDatabases('what a node says that it runs', (openTestDatabase) => {
  async function setUp() {
    const manager = rolloutsOn(await openTestDatabase());
    running.push(manager);
    const nodes = await manager.enroll(4);
    const id = await manager.create({ nodes, settleMs: 5 * MINUTE_MS });
    const look = () => lookAt(manager.database, id);
    const [first, second] = (await look()).targets.map((target) => target.nodeId);
    if (first === undefined || second === undefined) throw new Error('no targets');
    /** One health report, as the link takes it, written at once. */
    const health = async (nodeId: string, version: string, phase = 'idle') => {
      const services = [aService({ version, phase } as never)];
      const rest = { disk_free_bytes: 1, spool_backlog: 0 };
      manager.health.record(nodeId, { type: 'health', services, ...rest });
      await manager.health.flush();
    };
    const target = async (nodeId: string) =>
      (await look()).targets.find((one) => one.nodeId === nodeId);
    return { manager, id, look, health, target, first, second };
  }

  it('after its upgrade, when that is something else, is drift and stops the rollout', async () => {
    const { manager, id, look, health, target, first } = await setUp();
    await manager.succeed(id, first);
    await health(first, '2.0.0');
    expect((await look()).state.status).toBe('in_progress');
    await health(first, '1.0.0');
    expect(await target(first)).toMatchObject({ state: 'rolled_back', reason: 'drifted' });
    expect((await look()).state).toMatchObject({ status: 'paused', reason: 'wave_failed' });
    const { items } = await manager.events.read(manager.database.read, {
      after: 0,
      limit: 99,
      groups: 'all',
    });
    expect(items.find((event) => event.type === 'target_drifted')).toMatchObject({
      severity: 'critical',
      node_id: first,
      rollout_id: id,
    });
  });

  it('is heard from its hello as well', async () => {
    const { manager, id, target, first } = await setUp();
    await manager.succeed(id, first);
    await manager.presence(first, true, [aService({ version: '1.0.0' })]);
    expect(await target(first)).toMatchObject({ state: 'rolled_back', reason: 'drifted' });
  });

  it('when it came to the version by other hands, is done', async () => {
    const { manager, id, look, health, target, first, second } = await setUp();
    await health(first, '2.0.0');
    expect(await target(first)).toMatchObject({ state: 'succeeded', reason: 'arrived_by_hand' });
    // Also before its turn: it is not asked to do again what it has done.
    const last = (await look()).targets.at(-1)?.nodeId ?? '';
    await manager.presence(last, true, [NEW]);
    expect(await target(last)).toMatchObject({ state: 'succeeded', reason: 'arrived_by_hand' });
    await manager.succeed(id, second);
    expect((await look()).state.waves[0]?.status).toBe('settling');
    const open = await manager.nodeSide.open(manager.identity(first));
    expect(open).toEqual([]);
  });

  it('in the middle of an update says nothing yet', async () => {
    const { manager, id, health, target, first, second } = await setUp();
    await manager.ask(id, first);
    await health(first, '2.0.0', 'probation');
    expect(await target(first)).toMatchObject({ state: 'swapping' });
    await health(first, '2.0.0');
    expect(await target(first)).toMatchObject({ state: 'swapping' });
    await manager.tell(id, second, 'upgrade_started');
    await health(second, '1.0.0', 'fetching');
    await health(second, '1.0.0');
    expect(await target(second)).toMatchObject({ state: 'downloading' });
  });

  it('of a product that no rollout is about changes nothing', async () => {
    const { look, manager, first } = await setUp();
    const before = await look();
    const services = [aService({ name: 'gate', product: 'gate', version: '2.0.0' })];
    const rest = { disk_free_bytes: 1, spool_backlog: 0 };
    manager.health.record(first, { type: 'health', services, ...rest });
    await manager.health.flush();
    expect(await look()).toEqual(before);
  });
});
