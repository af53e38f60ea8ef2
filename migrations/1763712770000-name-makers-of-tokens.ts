import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Who stands behind a token: the user who made it, also by other tokens; or the token of the set-up,
 * behind which stands nobody by name. Null for those that are older: each of them stands for itself.
 */
export class NameMakersOfTokens1763712770000 implements MigrationInterface {
  name = 'NameMakersOfTokens1763712770000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE api_tokens ADD COLUMN maker_id text');
    await runner.query('CREATE INDEX api_tokens_by_maker ON api_tokens (maker_id)');
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
