import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { describe, expect, it } from 'vitest';
import { MIGRATIONS } from '../../migrations/index.js';
import { countEvents } from '../../src/server/events/event-counts.js';
import { searchEvents, type EventWanted } from '../../src/server/events/event-search.js';
import { EventLog } from '../../src/server/events/index.js';
import { openDatabase } from '../../src/server/platform/database/index.js';
import { makePostgresDatabase, makeTempDir, silentLog } from '../support/databases.js';

const BEFORE = MIGRATIONS.slice(
  0,
  MIGRATIONS.findIndex(({ name }) => name.startsWith('IndexEvents')),
);
const START = 1_763_712_000_000;
const ROWS = 1_300;

describe.each(['sqlite', 'postgres'] as const)('an event log of before the marks (%s)', (kind) => {
  it('is found by them, and counted', async () => {
    const dir = makeTempDir();
    const made = kind === 'postgres' ? await makePostgresDatabase() : null;
    const at = { migrations: BEFORE, migrationsTransactionMode: 'each' } as const;
    const source = new DataSource(
      made === null
        ? { type: 'better-sqlite3', database: join(dir.path, 'bellwether.db'), ...at }
        : { type: 'postgres', url: made.url, installExtensions: false, ...at },
    );
    await source.initialize();
    await source.runMigrations();
    await source.query(`UPDATE event_head SET value = ${ROWS}`);
    for (let id = 1; id <= ROWS; id += 1) {
      const details = id % 600 === 0 ? '{"error_code":"upgrade_unhealthy"}' : '{"odd":"\\u0000"}';
      await source.query(
        `INSERT INTO events (id, at, category, type, severity, node_id, group_id, rollout_id,
           command_id, service, message, details)
         VALUES (${id}, ${START + id * 1_000}, 'upgrade', 'upgrade_rolled_back', 'critical',
           'nod_${100_000 + (id % 7)}', 'grp_default', NULL, NULL, 'edge', 'no', '${details}')`,
      );
    }
    await source.destroy();
    const database = await openDatabase({
      url: made?.url ?? null,
      dataDir: dir.path,
      log: silentLog,
    });
    try {
      const ids = async (wanted: Partial<EventWanted>): Promise<number[]> => {
        const range = { after: 0, through: ROWS };
        const page = { wanted: { groups: 'all' as const, ...wanted }, range, limit: 1_000 };
        const found = await searchEvents(database.read, { ...page, order: 'newest' });
        return found.rows.map(({ id }) => id);
      };
      expect(await ids({ error_code: 'upgrade_unhealthy' })).toEqual([1_200, 600]);
      expect(await ids({ node_id: 'nod_100003' })).toHaveLength(186);
      expect(await ids({ sinceMs: START + 1_299_000 })).toEqual([1_300, 1_299]);
      const { totals } = await countEvents(
        database.read,
        { groups: 'all' },
        { sinceMs: START, untilMs: START + 3_600_000, bucketMinutes: 60, by: 'type' },
      );
      expect(totals).toEqual({ upgrade_rolled_back: ROWS });
      const { items } = await new EventLog().read(database.read, {
        after: ROWS - 1,
        limit: 1,
        groups: 'all',
      });
      expect(items[0]).toMatchObject({ version: 1, clock: 'ok', occurred_at: items[0]?.at });
    } finally {
      await database.close();
      await made?.drop();
      dir.remove();
    }
  });
});
