import { expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../../test/support/databases.js';
import { ENABLED, members } from '../../../../test/support/rollout-fleet.js';
import { lookAt, rowsOf } from '../../../../test/support/rollouts.js';
import { instant, type Instant } from '../../../core/kernel/index.js';
import {
  advance,
  planRollout,
  rulesOf,
  STRICT,
  type RolloutState,
} from '../../../core/rollout/index.js';
import type { Database, Tx } from '../../platform/database/index.js';
import {
  appendJournal,
  dueRollouts,
  findRollout,
  insertRollout,
  listRollouts,
  readJournal,
  saveRollout,
  type RolloutMeta,
} from './rollouts.store.js';
import {
  activeOf,
  claimTargets,
  extendDeadlines,
  findTarget,
  firstDeadline,
  listTargets,
  overdueTargets,
  releaseTargets,
  saveTargets,
  targetsInStates,
  type StoredTarget,
} from './targets.store.js';

const NOW = instant(Date.UTC(2026, 10, 21, 8));
const later = (ms: number): Instant => instant(NOW + ms);

const aMeta = (id: string, over: Partial<RolloutMeta> = {}): RolloutMeta => ({
  id,
  groupId: 'grp_east00',
  scopeKind: 'group',
  scopeId: 'grp_east00',
  product: 'edge',
  version: '2.0.0',
  channel: 'stable',
  strategy: 'staged',
  scope: {
    groupId: 'grp_east00',
    subgroups: true,
    labels: { site: 'fra' },
    nodeIds: ['nod_000001'],
    exclude: ['nod_000002'],
  },
  startVersion: '1.5.0',
  reverts: 'rol_000000',
  madeBy: {
    plan: { id: 'pln_000000', name: 'careful', revision: 3 },
    schedule: { id: 'sch_000000', name: 'nightly' },
  },
  skipped: [{ node_id: 'nod_skipped', reason: 'already_current' }],
  createdBy: 'ann',
  createdById: 'tok_00000000',
  createdAt: NOW,
  ...over,
});

function aPlan(id: string, nodeCount: number) {
  const preset = {
    strategy: 'staged',
    percents: [10, 100],
    settleMs: 1_000,
    tolerance: STRICT,
  } as const;
  const { rollout, targets } = planRollout({
    id,
    seed: id,
    terms: {
      strategy: 'staged',
      order: 'sequential',
      nodeDeadlineMs: 60_000,
      maxUnavailable: { percent: 5 },
      expiresAt: later(86_400_000),
      spreadMs: 0,
    },
    rules: rulesOf(preset, { applyAfter: null, approvals: 0, order: 'sequential' }),
    cut: { domain: null, strata: [] },
    members: members(nodeCount),
    now: NOW,
  });
  const stored = targets.map((target): StoredTarget => ({
    ...target,
    nodeName: `edge ${target.nodeId}`,
    service: 'edge',
    fromVersion: '1.0.0',
    updatedAt: NOW,
  }));
  return { rollout, targets: stored };
}

async function insert(database: Database, meta: RolloutMeta, nodeCount = 3) {
  const plan = aPlan(meta.id, nodeCount);
  await database.transaction((tx) => insertRollout(tx, meta, plan.rollout, plan.targets));
  return plan;
}

const saveTarget = (tx: Tx, rolloutId: string, target: StoredTarget, now: Instant) =>
  saveTargets(tx, [{ rolloutId, nodeId: target.nodeId, target }], now);

describeOnBothDatabases('the store of rollouts', (openTestDatabase) => {
  it('gives back what it was given, rollout and targets, also a large one', async () => {
    const database = await openTestDatabase();
    const meta = aMeta('rol_000001');
    const { rollout, targets } = await insert(database, meta, 450);
    expect(await findRollout(database.read, meta.id)).toEqual({
      meta,
      state: rollout,
      journalLength: 0,
    });
    const byPlace = (a: StoredTarget, b: StoredTarget): number =>
      a.wave - b.wave || (a.nodeId < b.nodeId ? -1 : 1);
    expect(await listTargets(database.read, meta.id, null, 1_000)).toEqual(
      [...targets].sort(byPlace),
    );
    expect(await findTarget(database.read, meta.id, 'nod_000007')).toEqual(
      targets.find((target) => target.nodeId === 'nod_000007'),
    );
    expect(await findRollout(database.read, 'rol_unknown')).toBeNull();
    expect(await findTarget(database.read, meta.id, 'nod_unknown')).toBeNull();
  });

  it('saves what the machine decided, with its journal in order', async () => {
    const database = await openTestDatabase();
    const meta = aMeta('rol_000001');
    const { rollout } = await insert(database, meta);
    const { rollout: state, events } = advance(rollout, later(5), ENABLED);
    expect(events.map((event) => event.type)).toContain('wave_opened');
    const many = Array.from({ length: 500 }, () => events).flat();
    await database.transaction(async (tx) => {
      await appendJournal(tx, meta.id, 0, many.slice(0, 3));
      await appendJournal(tx, meta.id, 3, many.slice(3));
      await saveRollout(tx, state, many.length, later(1_000));
    });
    expect(await findRollout(database.read, meta.id)).toEqual({
      meta,
      state,
      journalLength: many.length,
    });
    expect(await readJournal(database.read, meta.id)).toEqual(many);
    expect(await readJournal(database.read, 'rol_unknown')).toEqual([]);
  });

  it('takes no two journal events for one place', async () => {
    const database = await openTestDatabase();
    const write = () =>
      database.transaction((tx) =>
        appendJournal(tx, 'rol_000001', 0, [{ type: 'rollout_started', at: NOW }]),
      );
    await write();
    await expect(write()).rejects.toThrow(/rollout_journal/);
    expect(await rowsOf(database, 'rollout_journal')).toEqual([1]);
  });

  it('keeps writers of one rollout apart, so that none overwrites the other', async () => {
    const database = await openTestDatabase();
    const meta = aMeta('rol_000001');
    await insert(database, meta);
    await Promise.all(
      Array.from({ length: 12 }, () =>
        database.transaction(async (tx) => {
          const found = await findRollout(tx, meta.id, database.kind);
          if (found === null) throw new Error('gone');
          await new Promise((resolve) => setTimeout(resolve, 5));
          await appendJournal(tx, meta.id, found.journalLength, [
            { type: 'rollout_started', at: NOW },
          ]);
          await saveRollout(tx, found.state, found.journalLength + 1, null);
        }),
      ),
    );
    expect((await lookAt(database, meta.id)).journalLength).toBe(12);
    expect(await readJournal(database.read, meta.id)).toHaveLength(12);
  });

  it('saves a target and finds it by state, wave and deadline', async () => {
    const database = await openTestDatabase();
    const meta = aMeta('rol_000001');
    await insert(database, meta, 10);
    const [first, second] = await listTargets(database.read, meta.id, null, 2);
    if (first === undefined || second === undefined) throw new Error('no targets');
    const staged = (target: StoredTarget, deadlineAt: Instant): StoredTarget => ({
      ...target,
      state: 'staged',
      reason: 'upgrade_staged',
      errorCode: null,
      commandId: 'cmd_000001',
      deadlineAt,
      updatedAt: later(7),
    });
    await database.transaction(async (tx) => {
      await saveTarget(tx, meta.id, staged(first, later(200)), later(7));
      await saveTarget(tx, meta.id, staged(second, later(100)), later(7));
    });
    expect(await findTarget(database.read, meta.id, first.nodeId)).toEqual(
      staged(first, later(200)),
    );
    const idsOf = (targets: readonly StoredTarget[]) => targets.map(({ nodeId }) => nodeId);
    const inStates = (wave: number | null) =>
      targetsInStates(database.read, meta.id, ['staged', 'failed'], { wave });
    expect(idsOf(await inStates(null)).sort()).toEqual([first.nodeId, second.nodeId].sort());
    expect(idsOf(await inStates(0))).toEqual([first.nodeId]);
    expect(await firstDeadline(database.read, meta.id)).toBe(later(100));
    const overdue = (now: Instant, limit = 9) =>
      overdueTargets(database.read, meta.id, now, limit).then(idsOf);
    expect(await overdue(later(99))).toEqual([]);
    expect(await overdue(later(200))).toEqual([second.nodeId, first.nodeId]);
    expect(await overdue(later(200), 1)).toEqual([second.nodeId]);
    await database.transaction((tx) => extendDeadlines(tx, meta.id, later(900)));
    expect(await firstDeadline(database.read, meta.id)).toBe(later(900));
    // Those that had none have none.
    expect(await overdue(later(901))).toHaveLength(2);
    expect(await firstDeadline(database.read, 'rol_unknown')).toBeNull();
  });

  it('starts no deadline for whoever waits for a person, however often it is resumed', async () => {
    const database = await openTestDatabase();
    const meta = aMeta('rol_000001');
    await insert(database, meta, 10);
    const [first, second] = await listTargets(database.read, meta.id, null, 2);
    if (first === undefined || second === undefined) throw new Error('no targets');
    const waiting: StoredTarget = {
      ...first,
      state: 'staged',
      reason: 'upgrade_staged_manual',
      errorCode: 'helm_upgrade_required',
      commandId: 'cmd_000001',
      deadlineAt: null,
    };
    const staged = { ...second, state: 'staged', errorCode: null, deadlineAt: later(100) } as const;
    // As a manager before this one may have left it.
    const old = { ...waiting, deadlineAt: later(50) };
    for (const target of [waiting, old]) {
      await database.transaction(async (tx) => {
        await saveTarget(tx, meta.id, target, later(7));
        await saveTarget(tx, meta.id, staged, later(7));
        await extendDeadlines(tx, meta.id, later(900));
        await extendDeadlines(tx, meta.id, later(901));
      });
      const found = await findTarget(database.read, meta.id, first.nodeId);
      expect(found).toMatchObject({ state: 'staged', deadlineAt: null });
      const late = await overdueTargets(database.read, meta.id, later(901), 9);
      expect(late.map(({ nodeId }) => nodeId)).toEqual([second.nodeId]);
    }
  });

  it('gives a node and service to one rollout at a time, and says who is taken', async () => {
    const database = await openTestDatabase();
    const nodes = (...ids: string[]) => ids.map((nodeId) => ({ nodeId, service: 'edge' }));
    const claim = (id: string, ...wanted: string[]) =>
      database.transaction((tx) => claimTargets(tx, id, nodes(...wanted)));
    const many = Array.from({ length: 450 }, (_, index) => `nod_${index}`);
    expect(await claim('rol_000001', ...many)).toEqual([]);
    expect((await claim('rol_000002', 'nod_x', 'nod_3', 'nod_449')).sort()).toEqual([
      'nod_3',
      'nod_449',
    ]);
    const held = () => activeOf(database.read, ['nod_3']);
    expect(await held()).toEqual([{ nodeId: 'nod_3', rolloutId: 'rol_000001', service: 'edge' }]);
    await database.transaction((tx) => releaseTargets(tx, 'rol_000001'));
    expect(await held()).toEqual([]);
    expect(await claim('rol_000003', 'nod_3')).toEqual([]);
  });

  it('lists newest first, by group and status, in pages', async () => {
    const database = await openTestDatabase();
    const made: readonly (readonly [string, string, number])[] = [
      ['rol_000001', 'grp_east00', 1],
      ['rol_000002', 'grp_west00', 2],
      ['rol_000003', 'grp_east00', 2],
      ['rol_000004', 'grp_east00', 3],
    ];
    for (const [id, groupId, at] of made) {
      await insert(database, aMeta(id, { groupId, createdAt: later(at) }));
    }
    const list = async (over: Partial<Parameters<typeof listRollouts>[1]> = {}) => {
      const filter = { groups: 'all' as const, after: null, limit: 10, ...over };
      return (await listRollouts(database.read, filter)).map(({ meta }) => meta.id);
    };
    expect(await list()).toEqual(['rol_000004', 'rol_000003', 'rol_000002', 'rol_000001']);
    expect(await list({ limit: 2 })).toEqual(['rol_000004', 'rol_000003']);
    expect(await list({ after: { at: later(2), id: 'rol_000003' } })).toEqual([
      'rol_000002',
      'rol_000001',
    ]);
    expect(await list({ groups: ['grp_west00'] })).toEqual(['rol_000002']);
    expect(await list({ groups: [] })).toEqual([]);
    expect(await list({ status: 'pending', limit: 1 })).toEqual(['rol_000004']);
    expect(await list({ status: 'complete' })).toEqual([]);
  });

  it('finds running rollouts whose time has come, the longest overdue first', async () => {
    const database = await openTestDatabase();
    const save = async (id: string, status: RolloutState['status'], wakeAt: Instant | null) => {
      const { rollout } = await insert(database, aMeta(id));
      await database.transaction((tx) => saveRollout(tx, { ...rollout, status }, 0, wakeAt));
    };
    await save('rol_000001', 'in_progress', later(50));
    await save('rol_000002', 'in_progress', later(10));
    await save('rol_000003', 'in_progress', later(99));
    await save('rol_000004', 'in_progress', null);
    await save('rol_000005', 'paused', later(1));
    expect(await dueRollouts(database.read, later(50), 9)).toEqual(['rol_000002', 'rol_000001']);
    expect(await dueRollouts(database.read, later(50), 1)).toEqual(['rol_000002']);
    expect(await dueRollouts(database.read, later(9), 9)).toEqual([]);
    // The clock was set back: alarms that were made by it may be far off.
    expect(await dueRollouts(database.read, later(-1), 2)).toEqual(['rol_000002', 'rol_000001']);
  });
});
