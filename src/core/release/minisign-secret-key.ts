import { createPrivateKey, createPublicKey, scryptSync } from 'node:crypto';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { blake2b256 } from './blake2b.js';
import { decodedExactly, rawKeyOf, shownKeyId, type MinisignSecretKey } from './minisign.js';

/**
 * Secret keys in the file format of minisign, bare or under a password.
 *
 * Two lines: a comment, and base64 of: algorithm `Ed` (2), key derivation (2: zero for none, `Sc`
 * for scrypt), checksum `B2` (2), salt (32), operation limit (8), memory limit (8), and 104 bytes
 * (key id 8, seed 32, public key 32, checksum 32) that the derived stream is laid over.
 */
const FILE_BYTES = 158;
const LIMITS_AT = 38;
const SECRET_AT = 54;
const SECRET_BYTES = 104;
const TEXT_MAX = 2_000;

/** PKCS#8 header of an Ed25519 private key (RFC 8410); the 32 byte seed follows. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

const NO_DERIVATION = '\0\0';
const SCRYPT = 'Sc';

/** What deriving the key costs, in the two numbers that stand in the file. */
export interface DerivationCost {
  readonly operationLimit: number;
  readonly memoryLimitBytes: number;
}

/** What minisign itself takes: 1 GiB of memory, some seconds. Nothing dearer is read. */
export const SENSITIVE_COST: DerivationCost = {
  operationLimit: 33_554_432,
  memoryLimitBytes: 1024 ** 3,
};

export type SecretKeyErrorCode = 'signing_key_invalid' | 'signing_key_password_wrong';

/** A key pair from 32 random bytes and an id of 8 random bytes, both from the caller. */
export function newSecretKey(random: {
  readonly seed: Uint8Array;
  readonly keyId: Uint8Array;
}): MinisignSecretKey {
  return {
    keyId: Buffer.from(random.keyId).toString('hex'),
    privateKey: privateKeyOf(random.seed),
  };
}

const privateKeyOf = (seed: Uint8Array): MinisignSecretKey['privateKey'] =>
  createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });

/** How libsodium turns the two limits into the parameters of scrypt (r is always 8). */
function scryptOptions({ operationLimit, memoryLimitBytes }: DerivationCost) {
  const r = 8;
  const operations = Math.max(operationLimit, 32_768);
  const isCheapInOperations = operations < memoryLimitBytes / 32;
  const nMax = isCheapInOperations ? operations / (r * 4) : memoryLimitBytes / (r * 128);
  let log2 = 1;
  while (2 ** log2 <= nMax / 2) log2 += 1;
  const N = 2 ** log2;
  const p = isCheapInOperations ? 1 : Math.max(1, Math.floor(operations / 4 / N / r));
  // OpenSSL counts 128·r·(N + p + 2) bytes or so; a little more than that is allowed.
  return { N, r, p, maxmem: 128 * r * (N + p + 64) };
}

function covered(
  secret: Uint8Array,
  password: string,
  salt: Uint8Array,
  cost: DerivationCost,
): Buffer {
  const stream = scryptSync(password, salt, SECRET_BYTES, scryptOptions(cost));
  return Buffer.from(stream.map((byte, index) => byte ^ (secret[index] as number)));
}

/**
 * The secret key file. Without `protection` the key lies there bare, so the file itself must be
 * guarded; with it, the file is of use only with the password. `salt` is 32 random bytes.
 */
