import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { ok, refuse, type Refusal, type Result } from '../../core/kernel/index.js';
import { JWT_CLOCK_SKEW_MS, JWT_LIFETIME_MS_MAX } from './limits.js';
import { Id } from './messages.js';

/** SPKI header of an Ed25519 public key (RFC 8410); the 32 raw bytes follow. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export const rawPublicKey = (key: KeyObject): string =>
  (key.type === 'private' ? createPublicKey(key) : key)
    .export({ type: 'spki', format: 'der' })
    .subarray(SPKI_PREFIX.length)
    .toString('base64url');

/** Base64url of 32 raw bytes to a key; refuses any other length, and any other spelling of it. */
export function publicKeyFromRaw(raw: string): KeyObject | null {
  const bytes = Buffer.from(raw, 'base64url');
  if (bytes.length !== 32 || bytes.toString('base64url') !== raw) return null;
  // As a JWK it is read without a parser of ASN.1, in two thirds of the time: one is read for each link that comes.
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw }, format: 'jwk' });
}

/**
 * What an enrolling node signs: it binds the key to this manager and to this token, so that the
 * request cannot be replayed elsewhere. The token itself never leaves in clear inside it.
 */
export const enrollmentProofText = (origin: string, token: string, publicKey: string): string =>
  [
    'bellwether.enroll.v1',
    origin,
    createHash('sha256').update(token).digest('hex'),
    publicKey,
  ].join('\n');

/** Strict: a header such as `crit` would ask for something that is not done here (RFC 7515, 4.1.11). */
const JwtHeader = z.strictObject({ alg: z.literal('EdDSA'), typ: z.literal('JWT') });
const JwtClaims = z.object({
  sub: Id,
  aud: z.string().max(2_048),
  iat: z.int(),
  exp: z.int(),
  jti: z.string().min(16).max(64),
});
export type NodeClaims = z.infer<typeof JwtClaims>;

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token for one request: made by the node, for one manager origin, used once, 60 s long. */
export function makeNodeToken(input: {
  readonly nodeId: string;
  readonly origin: string;
  readonly key: KeyObject;
  readonly nowMs: number;
  readonly jti: string;
}): string {
  const iat = Math.floor(input.nowMs / 1000);
  const body = `${part({ alg: 'EdDSA', typ: 'JWT' })}.${part({
    sub: input.nodeId,
    aud: input.origin,
    iat,
    exp: iat + 60,
    jti: input.jti,
  })}`;
  return `${body}.${sign(null, Buffer.from(body), input.key).toString('base64url')}`;
}

export type NodeTokenError = 'jwt_invalid' | 'jwt_expired' | 'jwt_wrong_audience';

/** The claims, not yet believed: the caller needs `sub` to find the key. */
export function readNodeToken(token: string): Result<NodeClaims, Refusal<NodeTokenError>> {
  const parts = token.split('.');
  if (parts.length !== 3 || token.length > 4_096) {
    return refuse('jwt_invalid', 'node token is not a JWT');
  }
  try {
    const [header, claims] = [parts[0], parts[1]].map(
      (text) => JSON.parse(Buffer.from(text ?? '', 'base64url').toString('utf8')) as unknown,
    );
    if (!JwtHeader.safeParse(header).success) {
      return refuse('jwt_invalid', 'node token must be a JWT with alg EdDSA');
    }
    const parsed = JwtClaims.safeParse(claims);
    if (!parsed.success) return refuse('jwt_invalid', 'node token lacks a claim');
    return ok(parsed.data);
  } catch {
    return refuse('jwt_invalid', 'node token is not base64url JSON');
  }
}

/**
 * Checks signature, audience and times. That `jti` was not used before is for the caller, who has
 * the memory; a token must be remembered until its `exp` plus the clock skew.
 */
export function verifyNodeToken(
  token: string,
  expected: { readonly key: KeyObject; readonly origin: string; readonly nowMs: number },
): Result<NodeClaims, Refusal<NodeTokenError>> {
  const read = readNodeToken(token);
  if (!read.ok) return read;
  const claims = read.value;
  const cut = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(cut + 1), 'base64url');
  if (!verify(null, Buffer.from(token.slice(0, cut)), expected.key, signature)) {
    return refuse('jwt_invalid', 'node token has a wrong signature');
  }
  if (claims.aud !== expected.origin) {
    return refuse(
      'jwt_wrong_audience',
      `node token is for ${claims.aud}, this is ${expected.origin}`,
    );
  }
  const lifetimeMs = (claims.exp - claims.iat) * 1000;
  if (lifetimeMs <= 0 || lifetimeMs > JWT_LIFETIME_MS_MAX) {
    return refuse('jwt_expired', `node token lives ${lifetimeMs / 1000} s; at most 120 s`);
  }
  if (claims.exp * 1000 + JWT_CLOCK_SKEW_MS < expected.nowMs) {
    return refuse('jwt_expired', 'node token is expired');
  }
  if (claims.iat * 1000 - JWT_CLOCK_SKEW_MS > expected.nowMs) {
    return refuse('jwt_expired', 'node token is from the future; check the clock of the node');
  }
  return ok(claims);
}
