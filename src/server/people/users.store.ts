import { Inject, Injectable } from '@nestjs/common';
import { skeletonOf } from '../../core/people/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import type { Cursor } from '../platform/http/index.js';
import { CLOCK, newId, type Clock } from '../platform/index.js';

export interface UserRecord {
  readonly id: string;
  readonly login: string;
  readonly name: string;
  readonly kind: 'local' | 'sso';
  readonly isSuperAdmin: boolean;
  readonly passwordHash: string | null;
  /** Sealed; null without a second factor. */
  readonly factorSecret: string | null;
  readonly factorPending: string | null;
  readonly factorStep: number;
  readonly disabledAt: number | null;
  readonly expiresAt: number | null;
  readonly createdAt: number;
  readonly lastSignInAt: number | null;
}

export interface UserRow {
  id: string;
  login: string;
  name: string;
  kind: 'local' | 'sso';
  is_super_admin: number;
  password_hash: string | null;
  factor_secret: string | null;
  factor_pending: string | null;
  factor_step: number;
  disabled_at: number | null;
  expires_at: number | null;
  created_at: number;
  last_sign_in_at: number | null;
}

const COLUMNS = [
  'id, login, name, kind, is_super_admin, password_hash, factor_secret, factor_pending',
  'factor_step, disabled_at, expires_at, created_at, last_sign_in_at',
].join(', ');

const toRecord = (row: UserRow): UserRecord => ({
  id: row.id,
  login: row.login,
  name: row.name,
  kind: row.kind,
  isSuperAdmin: row.is_super_admin === 1,
  passwordHash: row.password_hash,
  factorSecret: row.factor_secret,
  factorPending: row.factor_pending,
  factorStep: row.factor_step,
  disabledAt: row.disabled_at,
  expiresAt: row.expires_at,
  createdAt: row.created_at,
  lastSignInAt: row.last_sign_in_at,
});

export interface NewUser {
  readonly login: string;
  readonly name: string;
  readonly isSuperAdmin: boolean;
  readonly expiresAt: number | null;
  readonly passwordHash: string | null;
  /** Who vouches for him when it is not a password. */
  readonly subject: { readonly issuer: string; readonly subject: string } | null;
}

/** Whether a user may come in at all. */
export const isActive = (
  user: Pick<UserRecord, 'disabledAt' | 'expiresAt'>,
  nowMs: number,
): boolean => user.disabledAt === null && (user.expiresAt === null || user.expiresAt > nowMs);

/** A super admin who stays: one who ends by himself leaves nobody behind. */
const LASTING = `is_super_admin = 1 AND disabled_at IS NULL AND expires_at IS NULL`;

/** Users. They are disabled and never deleted: the audit log speaks of them. */
@Injectable()
export class Users {
  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async byLogin(login: string, sql: Sql = this.database.read): Promise<UserRecord | null> {
    return this.#one(sql, 'login = ?', [login]);
  }

  async byId(id: string, sql: Sql = this.database.read): Promise<UserRecord | null> {
    return this.#one(sql, 'id = ?', [id]);
  }

  async bySubject(sql: Sql, issuer: string, subject: string): Promise<UserRecord | null> {
    return this.#one(sql, 'issuer = ? AND subject = ?', [issuer, subject]);
  }

