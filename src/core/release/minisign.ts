import {
  createHash,
  createPublicKey,
  sign as signBytes,
  verify as verifyBytes,
  type KeyObject,
} from 'node:crypto';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';

/**
 * Public keys and signatures in the file formats of minisign, so that its tools can check ours and
 * ours theirs. A signature covers the BLAKE2b-512 of the bytes (`ED`; the legacy `Ed` covers the
 * bytes themselves), and a second one covers the first together with the trusted comment.
 */

/** SPKI header of an Ed25519 public key (RFC 8410); the 32 raw bytes follow. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
/** Algorithm (2), key id (8), raw key (32). */
const KEY_BYTES = 42;
/** Algorithm (2), key id (8), Ed25519 signature (64). */
const SIGNATURE_BYTES = 74;
const ED25519_SIGNATURE_BYTES = 64;
/** minisign itself writes no longer comment line. */
const UNTRUSTED_COMMENT_MAX = 1_024;
const TRUSTED_COMMENT_MAX = 8_192;
/** Both comments, both signatures and their labels, with room. */
const SIGNATURE_TEXT_MAX = 10_000;
const PUBLIC_KEY_TEXT_MAX = 2_000;

const UNTRUSTED = 'untrusted comment: ';
const TRUSTED = 'trusted comment: ';

/** A public key and the name it gives itself. */
export interface MinisignKey {
  /** Eight bytes in hex, in file order: says which key made a signature. Not a proof of anything. */
  readonly keyId: string;
  readonly key: KeyObject;
}

/** A private key and the id of its public half. */
export interface MinisignSecretKey {
  readonly keyId: string;
  readonly privateKey: KeyObject;
}

export interface MinisignSignature {
  readonly keyId: string;
  readonly prehashed: boolean;
  readonly signature: Buffer;
  readonly trustedComment: string;
  readonly globalSignature: Buffer;
}

/** The key id as people see it: minisign prints the eight bytes as a little-endian number. */
export const shownKeyId = (keyId: string): string =>
  Buffer.from(keyId, 'hex').reverse().toString('hex').toUpperCase();

/** Strict base64: what does not give the same text back when encoded again is refused. */
export function decodedExactly(text: string, bytes: number): Buffer | null {
  const buffer = Buffer.from(text, 'base64');
  return buffer.length === bytes && buffer.toString('base64') === text ? buffer : null;
}

/** Tabs stand in comments of minisign; every other control character could fool a terminal. */
const isOneLine = (text: string): boolean =>
  !/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/.test(text);

/** The raw 32 bytes of an Ed25519 public key. */
export const rawKeyOf = (key: KeyObject): Buffer =>
  key.export({ type: 'spki', format: 'der' }).subarray(SPKI_PREFIX.length);

/**
 * Reads a public key: the two-line file, or its second line alone. Strict: nothing before, between
 * or behind, no other spelling of the same bytes.
 */
export function parsePublicKey(
  text: string,
): Result<MinisignKey, Refusal<'upgrade_policy_invalid'>> {
  const lines = text.length > PUBLIC_KEY_TEXT_MAX ? [] : text.trim().split(/\r?\n/);
  if (lines.length === 2 && lines[0]?.startsWith(UNTRUSTED)) lines.shift();
  const bytes = lines.length === 1 ? decodedExactly(lines[0] ?? '', KEY_BYTES) : null;
  if (bytes?.toString('latin1', 0, 2) !== 'Ed') {
    return refuse('upgrade_policy_invalid', 'not a minisign public key (56 base64 characters)');
  }
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, bytes.subarray(10)]),
    format: 'der',
    type: 'spki',
  });
  return ok({ keyId: bytes.toString('hex', 2, 10), key });
}

/** The public half of a private key, under the key id that `secretKeyOf` gives it. */
export function publicKeyOf(secret: MinisignSecretKey | KeyObject): MinisignKey {
  const { keyId, privateKey } = secretKeyOf(secret);
  return { keyId, key: createPublicKey(privateKey) };
}

/**
 * A bare Ed25519 private key as a minisign key. Its id is the first eight bytes of the SHA-256 of
 * the raw public key, so that it is the same at every call. Gives back what is one already.
 */
export function secretKeyOf(key: MinisignSecretKey | KeyObject): MinisignSecretKey {
  if ('keyId' in key) return key;
  const raw = rawKeyOf(createPublicKey(key));
  return { keyId: createHash('sha256').update(raw).digest('hex').slice(0, 16), privateKey: key };
}

/** The two-line file; its second line is what stands in a policy. */
export function formatPublicKey({ keyId, key }: MinisignKey): string {
  const body = Buffer.concat([Buffer.from('Ed'), Buffer.from(keyId, 'hex'), rawKeyOf(key)]);
  return `${UNTRUSTED}minisign public key ${shownKeyId(keyId)}\n${body.toString('base64')}\n`;
}

