import { expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import type { Database, Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { AuditLog, type NewAuditEntry } from './index.js';

const caller: Caller = {
  kind: 'token',
  id: 'tok_00000000',
  name: 'ann',
  grants: [],
  requestId: 'req_1',
  ip: '192.0.2.7',
  userAgent: 'curl/8',
};
const anEntry = (over: Partial<NewAuditEntry> = {}): NewAuditEntry => ({
  caller,
  action: 'group.create',
  targetKind: 'group',
  targetId: 'grp_east00',
  groupId: 'grp_east00',
  outcome: 'allowed',
  details: { name: 'east' },
  ...over,
});
const clock = { now: () => Date.UTC(2026, 10, 21, 8) };
const everything = { before: null, limit: 100, groups: 'all' as const };

describeOnBothDatabases('the audit log', (openTestDatabase) => {
  const add = (database: Database, audit: AuditLog, over: Partial<NewAuditEntry> = {}) =>
    database.transaction((tx) => audit.append(tx, anEntry(over)));

  it('keeps what was done, by whom, from where, and when', async () => {
    const database = await openTestDatabase();
    const audit = new AuditLog(clock);
    await add(database, audit);
    expect(await audit.read(database.read, everything)).toEqual([
      {
        id: 1,
        at: '2026-11-21T08:00:00.000Z',
        actor_kind: 'token',
        actor_id: 'tok_00000000',
        actor_name: 'ann',
        action: 'group.create',
        target_kind: 'group',
        target_id: 'grp_east00',
        group_id: 'grp_east00',
        outcome: 'allowed',
        details: { name: 'east' },
        request_id: 'req_1',
        ip: '192.0.2.7',
        user_agent: 'curl/8',
      },
    ]);
  });

  it('keeps nothing of a transaction that was undone, and leaves no gap', async () => {
    const database = await openTestDatabase();
    const audit = new AuditLog(clock);
    await add(database, audit);
    const undone = database.transaction(async (tx) => {
      await audit.append(tx, anEntry());
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    await add(database, audit);
    const ids = (await audit.read(database.read, everything)).map((entry) => entry.id);
    expect(ids).toEqual([2, 1]);
  });

  it('numbers without gaps, in the order of the commits', async () => {
    const database = await openTestDatabase();
    const audit = new AuditLog(clock);
    const committed: string[] = [];
    await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        database.transaction(async (tx: Tx) => {
          await audit.append(tx, anEntry({ targetId: `grp_${index}` }));
          // Whoever appends first does not always commit first.
          await new Promise((resolve) => setTimeout(resolve, (30 - index) % 7));
          tx.afterCommit(() => committed.push(`grp_${index}`));
        }),
      ),
    );
    const entries = (await audit.read(database.read, everything)).reverse();
    expect(entries.map((entry) => entry.id)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(new Set(entries.map((entry) => entry.target_id))).toEqual(new Set(committed));
  });

  it('numbers entries that another work appends during the same commit', async () => {
    const database = await openTestDatabase();
    const audit = new AuditLog(clock);
    await database.transaction(async (tx) => {
      await audit.append(tx, anEntry({ targetId: 'grp_first' }));
      tx.beforeCommit({}, () => audit.append(tx, anEntry({ targetId: 'grp_late' })), 2);
    });
    const entries = await audit.read(database.read, everything);
    expect(entries.map(({ id, target_id }) => [id, target_id])).toEqual([
      [2, 'grp_late'],
      [1, 'grp_first'],
    ]);
  });

  it('is read newest first, by group, by action and in pages', async () => {
    const database = await openTestDatabase();
    const audit = new AuditLog(clock);
    await add(database, audit);
    await add(database, audit, { groupId: 'grp_west00' });
    await add(database, audit, { groupId: null, action: 'token.create' });
    const ids = async (filter: object): Promise<number[]> =>
      (await audit.read(database.read, { ...everything, ...filter })).map((entry) => entry.id);
    expect(await ids({})).toEqual([3, 2, 1]);
    expect(await ids({ groups: ['grp_west00'] })).toEqual([2]);
    expect(await ids({ groups: ['grp_west00', 'grp_east00'] })).toEqual([2, 1]);
    expect(await ids({ groups: [] })).toEqual([]);
    expect(await ids({ action: 'token.create' })).toEqual([3]);
    expect(await ids({ before: 3, limit: 1 })).toEqual([2]);
  });
});
