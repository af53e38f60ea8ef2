import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Reusable tokens of clusters, and which node belongs to which cluster under which name. */
export class CreateClusterTokens1763712935000 implements MigrationInterface {
  name = 'CreateClusterTokens1763712935000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE cluster_tokens (
        id text PRIMARY KEY,
        group_id text NOT NULL REFERENCES node_groups (id),
        cluster text NOT NULL,
        secret_hash text NOT NULL,
        max_nodes integer,
        created_by text NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        revoked_at bigint,
        last_used_at bigint
      )`,
    );
    await runner.query(
      `CREATE UNIQUE INDEX cluster_tokens_by_hash ON cluster_tokens (secret_hash)`,
    );
    await runner.query(
      `CREATE INDEX cluster_tokens_by_group ON cluster_tokens (group_id, created_at)`,
    );
    await runner.query(
      `CREATE TABLE cluster_nodes (
        node_id text PRIMARY KEY REFERENCES nodes (id),
        group_id text NOT NULL,
        cluster text NOT NULL,
        name text NOT NULL,
        token_id text NOT NULL
      )`,
    );
    await runner.query(
      `CREATE INDEX cluster_nodes_by_name ON cluster_nodes (group_id, cluster, name)`,
    );
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
