import { Inject, Injectable } from '@nestjs/common';
import { covers, decide, type Grant, type GroupRole } from '../../core/access/index.js';
import { DAY_MS, HOUR_MS } from '../../core/kernel/index.js';
import { ApiTokens, grantOf, Groups } from '../access/index.js';
import { Database, type Sql, type SqlValue, type Tx } from '../platform/database/index.js';
import type { Cursor } from '../platform/http/index.js';
import { CLOCK, hashSecret, newId, newSecret, type Clock } from '../platform/index.js';
import { Members } from './members.store.js';
import { isActive, Users } from './users.store.js';

export interface InvitationRecord {
  readonly id: string;
  readonly note: string;
  readonly isSuperAdmin: boolean;
  readonly groupId: string | null;
  readonly role: GroupRole | null;
  /** How long the user works; null: for good. */
  readonly userDays: number | null;
  /** Id of the user or API token who invited. */
  readonly invitedBy: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

interface Row {
  id: string;
  note: string;
  is_super_admin: number;
  group_id: string | null;
  role: GroupRole | null;
  user_days: number | null;
  invited_by: string;
  created_at: number;
  expires_at: number;
}

const COLUMNS =
  'id, note, is_super_admin, group_id, role, user_days, invited_by, created_at, expires_at';
const SECRET = /^bwi_[0-9a-z]{40}$/;

const toRecord = (row: Row): InvitationRecord => ({
  id: row.id,
  note: row.note,
  isSuperAdmin: row.is_super_admin === 1,
  groupId: row.group_id,
  role: row.role,
  userDays: row.user_days,
  invitedBy: row.invited_by,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
});

/** When a user ends who was let in for so many days. */
export const endAfter = (nowMs: number, days: number | null): number | null =>
  days === null ? null : nowMs + days * DAY_MS;

/**
 * Open invitations. Whoever accepts one takes its row: of two who try at once one wins. It is a promise of
 * whoever invited, and worth what he could promise at the moment when it is taken.
 */
@Injectable()
export class Invitations {
  constructor(
    private readonly database: Database,
    private readonly users: Users,
    private readonly members: Members,
    private readonly tokens: ApiTokens,
    private readonly groups: Groups,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async create(
    tx: Tx,
    wanted: Omit<InvitationRecord, 'id' | 'createdAt' | 'expiresAt'> & {
      readonly expiresInHours: number;
    },
  ): Promise<{ readonly invitation: InvitationRecord; readonly secret: string }> {
    const { expiresInHours, ...rest } = wanted;
    const secret = newSecret('bwi');
    const nowMs = this.clock.now();
    const invitation: InvitationRecord = {
      ...rest,
      id: newId('inv'),
      createdAt: nowMs,
      expiresAt: nowMs + expiresInHours * HOUR_MS,
    };
    await tx.run('DELETE FROM invitations WHERE expires_at <= ?', [nowMs]);
    await tx.run(
      `INSERT INTO invitations (${COLUMNS}, secret_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      [
        invitation.id,
        invitation.note,
        invitation.isSuperAdmin ? 1 : 0,
        invitation.groupId,
        invitation.role,
        invitation.userDays,
        invitation.invitedBy,
        invitation.createdAt,
        invitation.expiresAt,
        hashSecret(secret),
      ],
    );
    return { invitation, secret };
  }

  /** Those that still work, newest first. `groups` leaves out the others, and those to no group. */
  async list(options: {
    readonly groups: 'all' | readonly string[];
    readonly before: Cursor | null;
    readonly limit: number;
  }): Promise<InvitationRecord[]> {
    const { groups, limit } = options;
    if (groups !== 'all' && groups.length === 0) return [];
    const { at, id } = options.before ?? { at: Number.MAX_SAFE_INTEGER, id: '' };
    const params: SqlValue[] = [this.clock.now(), at, at, id];
    // An invitation that also makes a super admin is nothing for the admins of a group.
    const mine =
      groups === 'all'
        ? ''
        : `AND is_super_admin = 0 AND group_id IN (${groups.map(() => '?').join(', ')})`;
    if (groups !== 'all') params.push(...groups);
    const rows = await this.database.read.all<Row>(
      `SELECT ${COLUMNS} FROM invitations
       WHERE expires_at > ? AND (created_at < ? OR (created_at = ? AND id < ?)) ${mine}
       ORDER BY created_at DESC, id DESC LIMIT ?`,
      [...params, limit],
    );
    return rows.map(toRecord);
  }

  async byId(id: string, sql: Sql = this.database.read): Promise<InvitationRecord | null> {
    const row = await sql.get<Row>(`SELECT ${COLUMNS} FROM invitations WHERE id = ?`, [id]);
    return row === undefined ? null : toRecord(row);
  }

  /** Whether it was there. */
  async revoke(tx: Tx, id: string): Promise<boolean> {
    return (await tx.run('DELETE FROM invitations WHERE id = ?', [id])) > 0;
  }

  /**
   * Ends those of a user that he could not make any more, and no others: call it in the transaction that
   * takes something from him. Gives how many.
   */
  async endUnfounded(tx: Tx, userId: string): Promise<number> {
    const rows = await tx.all<Row>(`SELECT ${COLUMNS} FROM invitations WHERE invited_by = ?`, [
      userId,
    ]);
    let ended = 0;
    for (const invitation of rows.map(toRecord)) {
      if (await this.#isFounded(tx, invitation)) continue;
      if (await this.revoke(tx, invitation.id)) ended += 1;
    }
    return ended;
  }

  /** Whether the secret would be taken; nothing is changed. */
  async isOpen(secret: string): Promise<boolean> {
    if (!SECRET.test(secret)) return false;
    const row = await this.database.read.get<Row>(
      `SELECT ${COLUMNS} FROM invitations WHERE secret_hash = ? AND expires_at > ?`,
      [hashSecret(secret), this.clock.now()],
    );
    return row !== undefined && (await this.#isFounded(this.database.read, toRecord(row)));
  }

  /** Uses it up; null when there is none that works. */
  async take(tx: Tx, secret: string): Promise<InvitationRecord | null> {
    if (!SECRET.test(secret)) return null;
    const row = await tx.get<Row>(
      `DELETE FROM invitations WHERE secret_hash = ? AND expires_at > ? RETURNING ${COLUMNS}`,
      [hashSecret(secret), this.clock.now()],
    );
    const invitation = row === undefined ? null : toRecord(row);
    return invitation !== null && (await this.#isFounded(tx, invitation)) ? invitation : null;
  }

  /** Whether whoever invited could do so now: roles are taken away, tokens revoked, groups moved. */
  async #isFounded(
    sql: Sql,
    { invitedBy, isSuperAdmin, groupId, role }: InvitationRecord,
  ): Promise<boolean> {
    const grants = await this.#grantsOf(sql, invitedBy);
    if (isSuperAdmin && !covers(grants, { role: 'super_admin' }, [])) return false;
    if (groupId === null || role === null) return isSuperAdmin;
    const group = await this.groups.find(groupId, sql);
    if (group === null || !decide(grants, 'member.manage', group.path).ok) return false;
    return covers(grants, { role, groupId }, group.path);
  }

  async #grantsOf(sql: Sql, invitedBy: string): Promise<readonly Grant[]> {
    const nowMs = this.clock.now();
    const token = await this.tokens.find(sql, invitedBy);
    if (token !== null) return token.expiresAt > nowMs ? [grantOf(token)] : [];
    const user = await this.users.byId(invitedBy, sql);
    if (user === null || !isActive(user, nowMs)) return [];
    return await this.members.grantsOf(user, sql);
  }
}
