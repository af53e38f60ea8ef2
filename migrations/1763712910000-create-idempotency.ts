import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Requests that made something, for a day: the same one again gets the same answer. Answers are sealed. */
export class CreateIdempotency1763712910000 implements MigrationInterface {
  name = 'CreateIdempotency1763712910000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE idempotency_keys (
        id text PRIMARY KEY,
        caller text NOT NULL,
        fingerprint text NOT NULL,
        answer text,
        created_at bigint NOT NULL
      )`,
    );
    await runner.query(
      'CREATE INDEX idempotency_keys_by_caller ON idempotency_keys (caller, created_at)',
    );
    await runner.query('CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)');
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
