import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The event log and what the manager has of each node's spool. The log has one index besides its
 * key, and both grow at their end: a second, random one would slow ingest at millions of rows.
 */
export class CreateEvents1763712300000 implements MigrationInterface {
  name = 'CreateEvents1763712300000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE TABLE event_head (id integer PRIMARY KEY, value bigint NOT NULL)`);
    await runner.query(`INSERT INTO event_head (id, value) VALUES (1, 0)`);
    // On SQLite only the exact words "integer PRIMARY KEY" make the key the row id itself.
    const key = runner.dataSource.options.type === 'postgres' ? 'bigint' : 'integer';
    await runner.query(
      `CREATE TABLE events (
        id ${key} PRIMARY KEY,
        at bigint NOT NULL,
        category text NOT NULL,
        type text NOT NULL,
        severity text NOT NULL,
        node_id text,
        group_id text NOT NULL,
        rollout_id text,
        command_id text,
        service text,
        message text NOT NULL,
        details text NOT NULL
      )`,
    );
    await runner.query(`CREATE INDEX events_by_group ON events (group_id, id)`);
    await runner.query(
      `CREATE TABLE event_spools (
        node_id text NOT NULL,
        spool_id text NOT NULL,
        through bigint NOT NULL,
        PRIMARY KEY (node_id, spool_id)
      )`,
    );
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
