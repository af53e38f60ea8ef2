import { setImmediate as turn } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { describeOnBothDatabases, silentLog } from '../../../../test/support/databases.js';
import type { Database, Sql } from '../../platform/database/index.js';
import { EventLog, type NewEvent } from '../index.js';
import { Tail } from './tail.js';

const anEvent = (): NewEvent => ({
  category: 'service',
  type: 'service_healthy',
  severity: 'info',
  nodeId: 'nod_one000',
  groupId: 'grp_east00',
  message: 'healthy',
  details: {},
  at: Date.UTC(2026, 10, 21, 8),
});
const from = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** The same database; its answers arrive when they are let through, in any order. */
function withSlowAnswers(database: Database) {
  const waiting: { readonly what: 'get' | 'all'; readonly go: () => void }[] = [];
  let isSlow = false;
  const late = async <T>(what: 'get' | 'all', answer: Promise<T>): Promise<T> => {
    const value = await answer;
    if (isSlow) await new Promise<void>((go) => waiting.push({ what, go }));
    return value;
  };
  const { read } = database;
  const slowRead: Sql = {
    ...read,
    get: (sql, params) => late('get', read.get(sql, params)),
    all: (sql, params) => late('all', read.all(sql, params)),
  };
  const slow = Object.create(database, { read: { value: slowRead } }) as Database;
  const asked = (what: 'get' | 'all'): Promise<void> =>
    vi.waitFor(() => expect(waiting.map((one) => one.what)).toContain(what));
  return {
    slow,
    asked,
    hold: () => void (isSlow = true),
    /** The one that has waited longest of its kind. */
    let: async (what: 'get' | 'all') => {
      await asked(what);
      waiting
        .splice(
          waiting.findIndex((one) => one.what === what),
          1,
        )[0]
        ?.go();
    },
    release: () => {
      isSlow = false;
      for (const { go } of waiting.splice(0)) go();
    },
  };
}

describeOnBothDatabases('the end of the event log', (openTestDatabase) => {
  const setUp = async () => {
    const database = await openTestDatabase();
    const log = new EventLog();
    const answers = withSlowAnswers(database);
    const tail = new Tail(answers.slow, log, silentLog);
    const add = (count: number): Promise<void> =>
      database.transaction(async (tx) => log.append(tx, Array.from({ length: count }, anEvent)));
    const after = (id: number) => tail.after(id)?.map(({ row }) => row.id) ?? null;
    return { tail, add, after, answers };
  };
  const nobody = (): void => undefined;

  it('is held from its first reader on, and shown after any id of it', async () => {
    const { tail, add, after } = await setUp();
    await add(10);
    expect(await tail.join(nobody)).toBe(10);
    await add(5);
    await vi.waitFor(() => expect(after(10)).toEqual(from(11, 15)));
    expect([after(13), after(15), after(9)]).toEqual([[14, 15], [], null]);
    tail.leave(nobody);
  });

  it('has no hole and no double for a reader that comes while the last one goes', async () => {
    const { tail, add, after, answers } = await setUp();
    await add(10);
    await tail.join(nobody);
    answers.hold();
    await add(5);
    // The head is known; the page with 11 to 15 is on its way when the last reader goes.
    await answers.let('get');
    await answers.asked('all');
    tail.leave(nobody);
    await add(3);
    const another = (): void => undefined;
    const joining = tail.join(another);
    // It asks for the head, and the page of before comes first.
    await answers.asked('get');
    await answers.let('all');
    await turn();
    answers.release();
    expect(await joining).toBe(18);
    await add(2);
    await vi.waitFor(() => expect(after(18)).toEqual([19, 20]));
    // Whatever is held is what stands there.
    for (const id of from(0, 20)) expect(after(id) ?? from(id + 1, 20)).toEqual(from(id + 1, 20));
    tail.leave(another);
  });
});
