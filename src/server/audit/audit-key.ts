import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { formatVerifier, makeCheckpoint, verifierOf } from '../../core/audit/index.js';
import { invalidConfig, type Config } from '../platform/index.js';

/** Beside the set-up token, in the data directory, for its owner only. */
export const AUDIT_KEY_FILE = 'audit-key.json';

interface Stored {
  readonly origin: string;
  readonly private_key: string;
}

/**
 * The key that signs checkpoints, and the name of the log. Made at the first start, kept in a file of
 * its own and not in the database: whoever can rewrite the tables still cannot sign them.
 */
export class AuditKey {
  readonly origin: string;
  readonly #key: KeyObject;

  private constructor(origin: string, key: KeyObject) {
    this.origin = origin;
    this.#key = key;
  }

  /** Reads the file, or makes it. Throws `config_invalid` when it is there and cannot be used. */
  static async open({
    dataDir,
    publicOrigin,
  }: Pick<Config, 'dataDir' | 'publicOrigin'>): Promise<AuditKey> {
    const path = join(dataDir, AUDIT_KEY_FILE);
    try {
      const text = (await readIfThere(path)) ?? (await make(path, publicOrigin));
      const { origin, private_key } = JSON.parse(text) as Stored;
      const key = createPrivateKey(private_key);
      // Refuses another kind of key, and a name that no note can carry.
      verifierOf(origin, key);
      if (key.asymmetricKeyType !== 'ed25519') throw new Error('another kind of key');
      return new AuditKey(origin, key);
    } catch (error) {
      throw invalidConfig(
        [
          `BELLWETHER_DATA_DIR: ${path} cannot be used; restore it from a backup. A new one would ` +
            'begin a log of another name, and whoever keeps checkpoints would report it',
        ],
        error,
      );
    }
  }

  /** One line: what verifiers need. */
  get verifierKey(): string {
    return formatVerifier(verifierOf(this.origin, this.#key));
  }

  sign(tree: { readonly size: number; readonly root: Uint8Array }): string {
    return makeCheckpoint({ origin: this.origin, size: tree.size, root: tree.root }, this.#key);
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
async function make(path: string, publicOrigin: string): Promise<string> {
  const { privateKey } = generateKeyPairSync('ed25519');
  // Two managers on one host name are two logs.
  const origin = `${new URL(publicOrigin).host}/audit/${randomBytes(6).toString('hex')}`;
  const stored: Stored = {
    origin,
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
  const text = `${JSON.stringify(stored, null, 2)}\n`;
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
