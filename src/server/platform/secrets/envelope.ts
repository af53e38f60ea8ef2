import {
  createCipheriv,
  createDecipheriv,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import type { MasterKey } from './master-key.js';

/**
 * How a sealed text looks: `sealed:1:<key id>:<base64url of salt, nonce, ciphertext, tag>`. AES-256-GCM
 * under a key of its own for each text: HKDF-SHA-256 of the master key, the salt and the purpose.
 */
const VERSION = 'sealed:1:';
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = SALT_BYTES + NONCE_BYTES;
const FORM = /^sealed:1:([0-9a-f]{16}):([A-Za-z0-9_-]+)$/;

/** What a text belongs to. It is bound in: a sealed text is worth nothing in another place. */
export interface Place {
  /** What kind of secret, such as `totp`. */
  readonly purpose: string;
  /** Whose: the id of the row, or of the file. */
  readonly id: string;
}

/** How every text sealed under this key begins. */
export const beginningOf = (keyId: string): string => `${VERSION}${keyId}:`;

/** The key a text was sealed under; null when it is no sealed text. */
export const keyIdOf = (sealed: string): string | null => FORM.exec(sealed)?.[1] ?? null;

export function sealText({ id: keyId, key }: MasterKey, place: Place, text: string): string {
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keyFor(key, salt, place.purpose), nonce);
  cipher.setAAD(boundIn(keyId, place));
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  const bytes = Buffer.concat([salt, nonce, sealed, cipher.getAuthTag()]);
  return `${beginningOf(keyId)}${bytes.toString('base64url')}`;
}

/** Throws whatever the cipher throws when key, place or a single bit is not the one of the sealing. */
export function openText({ id: keyId, key }: MasterKey, place: Place, sealed: string): string {
  const encoded = FORM.exec(sealed)?.[2] ?? '';
  const bytes = Buffer.from(encoded, 'base64url');
  // Several spellings decode to the same bytes; only ours is taken.
  if (bytes.length < HEAD_BYTES + TAG_BYTES || bytes.toString('base64url') !== encoded) {
    throw new Error('no sealed text');
  }
  const salt = bytes.subarray(0, SALT_BYTES);
  const nonce = bytes.subarray(SALT_BYTES, HEAD_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', keyFor(key, salt, place.purpose), nonce, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(boundIn(keyId, place)).setAuthTag(bytes.subarray(-TAG_BYTES));
  const opened = decipher.update(bytes.subarray(HEAD_BYTES, -TAG_BYTES));
  return Buffer.concat([opened, decipher.final()]).toString('utf8');
}

const keyFor = (key: KeyObject, salt: Buffer, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', key, salt, `bellwether ${purpose}`, 32));

/** JSON, so that no two pairs of purpose and id are one text. */
const boundIn = (keyId: string, { purpose, id }: Place): Buffer =>
  Buffer.from(JSON.stringify([VERSION, keyId, purpose, id]));
