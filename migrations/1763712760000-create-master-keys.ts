import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The keys under which secrets lie, by a fingerprint; never the keys. One row but while they change. */
export class CreateMasterKeys1763712760000 implements MigrationInterface {
  name = 'CreateMasterKeys1763712760000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE master_keys (id text PRIMARY KEY, since bigint NOT NULL)');
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
