import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Groups, API tokens and the one set-up token. `path` holds the ids from the root down, each
 * between slashes, so that the ancestors of a group are one row away.
 */
export class CreateAccess1763712100000 implements MigrationInterface {
  name = 'CreateAccess1763712100000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE node_groups (
        id text PRIMARY KEY,
        name text NOT NULL,
        parent_id text REFERENCES node_groups (id),
        path text NOT NULL,
        created_at bigint NOT NULL
      )`,
    );
    await runner.query(`CREATE UNIQUE INDEX node_groups_by_name ON node_groups (parent_id, name)`);
    await runner.query(`CREATE INDEX node_groups_by_age ON node_groups (created_at, id)`);
    await runner.query(
      `INSERT INTO node_groups (id, name, parent_id, path, created_at)
       VALUES ('grp_default', 'default', NULL, '/grp_default/', ${Date.now()})`,
    );
    await runner.query(
      `CREATE TABLE api_tokens (
        id text PRIMARY KEY,
        name text NOT NULL,
        role text NOT NULL,
        group_id text REFERENCES node_groups (id),
        secret_hash text NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        last_used_at bigint,
        revoked_at bigint
      )`,
    );
    await runner.query(`CREATE UNIQUE INDEX api_tokens_by_hash ON api_tokens (secret_hash)`);
    await runner.query(`CREATE INDEX api_tokens_by_age ON api_tokens (created_at, id)`);
    await runner.query(
      `CREATE TABLE setup_token (
        id integer PRIMARY KEY,
        secret_hash text NOT NULL,
        expires_at bigint NOT NULL
      )`,
    );
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
