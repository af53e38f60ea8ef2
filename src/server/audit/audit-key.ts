import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import { formatVerifier, makeCheckpoint, verifierOf } from '../../core/audit/index.js';
import { invalidConfig, type Config, type Secrets } from '../platform/index.js';
import { readIfThere, removeDurably, writeDurably } from '../platform/secrets/index.js';

/** Beside the set-up token, in the data directory, for its owner only. */
export const AUDIT_KEY_FILE = 'audit-key.sealed.json';
/** What it was before keys were sealed; taken over at the next start. */
export const PLAIN_AUDIT_KEY_FILE = 'audit-key.json';
const PURPOSE = 'audit-key';

interface Stored {
  readonly origin: string;
  /** PEM, sealed for this origin. */
  readonly sealed: string;
}
interface Plain {
  readonly origin: string;
  readonly private_key: string;
}

/**
 * The key that signs checkpoints, and the name of the log. Made at the first start, kept in a file of
 * its own and not in the database: whoever can rewrite the tables still cannot sign them. The file is
 * sealed: whoever has a copy of it needs the master key too.
 */
export class AuditKey {
  readonly origin: string;
  readonly #key: KeyObject;

  private constructor({ origin, private_key }: Plain) {
    const key = createPrivateKey(private_key);
    // Refuses another kind of key, and a name that no note can carry.
    verifierOf(origin, key);
    if (key.asymmetricKeyType !== 'ed25519') throw new Error('another kind of key');
    this.origin = origin;
    this.#key = key;
  }

  /**
   * Reads the file, or makes it; a plain one is sealed and then removed. Throws `config_invalid` when it is
   * there and cannot be used, and `secret_unreadable` when the master key does not open it.
   */
  static async open(
    { dataDir, publicOrigin }: Pick<Config, 'dataDir' | 'publicOrigin'>,
    secrets: Secrets,
  ): Promise<AuditKey> {
    const path = join(dataDir, AUDIT_KEY_FILE);
    const plainPath = join(dataDir, PLAIN_AUDIT_KEY_FILE);
    keepFile(path, secrets);
    const using = { path };
    try {
      const text = await readIfThere(path);
      if (text !== null) {
        const key = new AuditKey(openStored(JSON.parse(text) as Stored, secrets));
        // The start that sealed it did not come to removing the plain one.
        await removeDurably(plainPath);
        return key;
      }
      using.path = plainPath;
      const plain = await readIfThere(plainPath);
      const made = plain === null ? makePlain(publicOrigin) : (JSON.parse(plain) as Plain);
      const key = new AuditKey(made);
      await writeDurably(path, sealedText(made, secrets));
      if (plain !== null) await removeDurably(plainPath);
      return key;
    } catch (error) {
      if (error instanceof FleetError) throw error;
      throw invalidConfig(
        [
          `BELLWETHER_DATA_DIR: ${using.path} cannot be used; restore it from a backup. A new one ` +
            'would begin a log of another name, and whoever keeps checkpoints would report it',
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

const openStored = ({ origin, sealed }: Stored, secrets: Secrets): Plain => ({
  origin,
  private_key: secrets.open(PURPOSE, origin, sealed),
});

function sealedText({ origin, private_key }: Plain, secrets: Secrets): string {
  const stored: Stored = { origin, sealed: secrets.seal(PURPOSE, origin, private_key) };
  return `${JSON.stringify(stored, null, 2)}\n`;
}

/** At a change of the master key the file is written anew: once, at the end of the transaction. */
function keepFile(path: string, secrets: Secrets): void {
  secrets.keep(PURPOSE, {
    reseal: async () => {
      const text = await readIfThere(path);
      if (text === null) return 0;
      const stored = JSON.parse(text) as Stored;
      if (secrets.isCurrent(stored.sealed)) return 0;
      await writeDurably(path, sealedText(openStored(stored, secrets), secrets));
      return 1;
    },
  });
}

function makePlain(publicOrigin: string): Plain {
  const { privateKey } = generateKeyPairSync('ed25519');
  return {
    // Two managers on one host name are two logs.
    origin: `${new URL(publicOrigin).host}/audit/${randomBytes(6).toString('hex')}`,
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}
