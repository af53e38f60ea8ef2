import { pino, type Logger } from 'pino';
import { afterEach, expect, it } from 'vitest';
import { describeOnBothDatabases, silentLog } from '../../../test/support/databases.js';
import { makeClock } from '../../../test/support/manager.js';
import { aService } from '../../../test/support/node-link.js';
import { ann, lookAt, rolloutsOn, type TestRollouts } from '../../../test/support/rollouts.js';
import { HOUR_MS, instant, MINUTE_MS } from '../../core/kernel/index.js';
import { STRICT, type PresetSpec, type RingSpec } from '../../core/rollout/index.js';
import { listRollouts } from './tables/rollouts.store.js';

const running: TestRollouts[] = [];
afterEach(async () => {
  for (const rollouts of running.splice(0)) await rollouts.stop();
});

const ring = (name: string, waitMs = 0) => ({
  name,
  selector: { by: 'ring', ring: name } as const,
  window: null,
  waitMs,
  canaryCount: 0,
});
const EVERYBODY = {
  groupId: 'grp_default',
  subgroups: true,
  labels: {},
  nodeIds: null,
  exclude: [],
};
const scheduled = (...rings: RingSpec[]): PresetSpec => ({
  strategy: 'scheduled',
  rings,
  donePercent: 100,
  settleMs: 0,
  tolerance: STRICT,
});
/** Ring b waits an hour after ring a. */
const SCHEDULED = scheduled(ring('a'), ring('b', HOUR_MS));

