import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Several managers on one database: who there is, each with a lease; which of them holds the link of a node, and
 * by which session (the newest of a node is the one that is written here); and the node tokens that were used,
 * by any of them, until they expire. With SQLite there is one manager, and the tables stay empty.
 */
export class CreateManagers1763713100000 implements MigrationInterface {
  name = 'CreateManagers1763713100000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE managers (
        id text PRIMARY KEY,
        joined_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        calm_at bigint NOT NULL
      )`,
    );
    await runner.query('ALTER TABLE nodes ADD COLUMN link_manager text');
    await runner.query('ALTER TABLE nodes ADD COLUMN link_session text');
    await runner.query('ALTER TABLE nodes ADD COLUMN link_poll text');
    await runner.query('CREATE INDEX nodes_by_manager ON nodes (link_manager)');
    await runner.query(
      'CREATE TABLE used_node_tokens (id text PRIMARY KEY, expires_at bigint NOT NULL)',
    );
    await runner.query('CREATE INDEX used_node_tokens_by_end ON used_node_tokens (expires_at)');
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
