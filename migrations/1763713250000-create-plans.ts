import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Stored plans; schedules, which start rollouts by them; and, for each release that a schedule is done with, what
 * became of it: its key is why none is started twice.
 */
export class CreatePlans1763713250000 implements MigrationInterface {
  name = 'CreatePlans1763713250000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE rollout_plans (
        id text PRIMARY KEY,
        group_id text NOT NULL REFERENCES node_groups (id),
        name text NOT NULL,
        note text NOT NULL,
        revision integer NOT NULL,
        terms text NOT NULL,
        created_by text NOT NULL,
        created_at bigint NOT NULL,
        updated_by text NOT NULL,
        updated_at bigint NOT NULL,
        UNIQUE (group_id, name)
      )`,
    );
    await runner.query(`CREATE INDEX rollout_plans_by_age ON rollout_plans (created_at, id)`);
    await runner.query(
      `CREATE TABLE schedules (
        id text PRIMARY KEY,
        group_id text NOT NULL REFERENCES node_groups (id),
        name text NOT NULL,
        product text NOT NULL,
        channel text NOT NULL,
        plan_id text NOT NULL REFERENCES rollout_plans (id),
        open_window text,
        when_busy text NOT NULL,
        is_paused integer NOT NULL,
        maker text NOT NULL,
        done_sequence bigint NOT NULL,
        known_sequence bigint NOT NULL,
        look text NOT NULL,
        last_result text,
        looked_at bigint NOT NULL,
        next_look_at bigint,
        fence integer NOT NULL,
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL,
        UNIQUE (group_id, name)
      )`,
    );
    await runner.query(`CREATE INDEX schedules_by_age ON schedules (created_at, id)`);
    await runner.query(`CREATE INDEX schedules_by_plan ON schedules (plan_id)`);
    await runner.query(
      `CREATE TABLE schedule_releases (
        schedule_id text NOT NULL,
        release_id text NOT NULL,
        result text NOT NULL,
        rollout_id text,
        at bigint NOT NULL,
        PRIMARY KEY (schedule_id, release_id)
      )`,
    );
    // What is newest on a channel: asked for at every sweep.
    await runner.query(
      `CREATE INDEX releases_by_sequence ON releases (product, channel, sequence)`,
    );
    await runner.query(`ALTER TABLE rollouts ADD COLUMN made_by text`);
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