describeOnBothDatabases('a node that comes later', (openTestDatabase) => {
  async function setUp(
    over: { startVersion?: string; preset?: PresetSpec } = {},
    log: Logger = silentLog,
  ) {
    const manager = rolloutsOn(await openTestDatabase(), makeClock(), log);
    running.push(manager);
    await manager.wakeups.close();
    for (const version of ['1.0.0', '1.5.0', '2.0.0']) await manager.publish(version);
    const nodes = [
      ...(await manager.enroll(1, { labels: { ring: 'a' } })),
      ...(await manager.enroll(1, { labels: { ring: 'b' } })),
    ];
    const id = await manager.create({ nodes, preset: over.preset ?? SCHEDULED, ...over });
    manager.clock.advance(1_000);
    const look = () => lookAt(manager.database, id);
    const sweep = () => manager.sweeper.sweep();
    const late = async (label: string, version = '1.0.0', groupId = 'grp_default') => {
      const [node] = await manager.enroll(1, {
        labels: { ring: label },
        groupId,
        services: [aService({ version })],
      });
      if (node === undefined) throw new Error('no node');
      return node.id;
    };
    const target = async (nodeId: string) =>
      (await look()).targets.find((one) => one.nodeId === nodeId);
    /** Its rollouts, newest first. */
    const all = () =>
      listRollouts(manager.database.read, { groups: 'all', after: null, limit: 50 });
    return { manager, id, look, sweep, late, target, all };
  }

  it('joins its ring, and gets the target at once when that is open', async () => {
    const { late, sweep, target, look } = await setUp();
    const [open, waits] = [await late('a'), await late('b')];
    await sweep();
    expect(await target(open)).toMatchObject({ wave: 0, state: 'pending' });
    expect(await target(waits)).toMatchObject({ wave: 1, state: 'pending' });
    await sweep();
    expect(await target(open)).toMatchObject({ state: 'offered' });
    const { state, counts } = await look();
    expect(state.waves.map((wave) => wave.size)).toEqual([2, 2]);
    expect(state.waves.map((wave) => wave.counts)).toEqual(counts);
  });

  it('waits while the artifact is gone, and joins when it is back', async () => {
    const { manager, late, sweep, target } = await setUp();
    const node = await late('a');
    await manager.loseArtifact('2.0.0');
    await sweep();
    expect(await target(node)).toBeUndefined();
    await manager.publish('2.0.0');
    await sweep();
    await sweep();
    expect(await target(node)).toMatchObject({ wave: 0 });
  });

  it('before its ring opens gets the start version first, then joins, then the target', async () => {
    const { manager, id, late, sweep, target, all } = await setUp({ startVersion: '1.5.0' });
    const node = await late('b');
    await sweep();
    expect(await target(node)).toBeUndefined();
    const [own] = await all();
    expect(own?.meta).toMatchObject({
      version: '1.5.0',
      scopeKind: 'node',
      scopeId: node,
      createdBy: 'rollout orchestrator',
    });
    // As long as that runs it is not asked for twice.
    await sweep();
    expect(await all()).toHaveLength(2);
    await manager.succeed(own?.meta.id ?? '', node);
    await manager.presence(node, true, [aService({ version: '1.5.0' })]);
    await sweep();
    await sweep();
    expect(await target(node)).toMatchObject({ wave: 1, state: 'pending', fromVersion: '1.5.0' });
    expect(await all()).toHaveLength(2);
    const [first] = (await lookAt(manager.database, id)).targets;
    await manager.succeed(id, first?.nodeId ?? '');
    manager.clock.advance(HOUR_MS);
    await sweep();
    expect(await target(node)).toMatchObject({ state: 'offered' });
  });

  it('whose ring is open gets the target itself, whatever the start version is', async () => {
    const { late, sweep, target, all } = await setUp({ startVersion: '1.5.0' });
    const node = await late('a');
    await sweep();
    await sweep();
    expect(await target(node)).toMatchObject({ wave: 0, state: 'offered' });
    expect(await all()).toHaveLength(1);
  });

  it('does not join when it is no business of the rollout', async () => {
    const { manager, late, sweep, look } = await setUp();
    const before = await look();
    await late('c');
    await late('a', '2.0.0');
    await manager.enroll(1, { labels: { ring: 'a' }, services: [] });
    const busy = await late('a');
    const [node] = await manager.scopes.nodesOf({ ...EVERYBODY, nodeIds: [busy] });
    if (node === undefined) throw new Error('no node');
    await manager.create({ nodes: [node], version: '1.5.0', asNode: true });
    await sweep();
    expect((await look()).targets).toHaveLength(before.targets.length);
  });

  it('joins no rollout of another kind: those are of the nodes that were there', async () => {
    const { late, sweep, look } = await setUp({ preset: { strategy: 'immediate' } });
    await late('a');
    await sweep();
    expect((await look()).targets).toHaveLength(2);
  });

  it('is found behind any number of those that do not fit', async () => {
    const { manager, late, sweep, target } = await setUp();
    await manager.enroll(130, { labels: { ring: 'c' } });
    manager.clock.advance(1_000);
    const node = await late('a');
    await sweep();
    await sweep();
    expect(await target(node)).toMatchObject({ wave: 0 });
    // And the look begins anew at the end of the line.
    manager.clock.advance(1_000);
    const next = await late('a');
    await sweep();
    await sweep();
    expect(await target(next)).toMatchObject({ wave: 0 });
  });

  it('does not hold up others when upgrades are switched off where it is', async () => {
    const { manager, late, sweep, target } = await setUp({ startVersion: '1.5.0' });
    const closed = await manager.group('closed');
    const { book, database } = manager;
    await database.transaction((tx) =>
      book.set(tx, {
        groupId: closed,
        mode: 'disabled',
        note: '',
        setBy: 'ann',
        setAt: instant(0),
      }),
    );
    const held = await late('b', '1.0.0', closed);
    manager.clock.advance(1);
    const node = await late('a');
    await sweep();
    expect(await target(held)).toBeUndefined();
    expect(await target(node)).toMatchObject({ wave: 0 });
  });

  it('is not forgotten because another rollout cannot be read; that is told', async () => {
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    const { manager, id, late, sweep, target } = await setUp({}, log);
    const closed = await manager.group('closed');
    const [other] = await manager.enroll(1, { groupId: closed, labels: { ring: 'a' } });
    if (other === undefined) throw new Error('no node');
    const broken = await manager.create({
      nodes: [other],
      preset: scheduled(ring('a')),
      scope: { groupId: closed },
    });
    // Older than the good one: it comes first in the sweep.
    await manager.database.transaction((tx) =>
      tx.run(`UPDATE rollouts SET plan = '{', created_at = 1, next_wake_at = NULL WHERE id = ?`, [
        broken,
      ]),
    );
    const node = await late('a');
    await sweep();
    expect(await target(node)).toMatchObject({ wave: 0 });
    const told = lines.map((line) => JSON.parse(line) as { what: string; msg: string });
    expect(told.map(({ what }) => what)).toEqual([`nodes that came later than rollout ${broken}`]);
    expect(told[0]?.msg).toBe('the sweep could not see to this; it tries again');
    expect(lines[0]).not.toContain(id);
  });

  it('does not wait for ever in a wave that was skipped: the rollout ends without it', async () => {
    const { manager, id, late, sweep, target, look } = await setUp();
    await manager.orchestrator.verb(id, { verb: 'skip_wave', wave: 1 }, ann);
    const node = await late('b');
    await sweep();
    expect(await target(node)).toBeUndefined();
    const [first] = (await look()).targets;
    await manager.succeed(id, first?.nodeId ?? '');
    manager.clock.advance(MINUTE_MS);
    await sweep();
    expect((await look()).state.status).toBe('complete');
  });
});