type FourLines = readonly [untrusted: string, body: string, trusted: string, global: string];

/** The lines of a signature file, when there are four with comments where they belong. */
function fourLines(text: string): FourLines | null {
  if (text.length > SIGNATURE_TEXT_MAX) return null;
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const [untrusted = '', body = '', trusted = '', global = ''] = lines;
  const isComment = (line: string, start: string, max: number): boolean =>
    line.startsWith(start) && line.length <= max;
  const isShaped =
    lines.length === 4 &&
    lines.every(isOneLine) &&
    isComment(untrusted, UNTRUSTED, UNTRUSTED_COMMENT_MAX) &&
    isComment(trusted, TRUSTED, TRUSTED_COMMENT_MAX);
  return isShaped ? [untrusted, body, trusted, global] : null;
}

/**
 * Reads a signature file: exactly four lines, bounded, strict base64, no control characters. That
 * it parses says nothing about who signed what.
 */
export function parseSignature(
  text: string,
): Result<MinisignSignature, Refusal<'upgrade_signature_invalid'>> {
  const malformed = refuse(
    'upgrade_signature_invalid' as const,
    'not a minisign signature file of four lines',
  );
  const lines = fourLines(text);
  const body = decodedExactly(lines?.[1] ?? '', SIGNATURE_BYTES);
  const globalSignature = decodedExactly(lines?.[3] ?? '', ED25519_SIGNATURE_BYTES);
  if (lines === null || body === null || globalSignature === null) return malformed;
  const algorithm = body.toString('latin1', 0, 2);
  if (algorithm !== 'Ed' && algorithm !== 'ED') return malformed;
  return ok({
    keyId: body.toString('hex', 2, 10),
    prehashed: algorithm === 'ED',
    signature: body.subarray(10),
    trustedComment: lines[2].slice(TRUSTED.length),
    globalSignature,
  });
}

const signedBytes = (bytes: Uint8Array, prehashed: boolean): Uint8Array =>
  prehashed ? createHash('blake2b512').update(bytes).digest() : bytes;

const withComment = (signature: Uint8Array, trustedComment: string): Buffer =>
  Buffer.concat([signature, Buffer.from(trustedComment, 'utf8')]);

/** True only when both signatures are right: over the bytes, and over the trusted comment. */
export function isSignedBy(
  { keyId, key }: MinisignKey,
  bytes: Uint8Array,
  signature: MinisignSignature,
): boolean {
  return (
    signature.keyId === keyId &&
    verifyBytes(null, signedBytes(bytes, signature.prehashed), key, signature.signature) &&
    verifyBytes(
      null,
      withComment(signature.signature, signature.trustedComment),
      key,
      signature.globalSignature,
    )
  );
}

/**
 * One signature text against one key. Tells a signature by another key
 * (`upgrade_identity_not_allowed`) from a wrong or malformed one (`upgrade_signature_invalid`).
 */
export function verify(
  key: MinisignKey,
  bytes: Uint8Array,
  signatureText: string,
): Result<
  { readonly trustedComment: string },
  Refusal<'upgrade_identity_not_allowed' | 'upgrade_signature_invalid'>
> {
  const signature = parseSignature(signatureText);
  if (!signature.ok) return signature;
  const { keyId, trustedComment } = signature.value;
  if (keyId !== key.keyId) {
    return refuse(
      'upgrade_identity_not_allowed',
      `signed by key ${shownKeyId(keyId)}, not by ${shownKeyId(key.keyId)}`,
    );
  }
  if (!isSignedBy(key, bytes, signature.value)) {
    return refuse(
      'upgrade_signature_invalid',
      `the signature by key ${shownKeyId(keyId)} does not fit these bytes`,
    );
  }
  return ok({ trustedComment });
}

/**
 * Signs (prehashed) and gives the four-line signature file. `trustedComment` is one line that the
 * signature covers. The same input gives the same text.
 */
export function signMinisign(
  secret: MinisignSecretKey | KeyObject,
  bytes: Uint8Array,
  trustedComment: string,
): Result<string, Refusal<'invalid_request'>> {
  if (!isOneLine(trustedComment) || trustedComment.length > TRUSTED_COMMENT_MAX - TRUSTED.length) {
    return refuse(
      'invalid_request',
      `a trusted comment is one line of at most ${TRUSTED_COMMENT_MAX - TRUSTED.length} characters`,
    );
  }
  const { keyId, privateKey } = secretKeyOf(secret);
  const signature = signBytes(null, signedBytes(bytes, true), privateKey);
  const body = Buffer.concat([Buffer.from('ED'), Buffer.from(keyId, 'hex'), signature]);
  const global = signBytes(null, withComment(signature, trustedComment), privateKey);
  return ok(
    `${UNTRUSTED}signature by key ${shownKeyId(keyId)}\n${body.toString('base64')}\n` +
      `${TRUSTED}${trustedComment}\n${global.toString('base64')}\n`,
  );
}
