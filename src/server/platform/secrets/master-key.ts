import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';

export const MASTER_KEY_BYTES = 32;

/**
 * A key that seals. It is held as a key object, so that nothing that prints an object prints it.
 * `id` is derived from it and tells keys apart without telling anything about them.
 */
export interface MasterKey {
  readonly id: string;
  readonly key: KeyObject;
}

/** 32 bytes in base64 (either alphabet) or hex; null when it is something else. */
export function parseMasterKey(text: string): MasterKey | null {
  const plain = text.trim();
  const isHex = /^[0-9a-fA-F]{64}$/.test(plain);
  if (!isHex && !/^[A-Za-z0-9+/_-]{43}=?$/.test(plain)) return null;
  const bytes = Buffer.from(plain, isHex ? 'hex' : 'base64');
  // What somebody typed to get past a check: a key without any surprise in it.
  if (bytes.length !== MASTER_KEY_BYTES || new Set(bytes).size < 8) return null;
  return masterKeyFrom(bytes);
}

export function masterKeyFrom(bytes: Buffer): MasterKey {
  const key = createSecretKey(bytes);
  const id = Buffer.from(hkdfSync('sha256', key, '', 'bellwether master key id', 8));
  return { id: id.toString('hex'), key };
}
