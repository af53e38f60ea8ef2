import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Nodes as they were enrolled and as they last told about themselves. `generation` is the number
 * of the last command that was made for the node; commands count up from it.
 */
export class CreateNodes1763712200000 implements MigrationInterface {
  name = 'CreateNodes1763712200000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE nodes (
        id text PRIMARY KEY,
        name text NOT NULL,
        group_id text NOT NULL REFERENCES node_groups (id),
        status text NOT NULL,
        public_key text NOT NULL,
        host text NOT NULL,
        labels text NOT NULL,
        agent_version text,
        capabilities text NOT NULL,
        services text NOT NULL,
        policy_digest text,
        generation bigint NOT NULL,
        enrolled_at bigint NOT NULL,
        last_seen_at bigint,
        revoked_at bigint
      )`,
    );
    await runner.query(`CREATE INDEX nodes_by_group ON nodes (group_id, enrolled_at, id)`);
    await runner.query(`CREATE INDEX nodes_by_age ON nodes (enrolled_at, id)`);
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
