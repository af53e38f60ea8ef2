import type { MigrationInterface, QueryRunner } from 'typeorm';

/** One-time enrollment tokens; a used one keeps the node that it made. */
export class CreateEnrollment1763712250000 implements MigrationInterface {
  name = 'CreateEnrollment1763712250000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE enrollment_tokens (
        id text PRIMARY KEY,
        group_id text NOT NULL REFERENCES node_groups (id),
        secret_hash text NOT NULL,
        created_by text NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        used_at bigint,
        node_id text REFERENCES nodes (id)
      )`,
    );
    await runner.query(
      `CREATE UNIQUE INDEX enrollment_tokens_by_hash ON enrollment_tokens (secret_hash)`,
    );
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
