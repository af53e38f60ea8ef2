import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Tokens with permissions by name (a JSON list; `role` is then `permissions`), and from where they
 * were used last.
 */
export class ScopeTokens1763712720000 implements MigrationInterface {
  name = 'ScopeTokens1763712720000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE api_tokens ADD COLUMN permissions text');
    await runner.query('ALTER TABLE api_tokens ADD COLUMN last_used_from text');
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
