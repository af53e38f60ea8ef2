import { expect, it } from 'vitest';
import { describeOnBothDatabases, silentLog } from '../../../test/support/databases.js';
import { EventsVerifier } from '../../core/seal/index.js';
import { DAY_MS } from '../../core/kernel/index.js';
import { EventExport } from './event-export.js';
import type { EventViews } from './event-views.js';
import { EventLog, type NewEvent } from './index.js';
import { SEGMENT_AGE_MS, SEGMENT_EVENTS_MAX, Seals } from './seals.js';

const START = Date.UTC(2026, 10, 21, 8);

describeOnBothDatabases('the seals of the event log', (openTestDatabase) => {
  const setUp = async (retention: { days?: number; count?: number } = {}) => {
    const database = await openTestDatabase();
    const log = new EventLog();
    let now = START;
    const clock = { now: () => now };
    const config = {
      eventRetentionDays: retention.days ?? null,
      eventRetentionCount: retention.count ?? null,
    };
    const sealing = () => new Seals(database, log, clock, silentLog, config);
    const seals = sealing();
    // Who may see what is not looked at here.
    const views = new (await import('./event-views.js')).EventViews(
      undefined as never,
      undefined as never,
      log,
    ) satisfies EventViews;
    const exports = new EventExport(database, views, seals);
    const happen = (count: number, over: Partial<NewEvent> = {}): Promise<void> =>
      database.transaction(async (tx) => {
        log.append(
          tx,
          Array.from({ length: count }, (_, index) => ({
            category: 'service' as const,
            type: 'service_healthy' as const,
            severity: 'info' as const,
            nodeId: 'nod_one000',
            groupId: index % 3 === 0 ? 'grp_west00' : 'grp_east00',
            message: `event ${index} \u0000 \ud83d\ude00 "quoted"\n`,
            details: { number: 0.5, text: 'ä\u0000\u2028', nothing: null },
            at: now,
            ...over,
          })),
        );
      });
    const list = (groups: 'all' | readonly string[] = 'all') =>
      seals.list(database.read, { after: 0, through: 1_000_000, limit: 100, groups });
    const text = async (groups: 'all' | readonly string[], after = 0): Promise<string[]> => {
      const lines = await exports.withProof(groups, { after, through: Infinity });
      let all = '';
      for await (const some of lines) all += some;
      return all.split('\n').slice(0, -1);
    };
    const verify = (lines: readonly string[]) => {
      const verifier = new EventsVerifier();
      for (const line of lines) {
        const taken = verifier.line(Buffer.from(line));
        if (!taken.ok) throw new Error(taken.error.message);
      }
      const end = verifier.end();
      if (!end.ok) throw new Error(end.error.message);
      return end.value;
    };
    const advance = (ms: number): void => void (now += ms);
    return { database, log, seals, sealing, happen, list, text, verify, advance };
  };

  it('are made when there are many events, or when the first one is old', async () => {
    const { seals, happen, list, advance } = await setUp();
    await happen(10);
    await seals.look();
    expect(await list()).toEqual([]);
    await happen(SEGMENT_EVENTS_MAX);
    await seals.look();
    expect((await list()).map(({ seal }) => [seal.firstId, seal.lastId])).toEqual([
      [1, SEGMENT_EVENTS_MAX],
    ]);
    advance(SEGMENT_AGE_MS);
    await seals.look();
    expect((await list()).map(({ seal }) => seal.lastId)).toEqual([
      SEGMENT_EVENTS_MAX,
      SEGMENT_EVENTS_MAX + 10,
    ]);
  });

  it('are the same whoever makes them, and several at once make one', async () => {
    const { seals, sealing, happen, list } = await setUp();
    await happen(300);
    const others = [sealing(), sealing(), seals];
    await Promise.all(others.map((one) => one.sealNow()));
    await happen(20);
    await Promise.all(others.map((one) => one.sealNow()));
    const made = await list();
    expect(made.map(({ seal }) => [seal.firstId, seal.lastId])).toEqual([
      [1, 300],
      [301, 320],
    ]);
    expect(made[1]?.seal.previous).toBe(made[0]?.seal.hash);
  });

  it('prove an export of everything, and of some groups, byte for byte', async () => {
    const { happen, text, verify, advance } = await setUp();
    await happen(50);
    const all = await text('all');
    expect(verify(all)).toMatchObject({ events: 50, segments: 1, sealedThrough: 50, unsealed: 0 });
    const west = await text(['grp_west00']);
    expect(verify(west)).toMatchObject({ events: 17, sealedThrough: 50 });
    expect(west.join('')).not.toContain('grp_east00');
    expect(verify(await text(['grp_empty0']))).toMatchObject({ events: 0, sealedThrough: 50 });
    // Within ten seconds nothing more is sealed; it is read, and said to be unproven.
    await happen(5);
    expect(verify(await text('all'))).toMatchObject({ events: 55, sealedThrough: 50, unsealed: 5 });
    advance(10_000);
    expect(verify(await text('all'))).toMatchObject({ segments: 2, sealedThrough: 55 });
    // A later part begins where its segment does.
    expect(verify(await text('all', 52))).toMatchObject({ events: 5, segments: 1 });
    expect(() => verify(all.toSpliced(9, 1))).toThrow(/^missing/);
    expect(() => verify(all.with(9, (all[9] ?? '').replace('event', 'evenT')))).toThrow(/^changed/);
  });

  it('outlive their events, which go by age, whole segments at a time', async () => {
    const { database, log, seals, happen, list, text, verify, advance } = await setUp({ days: 7 });
    await happen(600);
    await seals.sealNow();
    advance(5 * DAY_MS);
    await happen(600);
    await seals.sealNow();
    await seals.look();
    expect((await log.head(database.read)).prunedThrough).toBe(0);
    advance(3 * DAY_MS);
    await seals.look();
    expect((await log.head(database.read)).prunedThrough).toBe(600);
    const { items } = await log.read(database.read, { after: 0, limit: 5, groups: 'all' });
    expect(items[0]?.id).toBe(601);
    expect(await list()).toHaveLength(2);
    expect(verify(await text('all'))).toMatchObject({ events: 600, segments: 1 });
    await expect(text('all', 300)).rejects.toMatchObject({
      code: 'events_pruned',
      context: { oldest: 601, newest: 1200 },
    });
    // A block that is gone leaves no marks.
    const row = await database.read.get<{ block: number }>(
      'SELECT MIN(block) AS block FROM event_marks',
    );
    expect(row?.block).toBe(1);
  });

  it('let events go by number too, and never what is not sealed', async () => {
    const { database, log, seals, happen } = await setUp({ count: 10_000 });
    await happen(9_000);
    await happen(9_000);
    await seals.look();
    expect(await log.head(database.read)).toEqual({ last: 18_000, prunedThrough: 0 });
    await happen(2_000);
    await seals.look();
    const { prunedThrough } = await log.head(database.read);
    expect(prunedThrough).toBe(SEGMENT_EVENTS_MAX);
    expect(await seals.sealedThrough(database.read)).toBe(2 * SEGMENT_EVENTS_MAX);
  });
});
