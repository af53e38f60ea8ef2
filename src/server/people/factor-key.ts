import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import { invalidConfig, type Config } from '../platform/index.js';

/** Beside the other keys, in the data directory, for its owner only. */
export const FACTOR_KEY_FILE = 'second-factor.key';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Seals what must be read again, as a secret of an authenticator must: AES-256-GCM under a key that is not
 * in the database, so that a stolen table gives no codes. Several managers on one database need
 * the same file.
 */
export class FactorKey {
  readonly #key: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
  }

  /** Reads the file, or makes it. Throws `config_invalid` when it is there and cannot be used. */
  static async open({ dataDir }: Pick<Config, 'dataDir'>): Promise<FactorKey> {
    const path = join(dataDir, FACTOR_KEY_FILE);
    try {
      const text = (await readIfThere(path)) ?? (await make(path));
      const key = Buffer.from(text.trim(), 'base64');
      if (key.length !== KEY_BYTES) throw new Error('not a key of 32 bytes');
      return new FactorKey(key);
    } catch (error) {
      throw invalidConfig(
        [
          `BELLWETHER_DATA_DIR: ${path} cannot be used; restore it from a backup. With a new one ` +
            'every second factor has to be set up again',
        ],
        error,
      );
    }
  }

  /** `owner` is bound in: a sealed text of one user is worth nothing in the row of another. */
  seal(bytes: Uint8Array, owner: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(owner));
    const sealed = Buffer.concat([nonce, cipher.update(bytes), cipher.final()]);
    return Buffer.concat([sealed, cipher.getAuthTag()]).toString('base64');
  }

  /** Throws `unavailable` when it was sealed under another key: nobody is let in without his code. */
  unseal(text: string, owner: string): Buffer {
    const bytes = Buffer.from(text, 'base64');
    try {
      const nonce = bytes.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(owner)).setAuthTag(bytes.subarray(-TAG_BYTES));
      return Buffer.concat([
        decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)),
        decipher.final(),
      ]);
    } catch (error) {
      throw new FleetError('unavailable', `${FACTOR_KEY_FILE} is not the one it was sealed with`, {
        kind: 'operational',
        cause: error,
      });
    }
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null;
    throw error;
  }
}

/** Durable, and there as a whole or not at all. */
async function make(path: string): Promise<string> {
  const text = `${randomBytes(KEY_BYTES).toString('base64')}\n`;
  const temporary = `${path}.tmp`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  return text;
}
