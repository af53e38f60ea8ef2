import { Injectable } from '@nestjs/common';
import { DAY_MS, FleetError, MINUTE_MS } from '../../core/kernel/index.js';
import type { EnrollResponse } from '../../protocol/node/index.js';
import type { Sql, Tx } from '../platform/database/index.js';
import { hashSecret, newId, newSecret } from '../platform/index.js';

/** Long enough to walk to a machine, short enough that a forgotten one is no door. */
export const ENROLLMENT_TOKEN_LIFETIME_MS = 15 * MINUTE_MS;
/** Kept this long after their end, so that a late try is told `expired` or `used`. */
const KEPT_AFTER_END_MS = 30 * DAY_MS;

export interface EnrollmentToken {
  readonly id: string;
  readonly groupId: string;
  readonly createdBy: string;
  readonly expiresAt: number;
  readonly usedAt: number | null;
}

interface TokenRow {
  id: string;
  group_id: string;
  created_by: string;
  expires_at: number;
  used_at: number | null;
}

/** One-time enrollment tokens; only hashes are stored. */
@Injectable()
export class EnrollmentTokens {
  /** Makes a token, and clears away those that ended long ago. */
  async create(
    tx: Tx,
    wanted: { readonly groupId: string; readonly createdBy: string; readonly now: number },
  ): Promise<{ readonly token: EnrollmentToken; readonly secret: string }> {
    const secret = newSecret('bwe');
    const token: EnrollmentToken = {
      id: newId('ent'),
      groupId: wanted.groupId,
      createdBy: wanted.createdBy,
      expiresAt: wanted.now + ENROLLMENT_TOKEN_LIFETIME_MS,
      usedAt: null,
    };
    await tx.run('DELETE FROM enrollment_tokens WHERE expires_at < ?', [
      wanted.now - KEPT_AFTER_END_MS,
    ]);
    await tx.run(
      `INSERT INTO enrollment_tokens (id, group_id, secret_hash, created_by, created_at, expires_at)
       VALUES (?, ?, ?, ?, ?, ?)`,
      [token.id, token.groupId, hashSecret(secret), token.createdBy, wanted.now, token.expiresAt],
    );
    return { token, secret };
  }

  async find(sql: Sql, secret: string): Promise<EnrollmentToken | null> {
    const row = await sql.get<TokenRow>(
      `SELECT id, group_id, created_by, expires_at, used_at
       FROM enrollment_tokens WHERE secret_hash = ?`,
      [hashSecret(secret)],
    );
    if (row === undefined) return null;
    return {
      id: row.id,
      groupId: row.group_id,
      createdBy: row.created_by,
      expiresAt: row.expires_at,
      usedAt: row.used_at,
    };
  }

  /** The node that this key became by this token, unless it was revoked since. */
  async nodeOf(sql: Sql, id: string, publicKey: string): Promise<EnrollResponse | null> {
    const row = await sql.get<EnrollResponse>(
      `SELECT n.id AS node_id, n.group_id, n.name FROM enrollment_tokens t JOIN nodes n ON n.id = t.node_id
       WHERE t.id = ? AND n.public_key = ? AND n.revoked_at IS NULL`,
      [id, publicKey],
    );
    return row ?? null;
  }

  /** First in the transaction of an enrollment: of several with one token each waits for the one before it. */
  async hold(tx: Tx, id: string): Promise<void> {
    await tx.run('UPDATE enrollment_tokens SET used_at = used_at WHERE id = ?', [id]);
  }

  /** Once; the row itself refuses a second time. */
  async use(
    tx: Tx,
    use: { readonly id: string; readonly nodeId: string; readonly now: number },
  ): Promise<void> {
    const used = await tx.run(
      'UPDATE enrollment_tokens SET used_at = ?, node_id = ? WHERE id = ? AND used_at IS NULL',
      [use.now, use.nodeId, use.id],
    );
    if (used === 1) return;
    throw new FleetError('enrollment_token_used', 'this token has just enrolled another node');
  }
}
