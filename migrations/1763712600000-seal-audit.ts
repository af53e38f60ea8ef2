import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Tables of which no row is ever changed or taken away. */
const FIXED = ['audit_nodes', 'audit_checkpoints', 'audit_segments'];

/**
 * The audit log as a Merkle tree: its nodes, its signed checkpoints, its sealed segments; and locks in
 * the database itself against a changed or deleted entry. The locks stop mistakes and programs, not
 * the owner of the database: against that one stand the checkpoints.
 */
export class SealAudit1763712600000 implements MigrationInterface {
  name = 'SealAudit1763712600000';

  async up(runner: QueryRunner): Promise<void> {
    const isPostgres = runner.dataSource.options.type === 'postgres';
    await (isPostgres ? widenPostgres(runner) : rebuildSqlite(runner));
    // Leaves of the tree so far, and the last entry that lies in a segment outside of the table.
    await runner.query(
      `CREATE TABLE audit_tree (
        id integer PRIMARY KEY,
        size bigint NOT NULL,
        sealed_through bigint NOT NULL
      )`,
    );
    await runner.query(`INSERT INTO audit_tree (id, size, sealed_through) VALUES (1, 0, 0)`);
    await runner.query(
      `CREATE TABLE audit_nodes (
        level integer NOT NULL,
        position bigint NOT NULL,
        hash text NOT NULL,
        PRIMARY KEY (level, position)
      )`,
    );
    await runner.query(
      `CREATE TABLE audit_checkpoints (
        size bigint NOT NULL,
        origin text NOT NULL,
        note text NOT NULL,
        made_at bigint NOT NULL,
        PRIMARY KEY (size, origin)
      )`,
    );
    await runner.query(
      `CREATE TABLE audit_segments (
        first_id bigint PRIMARY KEY,
        last_id bigint NOT NULL,
        file text NOT NULL,
        sha256 text NOT NULL,
        sealed_at bigint NOT NULL
      )`,
    );
    await (isPostgres ? lockPostgres(runner) : lockSqlite(runner));
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}

/** Each index is a page more that every audited commit writes; this one paid for little. */
const DROP_BY_ACTION = 'DROP INDEX audit_entries_by_action';

async function widenPostgres(runner: QueryRunner): Promise<void> {
  await runner.query(`ALTER TABLE audit_entries ADD COLUMN user_agent text NOT NULL DEFAULT ''`);
  await runner.query(DROP_BY_ACTION);
}

/** With the number as the row id itself, there is no index of its own for it. */
async function rebuildSqlite(runner: QueryRunner): Promise<void> {
  const columns = [
    'at bigint NOT NULL',
    'actor_kind text NOT NULL',
    'actor_id text NOT NULL',
    'actor_name text NOT NULL',
    'action text NOT NULL',
    'target_kind text NOT NULL',
    'target_id text NOT NULL',
    'group_id text',
    'outcome text NOT NULL',
    'details text NOT NULL',
    'request_id text NOT NULL',
    'ip text NOT NULL',
  ];
  const names = ['id', ...columns.map((column) => column.split(' ')[0])].join(', ');
  await runner.query(
    `CREATE TABLE audit_entries_new (id integer PRIMARY KEY, ${columns.join(', ')},
       user_agent text NOT NULL DEFAULT '')`,
  );
  await runner.query(
    `INSERT INTO audit_entries_new (${names}) SELECT ${names} FROM audit_entries ORDER BY id`,
  );
  await runner.query('DROP TABLE audit_entries');
  await runner.query('ALTER TABLE audit_entries_new RENAME TO audit_entries');
  await runner.query('CREATE INDEX audit_entries_by_group ON audit_entries (group_id, id)');
}

const SHRINKS =
  'NEW.size < OLD.size OR NEW.sealed_through < OLD.sealed_through OR NEW.sealed_through > NEW.size';

async function lockSqlite(runner: QueryRunner): Promise<void> {
  const lock = async (table: string, verb: string, when = '1 = 1'): Promise<void> => {
    await runner.query(
      `CREATE TRIGGER ${table}_no_${verb.toLowerCase()} BEFORE ${verb} ON ${table} WHEN ${when}
       BEGIN SELECT RAISE(ABORT, '${table} is append-only'); END`,
    );
  };
  for (const table of ['audit_entries', ...FIXED]) await lock(table, 'UPDATE');
  for (const table of ['audit_head', 'audit_tree', ...FIXED]) await lock(table, 'DELETE');
  const sealed = '(SELECT sealed_through FROM audit_tree WHERE id = 1)';
  await lock('audit_entries', 'DELETE', `OLD.id > ${sealed}`);
  await lock('audit_head', 'UPDATE', 'NEW.value < OLD.value');
  await lock('audit_tree', 'UPDATE', SHRINKS);
}

async function lockPostgres(runner: QueryRunner): Promise<void> {
  const refusing = async (name: string, condition: string): Promise<void> => {
    await runner.query(
      `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
         IF ${condition} THEN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END IF;
         IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
         RETURN NEW;
       END $$`,
    );
  };
  const lock = async (table: string, verb: string, by = 'audit_refuse'): Promise<void> => {
    const each = verb === 'TRUNCATE' ? 'STATEMENT' : 'ROW';
    await runner.query(
      `CREATE TRIGGER ${table}_no_${verb.toLowerCase()} BEFORE ${verb} ON ${table}
       FOR EACH ${each} EXECUTE FUNCTION ${by}()`,
    );
  };
  await refusing('audit_refuse', 'true');
  await refusing(
    'audit_refuse_unsealed',
    'OLD.id > (SELECT sealed_through FROM audit_tree WHERE id = 1)',
  );
  await refusing('audit_refuse_less', 'NEW.value < OLD.value');
  await refusing('audit_refuse_shrinking', SHRINKS);
  for (const table of ['audit_entries', ...FIXED]) await lock(table, 'UPDATE');
  for (const table of ['audit_head', 'audit_tree', ...FIXED]) await lock(table, 'DELETE');
  for (const table of ['audit_entries', 'audit_head', 'audit_tree', ...FIXED]) {
    await lock(table, 'TRUNCATE');
  }
  await lock('audit_entries', 'DELETE', 'audit_refuse_unsealed');
  await lock('audit_head', 'UPDATE', 'audit_refuse_less');
  await lock('audit_tree', 'UPDATE', 'audit_refuse_shrinking');
}
