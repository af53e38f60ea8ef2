import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What of the refusals at the door of a cluster stands in the audit log already. */
export class CreateAdmissionRefusals1763713300000 implements MigrationInterface {
  name = 'CreateAdmissionRefusals1763713300000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE admission_refusals (
        node_id text NOT NULL REFERENCES nodes (id),
        kind text NOT NULL,
        audited_at bigint NOT NULL,
        PRIMARY KEY (node_id, kind)
      )`,
    );
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
