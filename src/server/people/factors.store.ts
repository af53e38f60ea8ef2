import { createHash, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { stepOfCode, TOTP_SECRET_BYTES } from '../../core/people/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import { CLOCK, newSecret, sealedColumn, Secrets, type Clock } from '../platform/index.js';
import type { UserRecord } from './users.store.js';

export const RECOVERY_CODES = 10;
const PURPOSE = 'second-factor';
/** Sixteen letters and digits: 82 random bits, so one SHA-256 is enough. */
const RECOVERY_CODE = /^[0-9a-z]{16}$/;
const TOTP_CODE = /^\d{6}$/;

const plainCode = (code: string): string => code.replace(/[ -]/g, '').toLowerCase();
const hashOf = (userId: string, code: string): string =>
  createHash('sha256').update(`${userId} ${code}`).digest('hex');
const newRecoveryCode = (): string => newSecret('').slice(1, 17);

/** Second factors: time-based codes, and recovery codes for when the device is lost. */
@Injectable()
export class Factors {
  constructor(
    private readonly database: Database,
    private readonly secrets: Secrets,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    const columns = ['factor_secret', 'factor_pending'].map((column) =>
      sealedColumn(secrets, { purpose: PURPOSE, table: 'users', id: 'id', column }),
    );
    secrets.keep(PURPOSE, {
      reseal: async (tx, limit) => {
        let count = 0;
        for (const column of columns) count += await column.reseal(tx, limit);
        return count;
      },
    });
  }

  /** The secret of an authenticator as it is stored: worth nothing in the row of somebody else. */
  seal(userId: string, secret: Uint8Array): string {
    return this.secrets.seal(PURPOSE, userId, Buffer.from(secret).toString('base64'));
  }

  /** Throws `secret_unreadable`: nobody is let in without his code. */
  #open(userId: string, sealed: string): Buffer {
    return Buffer.from(this.secrets.open(PURPOSE, userId, sealed), 'base64');
  }

  /** Makes a secret that counts for nothing until a code confirmed it; an earlier one is forgotten. */
  async begin(tx: Tx, user: UserRecord): Promise<Buffer> {
    if (user.factorSecret !== null) {
      throw new FleetError('conflict', 'there is a second factor already; remove it first');
    }
    const secret = randomBytes(TOTP_SECRET_BYTES);
    await tx.run('UPDATE users SET factor_pending = ? WHERE id = ?', [
      this.seal(user.id, secret),
      user.id,
    ]);
    return secret;
  }

  /** The recovery codes, or null when the code is wrong. */
  async confirm(tx: Tx, user: UserRecord, code: string): Promise<readonly string[] | null> {
    if (user.factorPending === null) {
      throw new FleetError('conflict', 'no second factor waits to be confirmed');
    }
    const secret = this.#open(user.id, user.factorPending);
    const step = stepOfCode(secret, plainCode(code), this.clock.now(), -1);
    if (step === null) return null;
    const done = await tx.run(
      `UPDATE users SET factor_secret = factor_pending, factor_pending = NULL, factor_step = ?
       WHERE id = ? AND factor_pending = ? AND factor_secret IS NULL`,
      [step, user.id, user.factorPending],
    );
    if (done === 0) throw new FleetError('conflict', 'the second factor changed meanwhile');
    const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode);
    await tx.run('DELETE FROM recovery_codes WHERE user_id = ?', [user.id]);
    for (const each of codes) {
      await tx.run('INSERT INTO recovery_codes (user_id, code_hash) VALUES (?, ?)', [
        user.id,
        hashOf(user.id, each),
      ]);
    }
    return codes.map((each) => each.replace(/(.{4})(?=.)/g, '$1-'));
  }

  /**
   * Uses a code up: each is good once, also when it is sent twice at the same time. Answers what it
   * was, or null when it is wrong.
   */
  async spend(tx: Tx, user: UserRecord, code: string): Promise<'totp' | 'recovery' | null> {
    if (user.factorSecret === null) return null;
    const plain = plainCode(code);
    if (TOTP_CODE.test(plain)) {
      const secret = this.#open(user.id, user.factorSecret);
      const step = stepOfCode(secret, plain, this.clock.now(), user.factorStep);
      if (step === null) return null;
      const done = await tx.run(
        'UPDATE users SET factor_step = ? WHERE id = ? AND factor_step < ? AND factor_secret = ?',
        [step, user.id, step, user.factorSecret],
      );
      return done === 1 ? 'totp' : null;
    }
    if (!RECOVERY_CODE.test(plain)) return null;
    const done = await tx.run('DELETE FROM recovery_codes WHERE user_id = ? AND code_hash = ?', [
      user.id,
      hashOf(user.id, plain),
    ]);
    return done === 1 ? 'recovery' : null;
  }

  async remove(tx: Tx, userId: string): Promise<void> {
    await tx.run(
      `UPDATE users SET factor_secret = NULL, factor_pending = NULL, factor_step = -1 WHERE id = ?`,
      [userId],
    );
    await tx.run('DELETE FROM recovery_codes WHERE user_id = ?', [userId]);
  }

  async recoveryCodesLeft(userId: string): Promise<number> {
    const row = await this.database.read.get<{ count: number }>(
      'SELECT count(*) AS count FROM recovery_codes WHERE user_id = ?',
      [userId],
    );
    return row?.count ?? 0;
  }
}
