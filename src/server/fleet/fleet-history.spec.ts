import { expect, it } from 'vitest';
import { describeOnBothDatabases, silentLog } from '../../../test/support/databases.js';
import { aHost, comes } from '../../../test/support/manager.js';
import { aHello, aService } from '../../../test/support/node-link.js';
import { DAY_MS, HOUR_MS } from '../../core/kernel/index.js';
import { FleetCensus } from './fleet-census.js';
import { FleetHistory } from './fleet-history.js';
import { Nodes } from './nodes.store.js';
import { SoftwareBook } from './software-book.js';

const START = Date.parse('2026-11-20T08:00:00Z');

describeOnBothDatabases('the fleet over time', (openTestDatabase) => {
  const setUp = async () => {
    const database = await openTestDatabase();
    const nodes = new Nodes(database);
    const software = new SoftwareBook(database);
    const census = new FleetCensus(database, software);
    const clock = { at: START, now: (): number => clock.at };
    const history = new FleetHistory(database, census, software, clock, silentLog);
    const runs = (id: string, version: string) =>
      database.transaction(async (tx) => {
        if ((await nodes.find(id, tx)) === null) {
          await nodes.create(tx, {
            id,
            name: id,
            groupId: 'grp_default',
            publicKey: 'k',
            host: aHost(),
            now: clock.at,
          });
        }
        const hello = aHello({ services: [aService({ version })] });
        await comes(tx, database, id, { hello, now: clock.at });
      });
    const read = async (
      hours: number,
      groups: 'all' | string[] = 'all',
    ): Promise<Record<string, (number | null)[]>> => {
      const { series } = await history.read(groups, {
        product: 'edge',
        sinceMs: START,
        untilMs: START + hours * HOUR_MS,
        stepHours: 1,
      });
      return Object.fromEntries(series.map((one) => [one.version ?? '', one.nodes]));
    };
    const rows = async () =>
      (await database.read.get<{ n: number }>('SELECT COUNT(*) AS n FROM fleet_spans'))?.n;
    return { clock, history, census, runs, read, rows };
  };

  it('is counted each hour; hours without news are one row, hours without a manager a gap', async () => {
    const { clock, history, runs, read, rows } = await setUp();
    await runs('nod_one000', '1.0.0');
    await runs('nod_two000', '1.0.0');
    for (let hour = 0; hour < 5; hour += 1) {
      clock.at = START + hour * HOUR_MS;
      await history.count();
    }
    expect(await rows()).toBe(1);
    await runs('nod_two000', '1.1.0');
    clock.at = START + 5 * HOUR_MS;
    await history.count();
    clock.at = START + 7 * HOUR_MS;
    await history.count();
    expect(await read(8)).toEqual({
      '1.0.0': [2, 2, 2, 2, 2, 1, null, 1],
      '1.1.0': [0, 0, 0, 0, 0, 1, null, 1],
    });
    expect(await read(8, [])).toEqual({});
  });

  it('holds the last count of an hour, whatever was counted in it before', async () => {
    const { clock, history, runs, read } = await setUp();
    await runs('nod_one000', '1.0.0');
    await history.count();
    clock.at = START + HOUR_MS;
    await history.count();
    for (const version of ['1.1.0', '1.2.0', '1.0.0', '1.1.0', '1.0.0']) {
      await runs('nod_one000', version);
      await history.count();
      await history.count();
      expect(await read(2)).toEqual(
        version === '1.0.0' ? { '1.0.0': [1, 1] } : { '1.0.0': [1, 0], [version]: [0, 1] },
      );
    }
  });

  it('is forgotten after 90 days', async () => {
    const { clock, history, runs, rows } = await setUp();
    await runs('nod_one000', '1.0.0');
    await history.count();
    clock.at = START + 91 * DAY_MS;
    await runs('nod_one000', '2.0.0');
    await history.count();
    expect(await rows()).toBe(1);
  });

  it('is summed up as it is now', async () => {
    const { clock, census, runs } = await setUp();
    await runs('nod_one000', '1.0.0');
    await runs('nod_two000', '1.1.0');
    const summary = await census.take('all', { product: undefined, now: clock.at });
    expect(summary).toMatchObject({
      nodes: 2,
      by_status: { online: 2 },
      by_upgrader: { agent: 2 },
      by_upgrade: { none: 2 },
      products: [{ product: 'edge', nodes: 2 }],
    });
    expect(summary.products[0]?.versions.map(({ version }) => version).sort()).toEqual([
      '1.0.0',
      '1.1.0',
    ]);
    expect((await census.take([], { product: undefined, now: clock.at })).nodes).toBe(0);
  });
});
