import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What lists of nodes are filtered and sorted by, in one narrow index: a filtered page and its count are one
 * walk over it, whatever the filter. `software` stands for the versions that a node runs; null until it was
 * worked out, which the manager does at its start. And how many nodes ran what, as spans of hours.
 */
export class AddNodeFacts1763712900000 implements MigrationInterface {
  name = 'AddNodeFacts1763712900000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE nodes ADD COLUMN name_key text NOT NULL DEFAULT ''`);
    await runner.query('ALTER TABLE nodes ADD COLUMN software text');
    await runner.query(`ALTER TABLE nodes ADD COLUMN label_key text NOT NULL DEFAULT ''`);
    await runner.query(`ALTER TABLE nodes ADD COLUMN upgrader text NOT NULL DEFAULT 'none'`);
    await runner.query(`ALTER TABLE nodes ADD COLUMN badge text NOT NULL DEFAULT 'none'`);
    await runner.query(`ALTER TABLE nodes ADD COLUMN badge_code text NOT NULL DEFAULT ''`);
    await runner.query(
      `CREATE INDEX nodes_by_facts ON nodes
       (software, group_id, status, badge, upgrader, enrolled_at, name_key, label_key, id)`,
    );
    await runner.query('CREATE INDEX nodes_by_name ON nodes (name_key, id)');
    await runner.query(
      'CREATE INDEX rollout_targets_by_node ON rollout_targets (node_id, rollout_id)',
    );
    await runner.query(
      `CREATE TABLE fleet_spans (
        group_id text NOT NULL,
        product text NOT NULL,
        version text NOT NULL,
        from_at bigint NOT NULL,
        to_at bigint NOT NULL,
        nodes bigint NOT NULL,
        PRIMARY KEY (group_id, product, version, from_at)
      )`,
    );
    await runner.query('CREATE INDEX fleet_spans_by_end ON fleet_spans (to_at)');
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
