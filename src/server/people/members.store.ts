import { Inject, Injectable } from '@nestjs/common';
import type { Grant, GroupRole } from '../../core/access/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import type { Cursor } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';

export interface MemberRecord {
  readonly userId: string;
  readonly login: string;
  readonly name: string;
  readonly groupId: string;
  readonly source: 'manual' | 'sso';
  readonly role: GroupRole;
  readonly createdAt: number;
  readonly expiresAt: number | null;
}

interface Row {
  user_id: string;
  login: string;
  name: string;
  group_id: string;
  source: 'manual' | 'sso';
  role: GroupRole;
  created_at: number;
  expires_at: number | null;
}

const SELECT = `SELECT members.user_id, users.login, users.name, members.group_id, members.source,
  members.role, members.created_at, members.expires_at
  FROM members JOIN users ON users.id = members.user_id`;

const toRecord = (row: Row): MemberRecord => ({
  userId: row.user_id,
  login: row.login,
  name: row.name,
  groupId: row.group_id,
  source: row.source,
  role: row.role,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
});

/** Who holds which role on which group. Roles flow down; that is for `core/access`. */
@Injectable()
export class Members {
  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** What a user holds now, everywhere and on groups; what has expired grants nothing. */
  async grantsOf(
    { id, isSuperAdmin }: { readonly id: string; readonly isSuperAdmin: boolean },
    sql: Sql = this.database.read,
  ): Promise<Grant[]> {
    const rows = await sql.all<{ group_id: string; role: GroupRole }>(
      `SELECT group_id, role FROM members
       WHERE user_id = ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY group_id, source`,
      [id, this.clock.now()],
    );
    const held: Grant[] = rows.map(({ group_id: groupId, role }) => ({ role, groupId }));
    return isSuperAdmin ? [{ role: 'super_admin' }, ...held] : held;
  }

  async ofUser(userId: string, sql: Sql = this.database.read): Promise<MemberRecord[]> {
    const rows = await sql.all<Row>(
      `${SELECT} WHERE members.user_id = ? ORDER BY members.group_id, members.source`,
      [userId],
    );
    return rows.map(toRecord);
  }

  /** Of the group itself, longest first. The source is part of the cursor's id. */
  async ofGroup(groupId: string, after: Cursor | null, limit: number): Promise<MemberRecord[]> {
    const { at, id } = after ?? { at: -1, id: '' };
    const rows = await this.database.read.all<Row>(
      `${SELECT} WHERE members.group_id = ? AND (members.created_at > ?
         OR (members.created_at = ? AND members.user_id || '_' || members.source > ?))
       ORDER BY members.created_at, members.user_id || '_' || members.source LIMIT ?`,
      [groupId, at, at, id, limit],
    );
    return rows.map(toRecord);
  }

  async set(
    tx: Tx,
    wanted: {
      readonly userId: string;
      readonly groupId: string;
      readonly source: 'manual' | 'sso';
      readonly role: GroupRole;
      readonly expiresAt: number | null;
    },
  ): Promise<void> {
    const { userId, groupId, source, role, expiresAt } = wanted;
    await tx.run(
      `INSERT INTO members (user_id, group_id, source, role, created_at, expires_at)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (user_id, group_id, source)
       DO UPDATE SET role = excluded.role, expires_at = excluded.expires_at`,
      [userId, groupId, source, role, this.clock.now(), expiresAt],
    );
  }

  /** The role that was taken away; null when there was none. */
  async remove(
    tx: Tx,
    at: {
      readonly userId: string;
      readonly groupId: string;
      readonly source: 'manual' | 'sso';
    },
  ): Promise<GroupRole | null> {
    const row = await tx.get<{ role: GroupRole }>(
      'DELETE FROM members WHERE user_id = ? AND group_id = ? AND source = ? RETURNING role',
      [at.userId, at.groupId, at.source],
    );
    return row?.role ?? null;
  }
}
