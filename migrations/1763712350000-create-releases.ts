import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The catalog: one row a product, version and channel, with the signed bytes as they came. */
export class CreateReleases1763712350000 implements MigrationInterface {
  name = 'CreateReleases1763712350000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE releases (
        id text PRIMARY KEY,
        product text NOT NULL,
        version text NOT NULL,
        channel text NOT NULL,
        sequence bigint NOT NULL,
        state text NOT NULL,
        manifest text NOT NULL,
        manifest_sha256 text NOT NULL,
        signatures text NOT NULL,
        published_at bigint NOT NULL,
        yanked_at bigint,
        yank_reason text,
        UNIQUE (product, version, channel)
      )`,
    );
    await runner.query(
      `CREATE TABLE release_blobs (
        sha256 text NOT NULL,
        release_id text NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
        PRIMARY KEY (sha256, release_id)
      )`,
    );
    await runner.query(`CREATE INDEX release_blobs_by_release ON release_blobs (release_id)`);
    await runner.query(
      `CREATE TABLE release_sources (
        name text PRIMARY KEY,
        etags text NOT NULL,
        next_at bigint NOT NULL,
        failures integer NOT NULL,
        last_result text
      )`,
    );
    // Channel indexes and downgrade permits; `subject` is the version that a permit leads to.
    await runner.query(
      `CREATE TABLE signed_documents (
        kind text NOT NULL,
        product text NOT NULL,
        channel text NOT NULL,
        subject text NOT NULL,
        sequence bigint NOT NULL,
        sha256 text NOT NULL,
        document text NOT NULL,
        signatures text NOT NULL,
        expires_at bigint NOT NULL,
        stored_at bigint NOT NULL,
        PRIMARY KEY (kind, product, channel, sequence)
      )`,
    );
    await runner.query(`CREATE INDEX releases_by_age ON releases (published_at, id)`);
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
