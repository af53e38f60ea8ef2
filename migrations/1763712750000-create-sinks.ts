import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Sinks with their place in the log, what they could not deliver, and alerts. `fence` counts who
 * delivered last: whoever holds an older number can move nothing any more.
 */
export class CreateSinks1763712750000 implements MigrationInterface {
  name = 'CreateSinks1763712750000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE sinks (
        id text PRIMARY KEY,
        name text NOT NULL,
        kind text NOT NULL,
        group_id text,
        config text NOT NULL,
        credentials text NOT NULL,
        credential_names text NOT NULL,
        filter text NOT NULL,
        is_paused integer NOT NULL,
        cursor_id bigint NOT NULL,
        delivered bigint NOT NULL,
        missed bigint NOT NULL,
        last_delivered_at bigint,
        circuit text NOT NULL,
        circuit_since bigint NOT NULL,
        failures integer NOT NULL,
        next_try_at bigint NOT NULL,
        error_code text,
        error_message text,
        error_at bigint,
        single_through bigint NOT NULL,
        stuck_id bigint NOT NULL,
        stuck_tries integer NOT NULL,
        lease_owner text,
        lease_until bigint NOT NULL,
        fence bigint NOT NULL,
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL
      )`,
    );
    await runner.query(`CREATE INDEX sinks_by_age ON sinks (created_at, id)`);
    await runner.query(
      `CREATE TABLE sink_dead_letters (
        sink_id text NOT NULL REFERENCES sinks (id),
        event_id bigint NOT NULL,
        at bigint NOT NULL,
        code text NOT NULL,
        message text NOT NULL,
        tries integer NOT NULL,
        is_wanted integer NOT NULL,
        event text NOT NULL,
        PRIMARY KEY (sink_id, event_id)
      )`,
    );
    await runner.query(
      `CREATE TABLE alerts (
        id text PRIMARY KEY,
        rule text NOT NULL,
        dedupe_key text NOT NULL,
        state text NOT NULL,
        severity text NOT NULL,
        group_id text NOT NULL,
        node_id text,
        rollout_id text,
        service text,
        message text NOT NULL,
        due_at bigint,
        raised_at bigint NOT NULL,
        resolved_at bigint
      )`,
    );
    // One that is not over for each trouble, whoever raises it.
    await runner.query(
      `CREATE UNIQUE INDEX alerts_open ON alerts (dedupe_key) WHERE resolved_at IS NULL`,
    );
    await runner.query(`CREATE INDEX alerts_by_age ON alerts (raised_at, id)`);
    await runner.query(`CREATE INDEX alerts_due ON alerts (due_at) WHERE due_at IS NOT NULL`);
    await runner.query(`CREATE TABLE alert_cursor (id integer PRIMARY KEY, value bigint NOT NULL)`);
    // What happened before there were alerts raises none.
    await runner.query(
      `INSERT INTO alert_cursor (id, value) SELECT 1, value FROM event_head WHERE id = 1`,
    );
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