export function formatSecretKey(
  { keyId, privateKey }: MinisignSecretKey,
  protection?: {
    readonly password: string;
    readonly salt: Uint8Array;
    readonly cost?: DerivationCost;
  },
): string {
  const seed = privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(PKCS8_PREFIX.length);
  const named = Buffer.concat([
    Buffer.from(keyId, 'hex'),
    seed,
    rawKeyOf(createPublicKey(privateKey)),
  ]);
  const file = Buffer.alloc(FILE_BYTES);
  file.write('Ed', 0, 'latin1');
  file.write(protection === undefined ? NO_DERIVATION : SCRYPT, 2, 'latin1');
  file.write('B2', 4, 'latin1');
  if (protection === undefined) {
    named.copy(file, SECRET_AT);
  } else {
    const { password, salt, cost = SENSITIVE_COST } = protection;
    file.set(salt, 6);
    file.writeBigUInt64LE(BigInt(cost.operationLimit), LIMITS_AT);
    file.writeBigUInt64LE(BigInt(cost.memoryLimitBytes), LIMITS_AT + 8);
    const whole = Buffer.concat([named, checksum(named)]);
    file.set(covered(whole, password, salt, cost), SECRET_AT);
  }
  const kind = protection === undefined ? 'unencrypted' : 'encrypted';
  const comment = `untrusted comment: minisign ${kind} secret key ${shownKeyId(keyId)}`;
  return `${comment}\n${file.toString('base64')}\n`;
}

const checksum = (named: Uint8Array): Buffer =>
  blake2b256(Buffer.concat([Buffer.from('Ed'), named]));

/** True for a file that `parseSecretKey` reads only with a password. Says nothing else about it. */
export function needsPassword(text: string): boolean {
  const file = fileOf(text);
  return file?.toString('latin1', 2, 4) === SCRYPT;
}

function fileOf(text: string): Buffer | null {
  if (text.length > TEXT_MAX) return null;
  const lines = text.trim().split(/\r?\n/);
  const body = lines[1] ?? '';
  if (lines.length !== 2 || !lines[0]?.startsWith('untrusted comment: ')) return null;
  const file = decodedExactly(body, FILE_BYTES);
  return file?.toString('latin1', 0, 2) === 'Ed' && file.toString('latin1', 4, 6) === 'B2'
    ? file
    : null;
}

/**
 * Reads a secret key file, ours or minisign's. The password is looked at only when the file needs
 * one; deriving the key can take seconds and 1 GiB of memory. Refuses what is malformed, dearer than
 * `SENSITIVE_COST`, or does not hold together (a key that is not its own public half).
 */
export function parseSecretKey(
  text: string,
  password = '',
): Result<MinisignSecretKey, Refusal<SecretKeyErrorCode>> {
  const file = fileOf(text);
  if (file === null) return refuse('signing_key_invalid', 'not a minisign secret key file');
  const derivation = file.toString('latin1', 2, 4);
  if (derivation === NO_DERIVATION) return keyFrom(file.subarray(SECRET_AT));
  if (derivation !== SCRYPT) {
    return refuse('signing_key_invalid', 'the secret key is protected in a way not known here');
  }
  const cost = {
    operationLimit: Number(file.readBigUInt64LE(LIMITS_AT)),
    memoryLimitBytes: Number(file.readBigUInt64LE(LIMITS_AT + 8)),
  };
  if (
    cost.operationLimit > SENSITIVE_COST.operationLimit ||
    cost.memoryLimitBytes > SENSITIVE_COST.memoryLimitBytes
  ) {
    return refuse('signing_key_invalid', 'the secret key asks for more than 1 GiB to be opened');
  }
  const salt = file.subarray(6, LIMITS_AT);
  const secret = covered(file.subarray(SECRET_AT), password, salt, cost);
  if (!checksum(secret.subarray(0, 72)).equals(secret.subarray(72))) {
    return refuse('signing_key_password_wrong', 'the password does not open this secret key');
  }
  return keyFrom(secret);
}

function keyFrom(secret: Buffer): Result<MinisignSecretKey, Refusal<SecretKeyErrorCode>> {
  const privateKey = privateKeyOf(secret.subarray(8, 40));
  if (!rawKeyOf(createPublicKey(privateKey)).equals(secret.subarray(40, 72))) {
    return refuse('signing_key_invalid', 'the secret key is damaged: its halves do not match');
  }
  return ok({ keyId: secret.toString('hex', 0, 8), privateKey });
}
