import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../core/kernel/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, hashSecret, newId, newSecret, type Clock } from '../platform/index.js';
import { isActive, type UserRecord } from './users.store.js';

/** NIST SP 800-63B-4, AAL2: a day in all, an hour without a sign of life. */
export const COOKIE_LIFETIME_MS = DAY_MS;
export const COOKIE_IDLE_MS = HOUR_MS;
/** For a command line: a working day, used or not. */
export const TOKEN_LIFETIME_MS = 8 * HOUR_MS;
/** A cookie gets a new secret this often: a stolen copy dies, or is found out. */
export const ROTATE_MS = 30 * MINUTE_MS;
/** Requests that were on their way still carry the old one. */
export const ROTATION_GRACE_MS = MINUTE_MS;
/** Written at most this often. */
const USED_STEP_MS = MINUTE_MS;
/** Of one user; the oldest end beyond it. */
const SESSIONS_MAX = 50;

export interface SessionRecord {
  readonly id: string;
  readonly userId: string;
  readonly kind: 'cookie' | 'token';
  readonly csrf: string;
  readonly createdAt: number;
  readonly rotatedAt: number;
  readonly usedAt: number;
  readonly expiresAt: number;
  readonly ip: string;
  readonly userAgent: string;
}

interface Row {
  id: string;
  user_id: string;
  kind: 'cookie' | 'token';
  csrf: string;
  created_at: number;
  rotated_at: number;
  used_at: number;
  expires_at: number;
  ip: string;
  user_agent: string;
}
interface FoundRow extends Row {
  is_previous: number;
  login: string;
  name: string;
  is_super_admin: number;
  disabled_at: number | null;
  user_expires_at: number | null;
  could_lack_factor: number;
}

const COLUMNS =
  'id, user_id, kind, csrf, created_at, rotated_at, used_at, expires_at, ip, user_agent';
const SECRETS = { cookie: /^bwc_[0-9a-z]{40}$/, token: /^bwl_[0-9a-z]{40}$/ } as const;
const PREFIXES = { cookie: 'bwc', token: 'bwl' } as const;

const toRecord = (row: Row): SessionRecord => ({
  id: row.id,
  userId: row.user_id,
  kind: row.kind,
  csrf: row.csrf,
  createdAt: row.created_at,
  rotatedAt: row.rotated_at,
  usedAt: row.used_at,
  expiresAt: row.expires_at,
  ip: row.ip,
  userAgent: row.user_agent,
});

/** A session that is good, and whose it is. */
export interface FoundSession {
  readonly session: SessionRecord;
  readonly user: Pick<UserRecord, 'id' | 'login' | 'name' | 'isSuperAdmin'> & {
    /** Of a person who signs in at a provider that one looks after it. */
    readonly couldLackFactor: boolean;
  };
  /** The secret is due for another one. */
  readonly isStale: boolean;
}

