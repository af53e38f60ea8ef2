import { expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import { seededRandom, type Random } from '../../core/kernel/index.js';
import { SEVERITIES, type EventType } from '../../protocol/index.js';
import type { Database } from '../platform/database/index.js';
import { countEvents } from './event-counts.js';
import { BLOCK_EVENTS } from './event-index.js';
import { toEvent, type EventRow } from './event-rows.js';
import { matcherOf, searchEvents, type EventWanted, type Order } from './event-search.js';
import { EventLog, type NewEvent } from './index.js';

const START = Date.UTC(2026, 10, 21, 8);
const GROUPS = ['grp_east00', 'grp_west00', 'grp_north0'];
const TYPES: readonly EventType[] = ['service_healthy', 'service_exited', 'rollout_paused'];
const pick = <T>(random: Random, from: readonly T[]): T => from[random.below(from.length)] as T;

/** Rare things and common ones, so that every way of searching is walked. */
function anEvent(random: Random, index: number): NewEvent {
  const isRare = random.below(700) === 0;
  return {
    category: 'service',
    type: isRare ? 'upgrade_rolled_back' : pick(random, TYPES),
    severity: isRare ? 'critical' : pick(random, ['info', 'info', 'info', 'warning'] as const),
    nodeId: `nod_${100_000 + random.below(300)}`,
    groupId: isRare ? 'grp_rare00' : pick(random, GROUPS),
    rolloutId: random.below(10) === 0 ? `rol_${100_000 + random.below(20)}` : null,
    message: pick(random, ['Disk is 100% full', 'disk_ok', 'back\\slash', 'ÄRGER', 'plain']),
    details: isRare ? { error_code: 'upgrade_unhealthy' } : {},
    // Not quite in order: clocks of managers differ.
    at: START + index * 1_000 + random.below(5_000),
  };
}

function aFilter(random: Random): EventWanted {
  const maybe = <T>(value: T): T | undefined => (random.below(4) === 0 ? value : undefined);
  const since = START + random.below(3_000) * 1_000;
  return {
    groups: random.below(2) === 0 ? 'all' : GROUPS.slice(random.below(3)).concat('grp_rare00'),
    category: maybe(['service', 'upgrade'] as const),
    type: maybe([pick(random, TYPES), 'upgrade_rolled_back']),
    severity: random.below(8) === 0 ? pick(random, SEVERITIES) : undefined,
    min_severity: maybe(pick(random, SEVERITIES)),
    node_id: maybe(`nod_${100_000 + random.below(300)}`),
    rollout_id: maybe(`rol_${100_000 + random.below(20)}`),
    error_code: random.below(10) === 0 ? 'upgrade_unhealthy' : undefined,
    sinceMs: maybe(since),
    untilMs: maybe(since + random.below(2_000) * 1_000),
    text: maybe(pick(random, ['DISK', '100% f', 'k_o', '\\', 'Ärg', 'ÄRG'])),
  };
}

describeOnBothDatabases('a search in the events', (openTestDatabase, kind) => {
  const fill = async (count: number): Promise<Database> => {
    const database = await openTestDatabase();
    const log = new EventLog();
    const random = seededRandom('search');
    for (let done = 0; done < count; done += 250) {
      await database.transaction(async (tx) => {
        const events = Array.from({ length: 250 }, (_, at) => anEvent(random, done + at));
        log.append(tx, events);
      });
    }
    return database;
  };
  const all = (database: Database): Promise<EventRow[]> =>
    database.read.all<EventRow>('SELECT * FROM events ORDER BY id');
  const pages = async (
    database: Database,
    wanted: EventWanted,
    order: Order,
    limit: number,
    last: number,
  ): Promise<number[]> => {
    const ids: number[] = [];
    let range = { after: 0, through: last };
    for (;;) {
      const { rows, next } = await searchEvents(database.read, { wanted, range, order, limit });
      expect(rows.length).toBeLessThanOrEqual(limit);
      ids.push(...rows.map(({ id }) => id));
      if (next === null) return ids;
      const moved =
        order === 'oldest' ? { ...range, after: next } : { ...range, through: next - 1 };
      expect(moved).not.toEqual(range);
      range = moved;
    }
  };

  it('finds in both directions what a look at each event would find', async () => {
    const database = await fill(3_000);
    const rows = await all(database);
    const random = seededRandom('filters');
    for (let round = 0; round < (kind === 'sqlite' ? 300 : 100); round += 1) {
      const wanted = aFilter(random);
      // The rule for live readers is the same rule.
      const expected = rows.filter(matcherOf(wanted)).map(({ id }) => id);
      const limit = 1 + random.below(200);
      const found = await pages(database, wanted, 'oldest', limit, 3_000);
      expect([JSON.stringify(wanted), found]).toEqual([JSON.stringify(wanted), expected]);
      const newest = await pages(database, wanted, 'newest', limit, 3_000);
      expect(newest).toEqual(expected.toReversed());
    }
  });

  it('means by the filter of a live reader what it says', async () => {
    const database = await fill(500);
    const rows = (await all(database)).map(toEvent);
    const ids = async (wanted: Partial<EventWanted>): Promise<number[]> => {
      const page = { range: { after: 0, through: 500 }, order: 'oldest', limit: 500 } as const;
      const found = await searchEvents(database.read, {
        wanted: { groups: 'all', ...wanted },
        ...page,
      });
      return found.rows.map(({ id }) => id);
    };
    const where = (fits: (event: (typeof rows)[number]) => boolean): number[] =>
      rows.filter(fits).map(({ id }) => id);
    expect(await ids({ text: '100% F' })).toEqual(where((e) => e.message.includes('100%')));
    expect(await ids({ text: '_' })).toEqual(where((e) => e.message.includes('_')));
    expect(await ids({ min_severity: 'warning' })).toEqual(where((e) => e.severity !== 'info'));
    expect(await ids({ groups: ['grp_east00'] })).toEqual(
      where((e) => e.group_id === 'grp_east00'),
    );
    expect(await ids({ type: [], groups: 'all' })).toEqual([]);
    const sinceMs = START + 100_000;
    expect(await ids({ sinceMs })).toEqual(where((e) => Date.parse(e.at) >= sinceMs));
  });

  it('for a rare thing looks at the blocks that hold it, and no others', async () => {
    const database = await fill(3_000);
    const rare = (await all(database)).filter((row) => row.error_code !== null);
    const marked = await database.read.all<{ block: number }>(
      `SELECT block FROM event_marks WHERE key = 'e:upgrade_unhealthy' ORDER BY block`,
    );
    const blocks = new Set(rare.map(({ id }) => Math.floor((id - 1) / BLOCK_EVENTS)));
    expect(marked.map(({ block }) => block)).toEqual([...blocks]);
    expect(rare.length).toBeGreaterThan(0);
  });

  it('is counted over time without looking at any event', async () => {
    const database = await fill(3_000);
    const rows = await all(database);
    await database.transaction((tx) => tx.run('DELETE FROM events'));
    const asked = { sinceMs: START, untilMs: START + 3_600_000, bucketMinutes: 10 } as const;
    const counts = await countEvents(
      database.read,
      { groups: ['grp_east00', 'grp_rare00'], min_severity: 'warning' },
      { ...asked, by: 'type' },
    );
    const expected = rows.filter(
      (row) => ['grp_east00', 'grp_rare00'].includes(row.group_id) && row.severity !== 'info',
    );
    const sum = Object.values(counts.totals).reduce((a, b) => a + b, 0);
    expect(sum).toBe(expected.length);
    expect(counts.buckets.length).toBeGreaterThan(4);
    for (const { at, counts: inBucket } of counts.buckets) {
      const from = Date.parse(at);
      const here = expected.filter((row) => row.at >= from && row.at < from + 600_000);
      for (const [type, count] of Object.entries(inBucket)) {
        expect(count).toBe(here.filter((row) => row.type === type).length);
      }
    }
    const tooMany = { ...asked, untilMs: START + 86_400_000 * 60, by: 'type' as const };
    await expect(countEvents(database.read, { groups: 'all' }, tooMany)).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });
});
