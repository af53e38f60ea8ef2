import { createHmac, timingSafeEqual } from 'node:crypto';
import { SECOND_MS } from '../kernel/index.js';

/** RFC 6238 with what every authenticator program takes: SHA-1, six digits, thirty seconds. */
export const TOTP_STEP_MS = 30 * SECOND_MS;
export const TOTP_DIGITS = 6;
/** RFC 4226 section 4 R6: 128 bits at least, 160 recommended. */
export const TOTP_SECRET_BYTES = 20;
/** RFC 6238 section 5.2: one step either way, for clocks and slow fingers. */
const DRIFT_STEPS = 1;

/** The number of a step; codes of one step are the same. */
export const stepAt = (nowMs: number): number => Math.floor(nowMs / TOTP_STEP_MS);

/** The code of one step (RFC 4226 section 5.3). */
export function codeOf(
  secret: Uint8Array,
  step: number,
  form: { readonly digits: number; readonly hash: 'sha1' | 'sha256' | 'sha512' } = {
    digits: TOTP_DIGITS,
    hash: 'sha1',
  },
): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac(form.hash, secret).update(counter).digest();
  const offset = (mac.at(-1) ?? 0) & 0x0f;
  const number = mac.readUInt32BE(offset) & 0x7fff_ffff;
  return String(number % 10 ** form.digits).padStart(form.digits, '0');
}

/**
 * The step that a code is of, or null when it is of none near `nowMs` or of one that is not after
 * `lastStep`: a code is good once (RFC 6238 section 5.2). Looks at all of them, right or wrong.
 */
export function stepOfCode(
  secret: Uint8Array,
  code: string,
  nowMs: number,
  lastStep: number,
): number | null {
  const given = Buffer.from(code.padEnd(TOTP_DIGITS).slice(0, TOTP_DIGITS + 1), 'latin1');
  let found: number | null = null;
  for (let drift = -DRIFT_STEPS; drift <= DRIFT_STEPS; drift += 1) {
    const step = stepAt(nowMs) + drift;
    if (step < 0) continue;
    const right = Buffer.from(codeOf(secret, step), 'latin1');
    const isSame = given.length === right.length && timingSafeEqual(given, right);
    if (isSame && step > lastStep) found ??= step;
  }
  return found;
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648 base32 without padding, as authenticator programs read it. */
export function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += BASE32.charAt((held >>> (bits - 5)) & 31);
    held &= (1 << bits) - 1;
  }
  return bits > 0 ? text + BASE32.charAt((held << (5 - bits)) & 31) : text;
}

/** What a QR code for an authenticator program holds. `account` and `issuer` are shown there. */
export function otpauthUri(secret: Uint8Array, account: string, issuer: string): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(account)}`;
  return `otpauth://totp/${label}?secret=${base32(secret)}&issuer=${encodeURIComponent(issuer)}`;
}
