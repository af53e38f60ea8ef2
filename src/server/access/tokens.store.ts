import { Inject, Injectable } from '@nestjs/common';
import type { Grant, Permission, Role } from '../../core/access/index.js';
import { DAY_MS, MINUTE_MS } from '../../core/kernel/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import type { Cursor } from '../platform/http/index.js';
import { CLOCK, hashSecret, newId, newSecret, type Clock } from '../platform/index.js';

export interface TokenRecord {
  readonly id: string;
  readonly name: string;
  /** Null when it holds `permissions`; one of the two is there. */
  readonly role: Role | null;
  readonly permissions: readonly Permission[] | null;
  readonly groupId: string | null;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly lastUsedAt: number | null;
  /** The address of the caller then. */
  readonly lastUsedFrom: string | null;
  /** Who stands behind it: a user or the token of the set-up; null when nobody is known. */
  readonly makerId: string | null;
}

/** What a token may, and where: what rotation keeps. */
export type TokenPower = Pick<TokenRecord, 'role' | 'permissions' | 'groupId'>;

interface TokenRow {
  id: string;
  name: string;
  role: Role | typeof BY_NAME;
  permissions: string | null;
  group_id: string | null;
  created_at: number;
  expires_at: number;
  last_used_at: number | null;
  last_used_from: string | null;
  maker_id: string | null;
}

/** Stands in the column `role`, which cannot be empty, where `permissions` says it. */
const BY_NAME = 'permissions';

/** Written at most this often, so that a busy token does not write for every request. */
const LAST_USED_STEP_MS = MINUTE_MS;

const COLUMNS = [
  'id, name, role, permissions, group_id, created_at, expires_at, last_used_at, last_used_from',
  'maker_id',
].join(', ');
/** A token does not outlive the person behind it. Whoever is no user, such as the set-up, has no end. */
const MAKER_LIVES = `NOT EXISTS (SELECT 1 FROM users WHERE users.id = api_tokens.maker_id
  AND (users.disabled_at IS NOT NULL OR users.expires_at <= ?))`;
const MAKER_ENDS = '(SELECT users.expires_at FROM users WHERE users.id = api_tokens.maker_id)';
const SECRET = /^bwt_[0-9a-z]{40}$/;

const toRecord = (row: TokenRow): TokenRecord => ({
  id: row.id,
  name: row.name,
  role: row.role === BY_NAME ? null : row.role,
  permissions: row.permissions === null ? null : (JSON.parse(row.permissions) as Permission[]),
  groupId: row.group_id,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  lastUsedAt: row.last_used_at,
  lastUsedFrom: row.last_used_from,
  makerId: row.maker_id,
});

export const grantOf = (token: TokenPower): Grant => {
  const { role, permissions, groupId } = token;
  if (role === null) return { permissions: permissions ?? [], groupId };
  if (role === 'super_admin' || role === 'release') return { role };
  // A group role without a group cannot be made; if it ever were, it must grant nothing.
  return { role, groupId: groupId ?? '' };
};

