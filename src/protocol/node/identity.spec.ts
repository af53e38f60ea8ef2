import { generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  enrollmentProofText,
  JWT_CLOCK_SKEW_MS,
  JWT_LIFETIME_MS_MAX,
  makeNodeToken,
  publicKeyFromRaw,
  rawPublicKey,
  readNodeToken,
  verifyNodeToken,
} from './index.js';

const NOW = Date.parse('2026-11-20T08:00:00.000Z');
const NODE_ID = 'nod_000000000001';
const ORIGIN = 'https://manager.example';
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const LIFE_MS = 60_000;

const made = (change: Partial<Parameters<typeof makeNodeToken>[0]> = {}): string =>
  makeNodeToken({
    nodeId: NODE_ID,
    origin: ORIGIN,
    key: privateKey,
    nowMs: NOW,
    jti: 'a-token-used-once',
    ...change,
  });

/** A token of any content, well signed. */
function forged(header: unknown, claims: unknown, key = privateKey): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part(header)}.${part(claims)}`;
  return `${body}.${sign(null, Buffer.from(body), key).toString('base64url')}`;
}
const HEADER = { alg: 'EdDSA', typ: 'JWT' };
const seconds = NOW / 1000;
const CLAIMS = {
  sub: NODE_ID,
  aud: ORIGIN,
  iat: seconds,
  exp: seconds + 60,
  jti: 'a-token-used-once',
};

const verdict = (token: string, nowMs = NOW): string => {
  const verified = verifyNodeToken(token, { key: publicKey, origin: ORIGIN, nowMs });
  return verified.ok ? 'ok' : verified.error.code;
};

describe('a node token', () => {
  it('is believed when it is fresh, for this manager, and signed by the key of the node', () => {
    const token = made();
    expect(verifyNodeToken(token, { key: publicKey, origin: ORIGIN, nowMs: NOW })).toEqual({
      ok: true,
      value: CLAIMS,
    });
    expect(verdict(forged(HEADER, CLAIMS))).toBe('ok');
  });

  it('is expired after its life and the difference that clocks may have, not before', () => {
    expect(verdict(made(), NOW + LIFE_MS + JWT_CLOCK_SKEW_MS)).toBe('ok');
    expect(verdict(made(), NOW + LIFE_MS + JWT_CLOCK_SKEW_MS + 1)).toBe('jwt_expired');
  });

  it('is refused when it comes from the future', () => {
    expect(verdict(made(), NOW - JWT_CLOCK_SKEW_MS)).toBe('ok');
    expect(verdict(made(), NOW - JWT_CLOCK_SKEW_MS - 1)).toBe('jwt_expired');
  });

  it('is refused when it lives too long, not at all, or backwards', () => {
    const living = (ms: number): string => forged(HEADER, { ...CLAIMS, exp: seconds + ms / 1000 });
    expect(verdict(living(JWT_LIFETIME_MS_MAX))).toBe('ok');
    expect(verdict(living(JWT_LIFETIME_MS_MAX + 1_000))).toBe('jwt_expired');
    expect(verdict(living(0))).toBe('jwt_expired');
    expect(verdict(living(-1_000))).toBe('jwt_expired');
  });

  it('is refused for another manager, even when only the spelling of its address differs', () => {
    for (const origin of ['https://other.example', 'http://manager.example', `${ORIGIN}/`]) {
      expect(verdict(made({ origin }))).toBe('jwt_wrong_audience');
    }
    expect(verdict(forged(HEADER, { ...CLAIMS, aud: [ORIGIN] }))).toBe('jwt_invalid');
  });

  it('is refused when another key signed it', () => {
    const other = generateKeyPairSync('ed25519').privateKey;
    expect(verdict(made({ key: other }))).toBe('jwt_invalid');
  });

  it('is refused with another algorithm, without one, or with a header that asks for more', () => {
    for (const header of [
      { alg: 'none', typ: 'JWT' },
      { alg: 'HS256', typ: 'JWT' },
      { alg: 'eddsa', typ: 'JWT' },
      { typ: 'JWT' },
      { ...HEADER, crit: ['b64'], b64: false },
      { ...HEADER, jwk: {} },
      [],
      null,
    ]) {
      expect(verdict(forged(header, CLAIMS))).toBe('jwt_invalid');
    }
    const unsigned = `${forged({ alg: 'none', typ: 'JWT' }, CLAIMS).split('.').slice(0, 2).join('.')}.`;
    expect(verdict(unsigned)).toBe('jwt_invalid');
  });

  it('is refused when a claim is missing or of another kind', () => {
    for (const name of Object.keys(CLAIMS)) {
      expect(verdict(forged(HEADER, { ...CLAIMS, [name]: undefined }))).toBe('jwt_invalid');
      expect(verdict(forged(HEADER, { ...CLAIMS, [name]: { a: 1 } }))).toBe('jwt_invalid');
    }
    expect(verdict(forged(HEADER, { ...CLAIMS, jti: 'short' }))).toBe('jwt_invalid');
    expect(verdict(forged(HEADER, { ...CLAIMS, exp: seconds + 0.5 }))).toBe('jwt_invalid');
    expect(verdict(forged(HEADER, { ...CLAIMS, sub: '../nod' }))).toBe('jwt_invalid');
  });

  it('is refused whatever single letter of it is changed', () => {
    const token = made();
    for (let at = 0; at < token.length - 1; at += 1) {
      const letter = token[at] === 'A' ? 'B' : 'A';
      expect(verdict(`${token.slice(0, at)}${letter}${token.slice(at + 1)}`)).not.toBe('ok');
    }
  });

  it('never throws, whatever it is', () => {
    for (const token of [
      '',
      '.',
      '..',
      '...',
      'a.b.c',
      `${'x'.repeat(5_000)}.b.c`,
      '\u0000.\u0000.',
    ]) {
      expect(verdict(token)).toBe('jwt_invalid');
    }
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect(readNodeToken(text).ok).toBe(false);
        expect(readNodeToken(`${text}.${text}.${text}`).ok).toBe(false);
      }),
    );
  });

  it('keeps its jti, so that the manager can tell a second use', () => {
    const [first, second] = [made(), made({ jti: 'another-token-used' })];
    const ids = [first, first, second].map((token) => {
      const read = readNodeToken(token);
      return read.ok ? read.value.jti : '';
    });
    expect(ids[0]).toBe(ids[1]);
    expect(ids[0]).not.toBe(ids[2]);
  });
});

describe('keys and proofs', () => {
  it('bring a public key through its text and back', () => {
    const raw = rawPublicKey(privateKey);
    expect(raw).toHaveLength(43);
    expect(rawPublicKey(publicKey)).toBe(raw);
    const key = publicKeyFromRaw(raw);
    expect(key === null ? '' : rawPublicKey(key)).toBe(raw);
  });

  it('refuse a text that is not exactly one key', () => {
    const raw = rawPublicKey(privateKey);
    for (const text of ['', 'short', `${raw}A`, `${raw}=`, ` ${raw}`, raw.slice(1), `${raw}\n`]) {
      expect(publicKeyFromRaw(text)).toBeNull();
    }
  });

  it('bind the proof to manager, token and key without showing the token', () => {
    const text = enrollmentProofText(ORIGIN, 'bwe_secret', 'KEY');
    expect(text.split('\n')).toHaveLength(4);
    expect(text).not.toContain('bwe_secret');
    for (const other of [
      enrollmentProofText('https://other.example', 'bwe_secret', 'KEY'),
      enrollmentProofText(ORIGIN, 'bwe_secreT', 'KEY'),
      enrollmentProofText(ORIGIN, 'bwe_secret', 'KEX'),
    ]) {
      expect(other).not.toBe(text);
    }
  });
});
