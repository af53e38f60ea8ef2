import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { describe, expect, it } from 'vitest';
import { MIGRATIONS } from '../../migrations/index.js';
import { leafHash, leafOf } from '../../src/core/audit/index.js';
import { AuditLog, AuditTree } from '../../src/server/audit/index.js';
import { openDatabase } from '../../src/server/platform/database/index.js';
import { makePostgresDatabase, makeTempDir, silentLog } from '../support/databases.js';

const BEFORE = MIGRATIONS.filter(({ name }) => !name.startsWith('SealAudit'));

describe.each(['sqlite', 'postgres'] as const)('an audit log of before the tree (%s)', (kind) => {
  it('keeps its entries, and they are its first leaves', async () => {
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
    await source.query('UPDATE audit_head SET value = 3');
    for (const id of [1, 2, 3]) {
      await source.query(
        `INSERT INTO audit_entries (id, at, actor_kind, actor_id, actor_name, action, target_kind,
           target_id, group_id, outcome, details, request_id, ip)
         VALUES (${id}, 1763712000000, 'token', 'tok_1', 'ann', 'group.create', 'group', 'grp_${id}',
           NULL, 'allowed', '{"name":"east"}', 'req_1', '::1')`,
      );
    }
    await source.destroy();
    const database = await openDatabase({
      url: made?.url ?? null,
      dataDir: dir.path,
      log: silentLog,
    });
    try {
      const log = new AuditLog({ now: () => 0 });
      const everything = { after: 0, through: 9, limit: 9, groups: 'all' } as const;
      const entries = await log.readOn(database.read, everything);
      expect(entries.map(({ id, target_id, user_agent }) => [id, target_id, user_agent])).toEqual([
        [1, 'grp_1', ''],
        [2, 'grp_2', ''],
        [3, 'grp_3', ''],
      ]);
      const tree = new AuditTree();
      await database.transaction((tx) => tree.grow(tx));
      const { leaf } = await tree.inclusion(database.read, 2, 3);
      expect(leaf.equals(leafHash(leafOf(entries[1] ?? (entries[0] as never))))).toBe(true);
    } finally {
      await database.close();
      await made?.drop();
      dir.remove();
    }
  });
});
