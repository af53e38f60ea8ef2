import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Groups that can be deleted, and hold at most so many nodes. A deleted one stays as a row, so that what
 * happened in it stays visible to those above it.
 */
export class ReshapeGroups1763712730000 implements MigrationInterface {
  name = 'ReshapeGroups1763712730000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE node_groups ADD COLUMN nodes_max bigint');
    await runner.query('ALTER TABLE node_groups ADD COLUMN deleted_at bigint');
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
