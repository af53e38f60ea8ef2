import { createDecipheriv } from 'node:crypto';
import { join } from 'node:path';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { Database, type Tx } from '../platform/database/index.js';
import { CONFIG, invalidConfig, type Config } from '../platform/index.js';
import { readIfThere, removeDurably } from '../platform/secrets/index.js';
import { Factors } from './factors.store.js';

/** In the data directory; what sealed second factors before there was a master key. */
export const FACTOR_KEY_FILE = 'second-factor.key';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const USERS_AT_ONCE = 200;

interface Row {
  readonly id: string;
  readonly factor_secret: string | null;
  readonly factor_pending: string | null;
}

/**
 * Takes over secrets of second factors from the key file of earlier versions: seals them under the master key,
 * and removes the file when none is left. Before anybody can sign in. Killed in the middle it goes on at
 * the next start.
 */
@Injectable()
export class FactorTakeover implements OnModuleInit {
  constructor(
    private readonly database: Database,
    private readonly factors: Factors,
    @Inject(CONFIG) private readonly config: Pick<Config, 'dataDir'>,
  ) {}

  async onModuleInit(): Promise<void> {
    const path = join(this.config.dataDir, FACTOR_KEY_FILE);
    const text = await readIfThere(path);
    if (text === null) return;
    const key = Buffer.from(text.trim(), 'base64');
    try {
      if (key.length !== KEY_BYTES) throw new Error('not a key of 32 bytes');
      let count: number;
      do count = await this.database.transaction((tx) => this.#some(tx, key));
      while (count > 0);
    } catch (error) {
      throw invalidConfig(
        [
          `BELLWETHER_DATA_DIR: ${path} cannot be used; restore it from a backup. Without it ` +
            'every second factor has to be set up again',
        ],
        error,
      );
    }
    await removeDurably(path);
  }

  async #some(tx: Tx, key: Buffer): Promise<number> {
    const rows = await tx.all<Row>(
      `SELECT id, factor_secret, factor_pending FROM users
       WHERE factor_secret NOT LIKE 'sealed:%' OR factor_pending NOT LIKE 'sealed:%'
       ORDER BY id LIMIT ?`,
      [USERS_AT_ONCE],
    );
    const anew = (id: string, text: string | null): string | null =>
      text === null || text.startsWith('sealed:')
        ? text
        : this.factors.seal(id, unseal(key, id, text));
    for (const { id, factor_secret, factor_pending } of rows) {
      await tx.run('UPDATE users SET factor_secret = ?, factor_pending = ? WHERE id = ?', [
        anew(id, factor_secret),
        anew(id, factor_pending),
        id,
      ]);
    }
    return rows.length;
  }
}

function unseal(key: Buffer, owner: string, text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(owner)).setAuthTag(bytes.subarray(-TAG_BYTES));
  return Buffer.concat([
    decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)),
    decipher.final(),
  ]);
}