/** API tokens. Only hashes are stored; a secret is seen once, by whoever made the token. */
@Injectable()
export class ApiTokens {
  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async create(
    tx: Tx,
    wanted: TokenPower & {
      readonly name: string;
      readonly expiresInDays: number;
      /** Null: it stands for itself, as the first one does. */
      readonly makerId: string | null;
    },
  ): Promise<{ readonly token: TokenRecord; readonly secret: string }> {
    const secret = newSecret('bwt');
    const nowMs = this.clock.now();
    const token: TokenRecord = {
      id: newId('tok'),
      name: wanted.name,
      role: wanted.role,
      permissions: wanted.permissions,
      groupId: wanted.groupId,
      createdAt: nowMs,
      expiresAt: nowMs + wanted.expiresInDays * DAY_MS,
      lastUsedAt: null,
      lastUsedFrom: null,
      makerId: wanted.makerId,
    };
    await tx.run(
      `INSERT INTO api_tokens (${COLUMNS}, secret_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      [
        token.id,
        token.name,
        token.role ?? BY_NAME,
        token.permissions === null ? null : JSON.stringify(token.permissions),
        token.groupId,
        token.createdAt,
        token.expiresAt,
        null,
        null,
        token.makerId,
        hashSecret(secret),
      ],
    );
    return { token, secret };
  }

  /**
   * The token of a secret, or null when it is unknown, revoked or expired, or the user who made it is
   * disabled or expired. It ends with that user at the latest. Notes the use.
   */
  async authenticate(secret: string, from = ''): Promise<TokenRecord | null> {
    if (!SECRET.test(secret)) return null;
    const nowMs = this.clock.now();
    const row = await this.database.read.get<TokenRow & { maker_ends: number | null }>(
      `SELECT ${COLUMNS}, ${MAKER_ENDS} AS maker_ends FROM api_tokens
       WHERE secret_hash = ? AND revoked_at IS NULL AND expires_at > ? AND ${MAKER_LIVES}`,
      [hashSecret(secret), nowMs, nowMs],
    );
    if (row === undefined) return null;
    if (row.last_used_at === null || row.last_used_at <= nowMs - LAST_USED_STEP_MS) {
      await this.database.transaction((tx) =>
        tx.run('UPDATE api_tokens SET last_used_at = ?, last_used_from = ? WHERE id = ?', [
          nowMs,
          from,
          row.id,
        ]),
      );
    }
    const token = toRecord(row);
    return { ...token, expiresAt: Math.min(token.expiresAt, row.maker_ends ?? Infinity) };
  }

  /** The token of a secret that was revoked; null when it never was one. */
  async revokedOf(secret: string): Promise<Pick<TokenRecord, 'id' | 'name' | 'groupId'> | null> {
    if (!SECRET.test(secret)) return null;
    const row = await this.database.read.get<{ id: string; name: string; group_id: string | null }>(
      `SELECT id, name, group_id FROM api_tokens
       WHERE secret_hash = ? AND revoked_at IS NOT NULL`,
      [hashSecret(secret)],
    );
    return row === undefined ? null : { id: row.id, name: row.name, groupId: row.group_id };
  }

  /** Newest first, without revoked ones; expired ones are shown, their date says so. */
  async list(
    before: Cursor | null,
    limit: number,
    groups: 'all' | readonly string[] = 'all',
  ): Promise<TokenRecord[]> {
    if (groups !== 'all' && groups.length === 0) return [];
    const { at, id } = before ?? { at: Number.MAX_SAFE_INTEGER, id: '' };
    const inside = groups === 'all' ? '' : `AND group_id IN (${groups.map(() => '?').join(', ')})`;
    const rows = await this.database.read.all<TokenRow>(
      `SELECT ${COLUMNS} FROM api_tokens
       WHERE revoked_at IS NULL AND (created_at < ? OR (created_at = ? AND id < ?)) ${inside}
       ORDER BY created_at DESC, id DESC LIMIT ?`,
      [at, at, id, ...(groups === 'all' ? [] : groups), limit],
    );
    return rows.map(toRecord);
  }

  /** A token that was not revoked, expired ones too; null when there is none. */
  async find(sql: Sql, id: string): Promise<TokenRecord | null> {
    const row = await sql.get<TokenRow>(
      `SELECT ${COLUMNS} FROM api_tokens WHERE id = ? AND revoked_at IS NULL`,
      [id],
    );
    return row === undefined ? null : toRecord(row);
  }

  /** Those of these tokens that work now. */
  async working(ids: readonly string[]): Promise<readonly string[]> {
    if (ids.length === 0) return [];
    const nowMs = this.clock.now();
    const rows = await this.database.read.all<{ id: string }>(
      `SELECT id FROM api_tokens WHERE revoked_at IS NULL AND expires_at > ? AND ${MAKER_LIVES}
         AND id IN (${ids.map(() => '?').join(', ')})`,
      [nowMs, nowMs, ...ids],
    );
    return rows.map(({ id }) => id);
  }

  /** Of any token that ever was; null when it is held everywhere. */
  async groupOf(id: string): Promise<string | null> {
    const row = await this.database.read.get<{ group_id: string | null }>(
      'SELECT group_id FROM api_tokens WHERE id = ?',
      [id],
    );
    return row?.group_id ?? null;
  }

  /**
   * Lets a token that works end at `untilMs`, if it would live longer. False when it was revoked or
   * has expired meanwhile: of several at once that rotate one token, each sees the end of the others.
   */
  async shorten(tx: Tx, token: TokenRecord, untilMs: number): Promise<boolean> {
    const ends = Math.min(token.expiresAt - 1, untilMs);
    const changed = await tx.run(
      `UPDATE api_tokens SET expires_at = ?
       WHERE id = ? AND revoked_at IS NULL AND expires_at = ? AND expires_at > ?`,
      [ends, token.id, token.expiresAt, this.clock.now()],
    );
    return changed > 0;
  }

  /** The token that was revoked, or null when there is none that could be. */
  async revoke(tx: Tx, id: string): Promise<TokenRecord | null> {
    const row = await tx.get<TokenRow>(
      `UPDATE api_tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL
       RETURNING ${COLUMNS}`,
      [this.clock.now(), id],
    );
    return row === undefined ? null : toRecord(row);
  }

  /** Ends every token behind which this user stands; tells their ids. */
  async revokeOf(tx: Tx, makerId: string): Promise<string[]> {
    const rows = await tx.all<{ id: string }>(
      'UPDATE api_tokens SET revoked_at = ? WHERE maker_id = ? AND revoked_at IS NULL RETURNING id',
      [this.clock.now(), makerId],
    );
    return rows.map(({ id }) => id);
  }

  /** Whether anyone could still administer this installation. */
  async hasSuperAdmin(sql: Sql): Promise<boolean> {
    const row = await sql.get(
      `SELECT id FROM api_tokens
       WHERE role = 'super_admin' AND revoked_at IS NULL AND expires_at > ? AND ${MAKER_LIVES}
       LIMIT 1`,
      [this.clock.now(), this.clock.now()],
    );
    return row !== undefined;
  }
}
