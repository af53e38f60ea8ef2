import { Inject, Injectable } from '@nestjs/common';
import { DAY_MS } from '../../core/kernel/index.js';
import { Database, type Tx } from '../platform/database/index.js';
import { CLOCK, hashSecret, newSecret, type Clock } from '../platform/index.js';

/** A browser that was not used for so long is a stranger again. */
export const DEVICE_LIFETIME_MS = 180 * DAY_MS;
/** Of one user; the oldest are forgotten beyond it. */
const DEVICES_MAX = 20;
const SECRET = /^bwd_[0-9a-z]{40}$/;

/**
 * Browsers that somebody has signed in with before. It opens nothing; it only lets its owner try a
 * password while strangers have used up the tries of the account.
 */
@Injectable()
export class Devices {
  constructor(
    private readonly database: Database,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async isKnown(secret: string | null, userId: string): Promise<boolean> {
    if (secret === null || !SECRET.test(secret)) return false;
    const row = await this.database.read.get(
      'SELECT user_id FROM known_devices WHERE secret_hash = ? AND user_id = ? AND used_at > ?',
      [hashSecret(secret), userId, this.clock.now() - DEVICE_LIFETIME_MS],
    );
    return row !== undefined;
  }

  /** A new secret each time: the earlier one of this browser ends. */
  async remember(tx: Tx, userId: string, earlier: string | null): Promise<string> {
    const secret = newSecret('bwd');
    if (earlier !== null && SECRET.test(earlier)) {
      await tx.run('DELETE FROM known_devices WHERE secret_hash = ? AND user_id = ?', [
        hashSecret(earlier),
        userId,
      ]);
    }
    await tx.run('INSERT INTO known_devices (secret_hash, user_id, used_at) VALUES (?, ?, ?)', [
      hashSecret(secret),
      userId,
      this.clock.now(),
    ]);
    await tx.run(
      `DELETE FROM known_devices WHERE user_id = ? AND secret_hash NOT IN (
         SELECT secret_hash FROM known_devices WHERE user_id = ?
         ORDER BY used_at DESC, secret_hash LIMIT ?)`,
      [userId, userId, DEVICES_MAX],
    );
    return secret;
  }

  async forgetAll(tx: Tx, userId: string): Promise<void> {
    await tx.run('DELETE FROM known_devices WHERE user_id = ?', [userId]);
  }
}
