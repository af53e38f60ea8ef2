import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Users, what they hold and how they come in. Of secrets that they send only hashes are here. */
export class CreatePeople1763712710000 implements MigrationInterface {
  name = 'CreatePeople1763712710000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE users (
        id text PRIMARY KEY,
        login text NOT NULL,
        skeleton text NOT NULL,
        name text NOT NULL,
        kind text NOT NULL,
        is_super_admin integer NOT NULL,
        password_hash text,
        factor_secret text,
        factor_pending text,
        factor_step bigint NOT NULL,
        issuer text,
        subject text,
        disabled_at bigint,
        expires_at bigint,
        created_at bigint NOT NULL,
        last_sign_in_at bigint
      )`,
    );
    await runner.query(`CREATE UNIQUE INDEX users_by_login ON users (login)`);
    await runner.query(`CREATE UNIQUE INDEX users_by_skeleton ON users (skeleton)`);
    await runner.query(`CREATE UNIQUE INDEX users_by_subject ON users (issuer, subject)`);
    await runner.query(`CREATE INDEX users_by_age ON users (created_at, id)`);
    await runner.query(
      `CREATE TABLE members (
        user_id text NOT NULL REFERENCES users (id),
        group_id text NOT NULL REFERENCES node_groups (id),
        source text NOT NULL,
        role text NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint,
        PRIMARY KEY (user_id, group_id, source)
      )`,
    );
    await runner.query(`CREATE INDEX members_by_group ON members (group_id, created_at, user_id)`);
    await runner.query(
      `CREATE TABLE sessions (
        id text PRIMARY KEY,
        user_id text NOT NULL REFERENCES users (id),
        kind text NOT NULL,
        secret_hash text NOT NULL,
        previous_hash text,
        csrf text NOT NULL,
        created_at bigint NOT NULL,
        rotated_at bigint NOT NULL,
        used_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        ip text NOT NULL,
        user_agent text NOT NULL
      )`,
    );
    await runner.query(`CREATE UNIQUE INDEX sessions_by_hash ON sessions (secret_hash)`);
    await runner.query(`CREATE INDEX sessions_by_previous ON sessions (previous_hash)`);
    await runner.query(`CREATE INDEX sessions_by_user ON sessions (user_id, created_at)`);
    await runner.query(`CREATE INDEX sessions_by_end ON sessions (expires_at)`);
    await runner.query(
      `CREATE TABLE recovery_codes (
        user_id text NOT NULL REFERENCES users (id),
        code_hash text NOT NULL,
        PRIMARY KEY (user_id, code_hash)
      )`,
    );
    await runner.query(
      `CREATE TABLE known_devices (
        secret_hash text PRIMARY KEY,
        user_id text NOT NULL REFERENCES users (id),
        used_at bigint NOT NULL
      )`,
    );
    await runner.query(`CREATE INDEX known_devices_by_user ON known_devices (user_id, used_at)`);
    await runner.query(
      `CREATE TABLE invitations (
        id text PRIMARY KEY,
        secret_hash text NOT NULL,
        note text NOT NULL,
        is_super_admin integer NOT NULL,
        group_id text REFERENCES node_groups (id),
        role text,
        user_days integer,
        invited_by text NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint NOT NULL
      )`,
    );
    await runner.query(`CREATE UNIQUE INDEX invitations_by_hash ON invitations (secret_hash)`);
    await runner.query(`CREATE INDEX invitations_by_age ON invitations (created_at, id)`);
    await runner.query(
      `CREATE TABLE sign_in_tries (
        about text PRIMARY KEY,
        tries integer NOT NULL,
        at bigint NOT NULL
      )`,
    );
    await runner.query(`CREATE INDEX sign_in_tries_by_age ON sign_in_tries (at)`);
    // Whoever changes super admins takes this row first: of two who remove each other one is late.
    await runner.query(
      `CREATE TABLE super_admin_lock (id integer PRIMARY KEY, taken bigint NOT NULL)`,
    );
    await runner.query(`INSERT INTO super_admin_lock (id, taken) VALUES (1, 0)`);
  }

  async down(): Promise<void> {
    throw new Error('migrations go forward only');
  }
}