/** Sessions of people. Only hashes of their secrets are stored; one SHA-256, they are random. */
@Injectable()
export class Sessions {
  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Always a secret of its own: what a stranger planted before the sign-in is worth nothing. */
  async create(
    tx: Tx,
    user: Pick<UserRecord, 'id' | 'expiresAt'>,
    kind: 'cookie' | 'token',
    from: Pick<Caller, 'ip' | 'userAgent'>,
  ): Promise<{ readonly session: SessionRecord; readonly secret: string }> {
    const secret = newSecret(PREFIXES[kind]);
    const nowMs = this.clock.now();
    const lifetimeMs = kind === 'cookie' ? COOKIE_LIFETIME_MS : TOKEN_LIFETIME_MS;
    const session: SessionRecord = {
      id: newId('ses'),
      userId: user.id,
      kind,
      csrf: randomBytes(24).toString('base64url'),
      createdAt: nowMs,
      rotatedAt: nowMs,
      usedAt: nowMs,
      expiresAt: Math.min(nowMs + lifetimeMs, user.expiresAt ?? Infinity),
      ip: from.ip,
      userAgent: (from.userAgent ?? '').replace(/[^\u0020-\u007e]/g, '?').slice(0, 200),
    };
    await tx.run(
      `INSERT INTO sessions (${COLUMNS}, secret_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      [
        session.id,
        session.userId,
        kind,
        session.csrf,
        nowMs,
        nowMs,
        nowMs,
        session.expiresAt,
        session.ip,
        session.userAgent,
        hashSecret(secret),
      ],
    );
    await tx.run('DELETE FROM sessions WHERE expires_at <= ?', [nowMs]);
    await tx.run(
      `DELETE FROM sessions WHERE user_id = ? AND id NOT IN (
         SELECT id FROM sessions WHERE user_id = ? ORDER BY created_at DESC, id DESC LIMIT ?)`,
      [user.id, user.id, SESSIONS_MAX],
    );
    return { session, secret };
  }

  /**
   * The session of a secret and its user; null when it is unknown, over, idle too long, or its user may
   * not come in. `reused`: a secret that was replaced a while ago, so two hold the session.
   */
  async find(secret: string, kind: 'cookie' | 'token'): Promise<FoundSession | 'reused' | null> {
    if (!SECRETS[kind].test(secret)) return null;
    const hash = hashSecret(secret);
    const row = await this.database.read.get<FoundRow>(
      `SELECT sessions.id, user_id, sessions.kind, csrf, sessions.created_at, rotated_at, used_at,
         sessions.expires_at, ip, user_agent, CASE WHEN secret_hash = ? THEN 0 ELSE 1 END AS is_previous,
         login, name, is_super_admin, disabled_at, users.expires_at AS user_expires_at,
         CASE WHEN users.password_hash IS NOT NULL AND users.factor_secret IS NULL THEN 1 ELSE 0 END
           AS could_lack_factor
       FROM sessions JOIN users ON users.id = sessions.user_id
       WHERE (secret_hash = ? OR previous_hash = ?) AND sessions.kind = ?`,
      [hash, hash, hash, kind],
    );
    const nowMs = this.clock.now();
    if (row === undefined || isOver(row, nowMs)) return null;
    const isPrevious = row.is_previous === 1;
    if (isPrevious && nowMs - row.rotated_at > ROTATION_GRACE_MS) return 'reused';
    return {
      session: toRecord(row),
      user: {
        id: row.user_id,
        login: row.login,
        name: row.name,
        isSuperAdmin: row.is_super_admin === 1,
        couldLackFactor: row.could_lack_factor === 1,
      },
      isStale: kind === 'cookie' && !isPrevious && nowMs - row.rotated_at >= ROTATE_MS,
    };
  }

  /** Whose session it is; null when it is over. */
  async holderOf(
    id: string,
  ): Promise<{ readonly id: string; readonly isSuperAdmin: boolean } | null> {
    const row = await this.database.read.get<FoundRow>(
      `SELECT sessions.id, user_id, sessions.kind, csrf, sessions.created_at, rotated_at, used_at,
         sessions.expires_at, ip, user_agent, 0 AS is_previous,
         login, name, is_super_admin, disabled_at, users.expires_at AS user_expires_at
       FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id = ?`,
      [id],
    );
    if (row === undefined || isOver(row, this.clock.now())) return null;
    return { id: row.user_id, isSuperAdmin: row.is_super_admin === 1 };
  }

  /** Those of these sessions that are not over, of users who may come in. */
  async working(ids: readonly string[]): Promise<readonly string[]> {
    if (ids.length === 0) return [];
    const nowMs = this.clock.now();
    const rows = await this.database.read.all<{ id: string }>(
      `SELECT sessions.id FROM sessions JOIN users ON users.id = sessions.user_id
       WHERE sessions.expires_at > ? AND users.disabled_at IS NULL
         AND (users.expires_at IS NULL OR users.expires_at > ?)
         AND sessions.id IN (${ids.map(() => '?').join(', ')})`,
      [nowMs, nowMs, ...ids],
    );
    return rows.map(({ id }) => id);
  }

  /** Ends the session of a secret that was replaced; null when it is gone already. */
  async endReused(tx: Tx, secret: string): Promise<SessionRecord | null> {
    const row = await tx.get<Row>(
      `DELETE FROM sessions WHERE previous_hash = ? RETURNING ${COLUMNS}`,
      [hashSecret(secret)],
    );
    return row === undefined ? null : toRecord(row);
  }

  /** Notes the use, to the minute. */
  async touch(session: SessionRecord): Promise<void> {
    const nowMs = this.clock.now();
    if (nowMs - session.usedAt < USED_STEP_MS) return;
    await this.database.transaction((tx) =>
      tx.run('UPDATE sessions SET used_at = ? WHERE id = ? AND used_at < ?', [
        nowMs,
        session.id,
        nowMs,
      ]),
    );
  }

  /** A new secret in place of this one; null when another request was first. */
  async rotate(id: string, secret: string): Promise<string | null> {
    const next = newSecret('bwc');
    const done = await this.database.transaction((tx) =>
      tx.run(
        `UPDATE sessions SET secret_hash = ?, previous_hash = ?, rotated_at = ?
         WHERE id = ? AND secret_hash = ?`,
        [hashSecret(next), hashSecret(secret), this.clock.now(), id, hashSecret(secret)],
      ),
    );
    return done === 0 ? null : next;
  }

  async byId(id: string, sql: Sql = this.database.read): Promise<SessionRecord | null> {
    const row = await sql.get<Row>(`SELECT ${COLUMNS} FROM sessions WHERE id = ?`, [id]);
    return row === undefined ? null : toRecord(row);
  }

  /** Those that still work, newest first. */
  async ofUser(userId: string): Promise<SessionRecord[]> {
    const nowMs = this.clock.now();
    const rows = await this.database.read.all<Row>(
      `SELECT ${COLUMNS} FROM sessions WHERE user_id = ? AND expires_at > ?
       ORDER BY created_at DESC, id DESC LIMIT ?`,
      [userId, nowMs, SESSIONS_MAX],
    );
    return rows.filter((row) => !isIdle(row, nowMs)).map(toRecord);
  }

  /** Whether there was such a session of this user. */
  async end(tx: Tx, userId: string, id: string): Promise<boolean> {
    return (await tx.run('DELETE FROM sessions WHERE id = ? AND user_id = ?', [id, userId])) > 0;
  }

  /** How many ended. */
  endAll(tx: Tx, userId: string): Promise<number> {
    return tx.run('DELETE FROM sessions WHERE user_id = ?', [userId]);
  }
}

const isIdle = (row: Row, nowMs: number): boolean =>
  row.kind === 'cookie' && nowMs - row.used_at >= COOKIE_IDLE_MS;

const isOver = (row: FoundRow, nowMs: number): boolean =>
  row.expires_at <= nowMs ||
  isIdle(row, nowMs) ||
  !isActive({ disabledAt: row.disabled_at, expiresAt: row.user_expires_at }, nowMs);
