import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Rollouts, their targets, journal and commands. `active_targets` makes "a node is in one active
 * rollout a service" a rule of the database, not of a check that could race.
 */
export class CreateRollouts1763712400000 implements MigrationInterface {
  name = 'CreateRollouts1763712400000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE rollouts (
        id text PRIMARY KEY,
        group_id text NOT NULL,
        scope_kind text NOT NULL,
        scope_id text NOT NULL,
        product text NOT NULL,
        version text NOT NULL,
        channel text NOT NULL,
        strategy text NOT NULL,
        scope text NOT NULL,
        start_version text,
        reverts text,
        plan text NOT NULL,
        status text NOT NULL,
        state text NOT NULL,
        journal_length bigint NOT NULL,
        skipped text NOT NULL,
        next_wake_at bigint,
        created_by text NOT NULL,
        created_by_id text NOT NULL,
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL
      )`,
    );
    await runner.query(`CREATE INDEX rollouts_by_wake ON rollouts (status, next_wake_at)`);
    await runner.query(`CREATE INDEX rollouts_by_age ON rollouts (created_at, id)`);
    await runner.query(
      `CREATE INDEX rollouts_reverting ON rollouts (reverts, created_at) WHERE reverts IS NOT NULL`,
    );
    await runner.query(
      `CREATE TABLE rollout_targets (
        rollout_id text NOT NULL,
        node_id text NOT NULL,
        node_name text NOT NULL,
        service text NOT NULL,
        wave integer NOT NULL,
        state text NOT NULL,
        reason text NOT NULL,
        error_code text,
        command_id text,
        from_version text,
        offline integer NOT NULL,
        deadline_at bigint,
        updated_at bigint NOT NULL,
        PRIMARY KEY (rollout_id, node_id)
      )`,
    );
    await runner.query(
      `CREATE INDEX rollout_targets_by_state ON rollout_targets (rollout_id, wave, state)`,
    );
    await runner.query(
      `CREATE INDEX rollout_targets_by_deadline ON rollout_targets (rollout_id, deadline_at)`,
    );
    // Who is down because of an upgrade, whatever the rollout: few rows, asked for at every permit.
    await runner.query(
      `CREATE INDEX rollout_targets_down ON rollout_targets (node_id)
       WHERE state IN ('swapping', 'probation') OR reason IN ('lost_after_permit', 'upgrade_rollback_failed')`,
    );
    await runner.query(
      `CREATE TABLE active_targets (
        node_id text NOT NULL,
        service text NOT NULL,
        rollout_id text NOT NULL,
        PRIMARY KEY (node_id, service)
      )`,
    );
    await runner.query(`CREATE INDEX active_targets_by_rollout ON active_targets (rollout_id)`);
    await runner.query(
      `CREATE TABLE rollout_journal (
        rollout_id text NOT NULL,
        position bigint NOT NULL,
        event text NOT NULL,
        PRIMARY KEY (rollout_id, position)
      )`,
    );
    // Who is away: asked for at every sweep and, within a limit, at every permit.
    await runner.query(
      `CREATE INDEX nodes_offline ON nodes (last_seen_at, id) WHERE status = 'offline'`,
    );
    // One row: whoever grants a permit within a limit that several rollouts share holds it.
    await runner.query(`CREATE TABLE permit_lock (id integer PRIMARY KEY)`);
    await runner.query(`INSERT INTO permit_lock (id) VALUES (1)`);
    await runner.query(
      `CREATE TABLE upgrade_switches (
        group_id text PRIMARY KEY,
        mode text NOT NULL,
        note text NOT NULL,
        set_by text NOT NULL,
        set_at bigint NOT NULL
      )`,
    );
    await runner.query(
      `CREATE TABLE freezes (
        id text PRIMARY KEY,
        group_id text NOT NULL,
        name text NOT NULL,
        from_at bigint NOT NULL,
        to_at bigint NOT NULL,
        created_by text NOT NULL,
        created_at bigint NOT NULL
      )`,
    );
    await runner.query(`CREATE INDEX freezes_by_group ON freezes (group_id, to_at)`);
    await runner.query(
      `CREATE TABLE commands (
        id text PRIMARY KEY,
        node_id text NOT NULL,
        service text NOT NULL,
        rollout_id text NOT NULL,
        generation bigint NOT NULL,
        status text NOT NULL,
        payload text NOT NULL,
        product text,
        created_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        succeeded_at bigint
      )`,
    );
    await runner.query(`CREATE INDEX commands_by_node ON commands (node_id, status)`);
    await runner.query(`CREATE INDEX commands_by_age ON commands (status, created_at)`);
    // How long upgrades of a product take here: the last few, for previews.
    await runner.query(
      `CREATE INDEX commands_succeeded ON commands (product, succeeded_at)
       WHERE succeeded_at IS NOT NULL`,
    );
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
