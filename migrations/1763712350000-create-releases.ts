import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The catalog: one row a product and version, with the signed bytes as they came. */
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
        UNIQUE (product, version)
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