  async #one(sql: Sql, where: string, params: readonly string[]): Promise<UserRecord | null> {
    const row = await sql.get<UserRow>(`SELECT ${COLUMNS} FROM users WHERE ${where}`, params);
    return row === undefined ? null : toRecord(row);
  }

  /** Throws `conflict` when the login is taken or looks like one that is. */
  async create(tx: Tx, wanted: NewUser): Promise<UserRecord> {
    const id = newId('usr');
    const made = await tx.get<UserRow>(
      `INSERT INTO users (id, login, skeleton, name, kind, is_super_admin, password_hash,
         factor_step, issuer, subject, expires_at, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, -1, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
      [
        id,
        wanted.login,
        skeletonOf(wanted.login),
        wanted.name,
        wanted.subject === null ? 'local' : 'sso',
        wanted.isSuperAdmin ? 1 : 0,
        wanted.passwordHash,
        wanted.subject?.issuer ?? null,
        wanted.subject?.subject ?? null,
        wanted.expiresAt,
        this.clock.now(),
      ],
    );
    if (made === undefined) {
      throw new FleetError('conflict', 'this login is taken, or looks like one that is');
    }
    return toRecord(made);
  }

  /** Newest first. */
  async list(before: Cursor | null, limit: number): Promise<UserRecord[]> {
    const { at, id } = before ?? { at: Number.MAX_SAFE_INTEGER, id: '' };
    const rows = await this.database.read.all<UserRow>(
      `SELECT ${COLUMNS} FROM users WHERE created_at < ? OR (created_at = ? AND id < ?)
       ORDER BY created_at DESC, id DESC LIMIT ?`,
      [at, at, id, limit],
    );
    return rows.map(toRecord);
  }

  /** Sets what is given. The caller has looked whether somebody is left: see `keepSuperAdmin`. */
  async update(
    tx: Tx,
    user: UserRecord,
    change: Partial<Pick<UserRecord, 'name' | 'isSuperAdmin' | 'expiresAt' | 'disabledAt'>>,
  ): Promise<UserRecord> {
    const next = { ...user, ...change };
    await tx.run(
      `UPDATE users SET name = ?, is_super_admin = ?, expires_at = ?, disabled_at = ?
       WHERE id = ?`,
      [next.name, next.isSuperAdmin ? 1 : 0, next.expiresAt, next.disabledAt, user.id],
    );
    return next;
  }

  async setPassword(tx: Tx, id: string, hash: string): Promise<void> {
    await tx.run('UPDATE users SET password_hash = ? WHERE id = ?', [hash, id]);
  }

  /**
   * Whether password and second factor are those of this record, until the end of the transaction: what was
   * looked at before it may have been changed while a hash was waited for.
   */
  async isUnchanged(tx: Tx, { id, passwordHash, factorSecret }: UserRecord): Promise<boolean> {
    const same = await tx.run(
      `UPDATE users SET login = login WHERE id = ? AND disabled_at IS NULL
         AND COALESCE(password_hash, '') = ? AND COALESCE(factor_secret, '') = ?`,
      [id, passwordHash ?? '', factorSecret ?? ''],
    );
    return same === 1;
  }

  async signedIn(tx: Tx, id: string): Promise<void> {
    await tx.run('UPDATE users SET last_sign_in_at = ? WHERE id = ?', [this.clock.now(), id]);
  }

  /** Before super admins are changed: of two who demote each other at once, one comes later. */
  async lockSuperAdmins(tx: Tx): Promise<void> {
    await tx.run('UPDATE super_admin_lock SET taken = taken + 1 WHERE id = 1');
  }

  /** After the change: throws `last_super_admin` when there was one who stays and none is left. */
  async keepSuperAdmin(tx: Tx, before: UserRecord): Promise<void> {
    const wasLasting =
      before.isSuperAdmin && before.disabledAt === null && before.expiresAt === null;
    if (!wasLasting) return;
    const left = await tx.get(`SELECT id FROM users WHERE ${LASTING} LIMIT 1`);
    if (left === undefined) {
      throw new FleetError('last_super_admin', 'no lasting super admin would be left');
    }
  }

  /** Whether a person could still administer this installation. */
  async hasSuperAdmin(sql: Sql): Promise<boolean> {
    const row = await sql.get(
      `SELECT id FROM users WHERE is_super_admin = 1 AND disabled_at IS NULL
         AND (expires_at IS NULL OR expires_at > ?) LIMIT 1`,
      [this.clock.now()],
    );
    return row !== undefined;
  }
}
