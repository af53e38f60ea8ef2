import { expect, it } from 'vitest';
import { instant } from '../../src/core/kernel/index.js';
import { Nodes } from '../../src/server/fleet/index.js';
import {
  openDatabase,
  type Database,
  type SqlValue,
  type Tx,
} from '../../src/server/platform/database/index.js';
import { nodesDown } from '../../src/server/rollouts/tables/down.store.js';
import { goneTargets } from '../../src/server/rollouts/tables/targets.store.js';
import { makeMigratedPostgres, makeTempDir, silentLog } from '../support/databases.js';

const NODES = 6_000;
const AWAY = 1_000;
const NOW = instant(1_795_000_000_000);

interface Step {
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly Plans?: readonly Step[];
}

/** The most rows that one step of a plan looked at. */
const mostRows = (step: Step): number =>
  Math.max(
    (step['Actual Rows'] + (step['Rows Removed by Join Filter'] ?? 0)) * step['Actual Loops'],
    ...(step.Plans ?? []).map(mostRows),
  );

/** Runs what it is given, and tells the most rows that any step of it looked at. */
async function looksAt(database: Database, work: (tx: Tx) => Promise<unknown>): Promise<number> {
  let most = 0;
  await database.transaction(async (tx) => {
    const explained = async (sql: string, params: readonly SqlValue[] = []): Promise<void> => {
      const text = `EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`;
      const row = await tx.get<{ 'QUERY PLAN': readonly { readonly Plan: Step }[] }>(text, params);
      most = Math.max(most, ...(row?.['QUERY PLAN'] ?? []).map(({ Plan }) => mostRows(Plan)));
    };
    const watched = new Proxy(tx, {
      get: (of, name) => {
        const known: unknown = Reflect.get(of, name, of);
        if (typeof known !== 'function') return known;
        const call = known.bind(of) as (...args: unknown[]) => unknown;
        if (name !== 'all' && name !== 'get' && name !== 'run') return call;
        return async (sql: string, params?: readonly SqlValue[]) => {
          await explained(sql, params);
          return call(sql, params);
        };
      },
    });
    await work(watched);
  });
  return most;
}

/** A thousand nodes in the middle of a rollout of all are away, which it knows; one that is here swaps. All of it written within the last minute. */
async function setUp(database: Database): Promise<void> {
  const id = `'nod_' || lpad(i::text, 12, '0')`;
  const all = `generate_series(1, ${NODES}) i`;
  await database.transaction(async (tx) => {
    await tx.run(
      `INSERT INTO nodes (id, name, group_id, status, public_key, host, labels, capabilities, services, enrolled_at,
         last_seen_at, upgrader, badge, badge_code, generation, software, name_key, label_key, link_manager)
       SELECT ${id}, 'edge-' || i, 'grp_default', CASE WHEN i <= ${AWAY} THEN 'offline' ELSE 'online' END, 'key' || i,
         repeat('x', 600), '{}', '[]', '[]', 1, 1, 'none', 'none', '', 0, '', 'edge-' || i, '',
         CASE WHEN i <= ${AWAY} THEN NULL ELSE 'mgr_00000000000' || i % 10 END FROM ${all}`,
    );
    await tx.run(
      `INSERT INTO rollout_targets (rollout_id, node_id, node_name, service, wave, state, reason, offline, deadline_at, updated_at)
       SELECT 'rol_1', ${id}, 'edge-' || i, 'edge', 0, CASE WHEN i = ${NODES} THEN 'swapping' ELSE 'succeeded' END, '',
         CASE WHEN i <= ${AWAY} THEN 1 ELSE 0 END,
         ${NOW + 60_000}, 1 FROM ${all}`,
    );
    await tx.run(
      `INSERT INTO rollouts (id, group_id, scope_kind, scope_id, product, version, channel, strategy, scope, plan, status, state,
         journal_length, skipped, created_by, created_by_id, created_at, updated_at)
       VALUES ('rol_1', 'grp_default', 'group', 'grp_default', 'edge', '2.0.0', 'stable', 'immediate', '{}', '{}',
         'in_progress', '{}', 0, '[]', 'ann', 'usr_1', 1, 1)`,
    );
    await tx.run(
      `INSERT INTO active_targets (node_id, service, rollout_id) SELECT ${id}, 'edge', 'rol_1' FROM ${all}`,
    );
  });
}

it('what is asked for thousands of nodes costs as much as there is to say, also where PostgreSQL has not looked at the tables yet', async () => {
  const [made, dir] = [await makeMigratedPostgres(), makeTempDir()];
  const database = await openDatabase({ url: made.url, dataDir: dir.path, log: silentLog });
  try {
    await setUp(database);
    const nodes = new Nodes(database);
    const some = Array.from({ length: 100 }, (_, index) => ({
      nodeId: `nod_${String(2_000 + index).padStart(12, '0')}`,
      services: '[]',
      at: NOW,
    }));
    const down = { most: 101, now: NOW };
    expect(await nodesDown(database.read, 'rol_1', down)).toHaveLength(101);
    expect(await looksAt(database, (tx) => nodesDown(tx, 'rol_1', down))).toBeLessThan(AWAY + 1);
    expect(await looksAt(database, (tx) => goneTargets(tx, NOW, 100))).toBeLessThan(NODES + 1);
    const heldBy = 'mgr_000000000001';
    const seen = (tx: Tx): Promise<unknown> => nodes.recordSeen(tx, some, heldBy);
    expect(await looksAt(database, seen)).toBeLessThan(NODES + 1);
    const services = (tx: Tx): Promise<unknown> => nodes.recordServices(tx, some, heldBy);
    expect(await looksAt(database, services)).toBeLessThan(NODES + 1);
  } finally {
    await database.close();
    await made.drop();
    dir.remove();
  }
});
