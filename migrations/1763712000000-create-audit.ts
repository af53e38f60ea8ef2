import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What people, tokens and nodes did. `audit_head` holds the last id given: ids have no gaps. */
export class CreateAudit1763712000000 implements MigrationInterface {
  name = 'CreateAudit1763712000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE TABLE audit_head (id integer PRIMARY KEY, value bigint NOT NULL)`);
    await runner.query(`INSERT INTO audit_head (id, value) VALUES (1, 0)`);
    await runner.query(
      `CREATE TABLE audit_entries (
        id bigint PRIMARY KEY,
        at bigint NOT NULL,
        actor_kind text NOT NULL,
        actor_id text NOT NULL,
        actor_name text NOT NULL,
        action text NOT NULL,
        target_kind text NOT NULL,
        target_id text NOT NULL,
        group_id text,
        outcome text NOT NULL,
        details text NOT NULL,
        request_id text NOT NULL,
        ip text NOT NULL
      )`,
    );
    await runner.query(`CREATE INDEX audit_entries_by_group ON audit_entries (group_id, id)`);
    await runner.query(`CREATE INDEX audit_entries_by_action ON audit_entries (action, id)`);
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
