import { expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import type { Database } from '../platform/database/index.js';
import { EventLog, type NewEvent } from './index.js';

const anEvent = (over: Partial<NewEvent> = {}): NewEvent => ({
  category: 'service',
  type: 'service_healthy',
  severity: 'info',
  nodeId: 'nod_one000',
  groupId: 'grp_east00',
  message: 'healthy',
  details: {},
  at: Date.UTC(2026, 10, 21, 8),
  ...over,
});
const everything = { after: 0, limit: 1_000, groups: 'all' as const };
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

describeOnBothDatabases('the event log', (openTestDatabase) => {
  const setUp = async () => {
    const database = await openTestDatabase();
    const log = new EventLog();
    const add = (...events: NewEvent[]): Promise<void> =>
      database.transaction(async (tx) => log.append(tx, events));
    const ids = async (filter: Partial<Parameters<EventLog['read']>[1]> = {}) =>
      (await log.read(database.read, { ...everything, ...filter })).items.map(({ id }) => id);
    return { database, log, add, ids };
  };

  it('keeps what happened, where, and in which words', async () => {
    const { database, log, add } = await setUp();
    await add(
      anEvent({
        rolloutId: 'rol_000001',
        commandId: 'cmd_000001',
        service: 'edge',
        details: { from: '1.0.0', error_code: null },
      }),
    );
    expect(await log.read(database.read, everything)).toEqual({
      items: [
        {
          id: 1,
          at: '2026-11-21T08:00:00.000Z',
          occurred_at: '2026-11-21T08:00:00.000Z',
          clock: 'ok',
          category: 'service',
          type: 'service_healthy',
          version: 1,
          severity: 'info',
          node_id: 'nod_one000',
          group_id: 'grp_east00',
          rollout_id: 'rol_000001',
          command_id: 'cmd_000001',
          service: 'edge',
          error_code: null,
          message: 'healthy',
          details: { from: '1.0.0', error_code: null },
        },
      ],
      nextAfter: 1,
    });
  });

  it('gives one sequence without gaps to many who append at once', async () => {
    const { database, log, ids } = await setUp();
    const writers = Array.from({ length: 40 }, (_, writer) =>
      database.transaction(async (tx) => {
        log.append(tx, [anEvent({ message: `${writer} first` })]);
        // Whoever appends first does not always commit first.
        await new Promise((resolve) => setTimeout(resolve, (writer * 7) % 11));
        log.append(tx, [anEvent({ message: `${writer} second` })]);
        if (writer % 4 === 0) throw new Error('undone');
      }),
    );
    const ended = await Promise.allSettled(writers);
    expect(ended.filter(({ status }) => status === 'rejected')).toHaveLength(10);
    expect(await ids()).toEqual(upTo(60));
    const { items } = await log.read(database.read, everything);
    // What one transaction appended stands together, in its order.
    for (let index = 0; index < items.length; index += 2) {
      const writer = items[index]?.message.split(' ')[0] ?? '';
      expect([items[index]?.message, items[index + 1]?.message]).toEqual([
        `${writer} first`,
        `${writer} second`,
      ]);
    }
  });

  it('never shows a number after a larger one was read', async () => {
    const { database, log, add } = await setUp();
    const writing = Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let round = 0; round < 15; round += 1) await add(anEvent(), anEvent());
      }),
    );
    const seen: number[] = [];
    let after = 0;
    while (seen.length < 240) {
      const page = await log.read(database.read, { ...everything, after, limit: 7 });
      seen.push(...page.items.map(({ id }) => id));
      after = page.nextAfter;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await writing;
    expect(seen).toEqual(upTo(240));
  });

  it('keeps nothing of a transaction that was undone, and leaves no gap', async () => {
    const { database, log, add, ids } = await setUp();
    await add(anEvent());
    const undone = database.transaction(async (tx) => {
      log.append(tx, [anEvent(), anEvent()]);
      await tx.run('INSERT INTO no_such_table VALUES (1)').catch(() => undefined);
    });
    await expect(undone).rejects.toThrow(/no_such_table/);
    await add(anEvent());
    expect(await ids()).toEqual([1, 2]);
  });

  it('numbers what another work appends during the same commit', async () => {
    const { database, log } = await setUp();
    await database.transaction(async (tx) => {
      log.append(tx, [anEvent({ message: 'first' })]);
      tx.beforeCommit({}, async () => log.append(tx, [anEvent({ message: 'late' })]), 2);
    });
    const { items } = await log.read(database.read, everything);
    expect(items.map(({ id, message }) => [id, message])).toEqual([
      [1, 'first'],
      [2, 'late'],
    ]);
  });

  it('tells its listeners after each commit that added something, until they leave', async () => {
    const { database, log, add } = await setUp();
    const heard: number[] = [];
    const count = async (): Promise<number> =>
      (await log.read(database.read, everything)).items.length;
    const reads: Promise<unknown>[] = [];
    const stop = log.onAppended(() => reads.push(count().then((found) => heard.push(found))));
    await add(anEvent(), anEvent());
    await Promise.all(reads);
    // It was told once for both, and could read them: the commit came first.
    expect(heard).toEqual([2]);
    await add();
    await expect(
      database.transaction(async (tx) => {
        log.append(tx, [anEvent()]);
        throw new Error('undone');
      }),
    ).rejects.toThrow('undone');
    stop();
    await add(anEvent());
    await Promise.all(reads);
    expect(heard).toEqual([2]);
  });

  it('is read by group, category, severity, node and rollout, alone and together', async () => {
    const { add, ids } = await setUp();
    await add(
      anEvent(),
      anEvent({ groupId: 'grp_west00', category: 'upgrade', severity: 'critical' }),
      anEvent({ category: 'upgrade', rolloutId: 'rol_000001', nodeId: null }),
      anEvent({ groupId: 'grp_west00', nodeId: 'nod_two000' }),
    );
    expect(await ids({ groups: ['grp_east00'] })).toEqual([1, 3]);
    expect(await ids({ groups: ['grp_east00', 'grp_west00'] })).toEqual([1, 2, 3, 4]);
    expect(await ids({ groups: [] })).toEqual([]);
    expect(await ids({ category: 'upgrade' })).toEqual([2, 3]);
    expect(await ids({ severity: 'critical' })).toEqual([2]);
    expect(await ids({ node_id: 'nod_two000' })).toEqual([4]);
    expect(await ids({ rollout_id: 'rol_000001' })).toEqual([3]);
    expect(await ids({ category: 'upgrade', groups: ['grp_west00'] })).toEqual([2]);
    expect(await ids({ category: 'upgrade', node_id: 'nod_two000' })).toEqual([]);
  });

  it('goes on after a number, page by page, and stays at its end', async () => {
    const { database, log, add } = await setUp();
    await add(...upTo(5).map(() => anEvent()));
    const page = async (after: number, limit: number) => {
      const { items, nextAfter } = await log.read(database.read, { ...everything, after, limit });
      return { ids: items.map(({ id }) => id), nextAfter };
    };
    expect(await page(0, 2)).toEqual({ ids: [1, 2], nextAfter: 2 });
    expect(await page(2, 2)).toEqual({ ids: [3, 4], nextAfter: 4 });
    expect(await page(4, 2)).toEqual({ ids: [5], nextAfter: 5 });
    expect(await page(5, 2)).toEqual({ ids: [], nextAfter: 5 });
    // A cursor from another installation does not lead backwards.
    expect(await page(99, 2)).toEqual({ ids: [], nextAfter: 99 });
  });

  it('looks at a bounded stretch for one page, and a rare event is still found', async () => {
    const { database, log, add } = await setUp();
    await fill(database, log, 25_000);
    await add(anEvent({ category: 'upgrade' }));
    const filter = { ...everything, category: 'upgrade' };
    const first = await log.read(database.read, filter);
    expect(first).toEqual({ items: [], nextAfter: 20_000 });
    const second = await log.read(database.read, { ...filter, after: first.nextAfter });
    expect(second.items.map(({ id }) => id)).toEqual([25_001]);
    expect(second.nextAfter).toBe(25_001);
    // Nobody's groups: nothing to see, and nothing to wait at.
    const none = await log.read(database.read, { ...everything, groups: [], after: 3 });
    expect(none).toEqual({ items: [], nextAfter: 20_003 });
  });
});

async function fill(database: Database, log: EventLog, count: number): Promise<void> {
  for (let done = 0; done < count; done += 5_000) {
    await database.transaction(async (tx) => {
      log.append(
        tx,
        upTo(5_000).map(() => anEvent()),
      );
    });
  }
}
