import { createPrivateKey, createPublicKey, randomBytes, type KeyObject } from 'node:crypto';

/** PKCS #8 header of an Ed25519 private key (RFC 8410); the 32 bytes of its seed follow. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A node keeps the 32 bytes of which its Ed25519 key is made, base64url. */
export const newKeySeed = (): string => randomBytes(32).toString('base64url');

export const keyOf = (seed: string): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, Buffer.from(seed, 'base64url')]),
    format: 'der',
    type: 'pkcs8',
  });

/** Raw, base64url, as the manager takes it. */
export const publicKeyOf = (seed: string): string =>
  createPublicKey(keyOf(seed))
    .export({ type: 'spki', format: 'der' })
    .subarray(-32)
    .toString('base64url');
