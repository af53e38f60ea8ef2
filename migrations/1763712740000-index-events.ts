import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * When something happened besides when it was received; which blocks of 512 ids hold what; how much
 * happened when; and the seals, by which a reader proves that he has everything.
 */
export class IndexEvents1763712740000 implements MigrationInterface {
  name = 'IndexEvents1763712740000';

  async up(runner: QueryRunner): Promise<void> {
    const isPostgres = runner.dataSource.options.type === 'postgres';
    // Null where nobody but the manager saw it: then it is `at`.
    await runner.query(`ALTER TABLE events ADD COLUMN occurred_at bigint`);
    await runner.query(`ALTER TABLE events ADD COLUMN version integer NOT NULL DEFAULT 1`);
    await runner.query(`ALTER TABLE events ADD COLUMN error_code text`);
    await runner.query(
      `ALTER TABLE event_head ADD COLUMN pruned_through bigint NOT NULL DEFAULT 0`,
    );
    const code = isPostgres
      ? `details::json ->> 'error_code'`
      : `json_extract(details, '$.error_code')`;
    // A NUL, which PostgreSQL cannot give out of JSON, is in no code.
    await runner.query(
      `UPDATE events SET error_code = ${code}
       WHERE details LIKE '%"error_code"%' AND details NOT LIKE '%\\u0000%'`,
    );
    await runner.query(
      `CREATE TABLE event_marks (
        key text NOT NULL,
        block bigint NOT NULL,
        PRIMARY KEY (key, block)
      )${isPostgres ? '' : ' WITHOUT ROWID'}`,
    );
    const keys: readonly (readonly [prefix: string, column: string])[] = [
      ['n:', 'node_id'],
      ['r:', 'rollout_id'],
      ['e:', 'error_code'],
      ['t:', 'type'],
      ['c:', 'category'],
      ['s:', 'severity'],
    ];
    for (const [prefix, column] of keys) {
      await runner.query(
        `INSERT INTO event_marks (key, block)
         SELECT DISTINCT '${prefix}' || ${column}, (id - 1) / 512 FROM events
         WHERE ${column} IS NOT NULL`,
      );
    }
    const block = isPostgres ? 'bigint' : 'integer';
    await runner.query(
      `CREATE TABLE event_blocks (
        block ${block} PRIMARY KEY,
        first_at bigint NOT NULL,
        last_at bigint NOT NULL
      )`,
    );
    await runner.query(
      `INSERT INTO event_blocks (block, first_at, last_at)
       SELECT (id - 1) / 512, MIN(at), MAX(at) FROM events GROUP BY (id - 1) / 512`,
    );
    await runner.query(
      `CREATE TABLE event_counts (
        bucket bigint NOT NULL,
        group_id text NOT NULL,
        category text NOT NULL,
        type text NOT NULL,
        severity text NOT NULL,
        count bigint NOT NULL,
        PRIMARY KEY (bucket, group_id, category, type, severity)
      )${isPostgres ? '' : ' WITHOUT ROWID'}`,
    );
    await runner.query(
      `INSERT INTO event_counts (bucket, group_id, category, type, severity, count)
       SELECT at / 300000, group_id, category, type, severity, COUNT(*) FROM events
       GROUP BY at / 300000, group_id, category, type, severity`,
    );
    await runner.query(
      `CREATE TABLE event_segments (
        first_id ${block} PRIMARY KEY,
        last_id bigint NOT NULL,
        first_at bigint NOT NULL,
        last_at bigint NOT NULL,
        previous text NOT NULL,
        hash text NOT NULL,
        sealed_at bigint NOT NULL
      )`,
    );
    await runner.query(
      `CREATE TABLE event_segment_parts (
        first_id bigint NOT NULL,
        group_id text NOT NULL,
        count integer NOT NULL,
        hash text NOT NULL,
        PRIMARY KEY (first_id, group_id)
      )`,
    );
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
