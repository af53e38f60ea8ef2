import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  base32,
  claimValues,
  codeOf,
  isShowable,
  judgePassword,
  oneMore,
  otpauthUri,
  PACES,
  parseLogin,
  rolesOfClaims,
  skeletonOf,
  stepAt,
  stepOfCode,
  TOTP_STEP_MS,
  waitAfter,
  type Tries,
} from './index.js';

describe('a login name', () => {
  it.each([
    ['ann', 'ann'],
    ['  Ann.Lee-2 ', 'ann.lee-2'],
    ['a_b', 'a_b'],
  ])('%j is %j', (text, login) => expect(parseLogin(text)).toEqual({ ok: true, value: login }));

  it.each([
    ['a Kelvin sign, which folds to k', '\u212aarl'],
    ['a Cyrillic a', '\u0430dmin'],
    ['full width', '\uff41dmin'],
    ['an invisible joiner', 'ad\u200dmin'],
    ['a dotless i', 'adm\u0131n'],
    ['a combining mark', 'ad\u0301min'],
    ['right to left', '\u202enimda'],
    ['a NUL', 'ad\u0000min'],
    ['a blank inside', 'ad min'],
    ['one letter', 'a'],
    ['too many', 'a'.repeat(65)],
    ['a dot at the end', 'ann.'],
    ['SQL', "ann'--"],
  ])('with %s is refused', (_, text) => {
    expect(parseLogin(text)).toMatchObject({ ok: false, error: { code: 'invalid_request' } });
  });

  it.each([
    ['adm1n', 'admin'],
    ['rnary', 'mary'],
    ['j.doe', 'jdoe'],
    ['r00t', 'root'],
    ['vvendy', 'wendy'],
    ['pau1', 'paul'],
  ])('%s looks like %s', (one, other) => expect(skeletonOf(one)).toBe(skeletonOf(other)));

  it('of different letters does not look alike', () => {
    expect(skeletonOf('ann')).not.toBe(skeletonOf('anna'));
  });

  it('shown to people may have any letter that can be seen', () => {
    expect(isShowable('Zoë 李 O’Neill')).toBe(true);
    for (const name of ['\u202eevil', 'a\nb', 'a\u0000', ' ', 'a\u200b', 'a\u2028b']) {
      expect(isShowable(name)).toBe(false);
    }
  });
});

describe('a password', () => {
  it.each(['correct-mast-anvil-moon', 'blau Pferd rennt 7 Stunden', '🦊🦊 jumps over 犬 twice'])(
    '%j may be taken',
    (text) => expect(judgePassword(text, ['ann', 'Ann Lee']).ok).toBe(true),
  );

  it.each([
    'short-one-1',
    'aaaaaaaaaaaaaa',
    'abababababababab',
    '123456789012',
    'qwertyuiopasdf',
    'abcdefghijkl',
    '987654321098',
    'Password123456',
    'P@ssw0rd!!!!!!',
    'iloveyou2026!!!!',
    'passwordpassword',
    'AdministratorAdmin1',
    'bellwether2026!',
    'summer-2026-2027',
    'winterspring2026',
    'ann.lee1234!',
    'x'.repeat(300),
  ])('%j may not', (text) => {
    expect(judgePassword(text, ['ann.lee', 'Ann Lee'])).toMatchObject({
      ok: false,
      error: { code: 'password_weak' },
    });
  });

  it('is never repeated in what is said about it', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 5, maxLength: 40 }), (text) => {
        const judged = judgePassword(text, []);
        if (!judged.ok && /[^a-z ]/.test(text)) expect(judged.error.message).not.toContain(text);
      }),
    );
  });

  it('is one in both spellings of its letters', () => {
    const composed = judgePassword('caf\u00e9 dans la nuit', []);
    expect(judgePassword('cafe\u0301 dans la nuit', [])).toEqual(composed);
  });
});

describe('a time-based code', () => {
  // RFC 6238, appendix B.
  const seed = '12345678901234567890';
  const vectors: readonly [number, string, string, string][] = [
    [59, '94287082', '46119246', '90693936'],
    [1111111109, '07081804', '68084774', '25091201'],
    [1111111111, '14050471', '67062674', '99943326'],
    [1234567890, '89005924', '91819424', '93441116'],
    [2000000000, '69279037', '90698825', '38618901'],
    [20000000000, '65353130', '77737706', '47863826'],
  ];
  it.each(vectors)('at %d s is that of RFC 6238', (seconds, sha1, sha256, sha512) => {
    const step = stepAt(seconds * 1000);
    const of = (hash: 'sha1' | 'sha256' | 'sha512', length: number): string =>
      codeOf(Buffer.from(seed.repeat(4).slice(0, length)), step, { digits: 8, hash });
    expect([of('sha1', 20), of('sha256', 32), of('sha512', 64)]).toEqual([sha1, sha256, sha512]);
  });

  const secret = Buffer.from(seed);
  it('is good for one step more and one less, and only after the last one', () => {
    const nowMs = 1_000 * TOTP_STEP_MS + 5;
    for (const drift of [-1, 0, 1]) {
      expect(stepOfCode(secret, codeOf(secret, 1_000 + drift), nowMs, -1)).toBe(1_000 + drift);
    }
    for (const drift of [-2, 2, 20]) {
      expect(stepOfCode(secret, codeOf(secret, 1_000 + drift), nowMs, -1)).toBeNull();
    }
    expect(stepOfCode(secret, codeOf(secret, 1_000), nowMs, 1_000)).toBeNull();
    expect(stepOfCode(secret, codeOf(secret, 1_001), nowMs, 1_000)).toBe(1_001);
    for (const code of ['', '1', '1234567', 'abcdef', '١٢٣٤٥٦']) {
      expect(stepOfCode(secret, code, nowMs, -1)).toBeNull();
    }
  });

  it('is set up with base32 as in RFC 4648', () => {
    const told = ['f', 'fo', 'foo', 'foob', 'fooba', 'foobar'].map((text) =>
      base32(Buffer.from(text)),
    );
    expect(told).toEqual(['MY', 'MZXQ', 'MZXW6', 'MZXW6YQ', 'MZXW6YTB', 'MZXW6YTBOI']);
    expect(otpauthUri(Buffer.from('foo'), 'a b', 'Bell')).toBe(
      'otpauth://totp/Bell:a%20b?secret=MZXW6&issuer=Bell',
    );
  });
});

describe('waiting after failures', () => {
  const names = Object.keys(PACES) as (keyof typeof PACES)[];
  it.each(names)('of %s begins late, grows, and has an end', (name) => {
    const pace = PACES[name];
    let tries: Tries | null = null;
    let before = 0;
    for (let i = 1; i <= 100; i += 1) {
      tries = oneMore(tries, pace, 5_000);
      const wait = waitAfter(tries, pace, 5_000);
      expect(wait).toBe(i < pace.free ? 0 : wait);
      expect(wait).toBeGreaterThanOrEqual(before);
      before = wait;
    }
    expect(before).toBe(pace.waitMaxMs);
    expect(waitAfter(tries!, pace, 5_000 + pace.waitMaxMs)).toBe(0);
    expect(oneMore(tries, pace, 5_000 + pace.forgetMs).count).toBe(1);
  });

  it('is not shortened by a clock that was set back', () => {
    const tries = { count: 100, atMs: 1_000_000 };
    expect(waitAfter(tries, PACES.pair, 0)).toBe(PACES.pair.waitMaxMs);
  });

  it('is short where strangers can cause it', () => {
    expect(PACES.account.waitMaxMs).toBeLessThanOrEqual(30_000);
  });
});

describe('claims', () => {
  const roles = ['viewer', 'operator', 'admin'] as const;
  const rules = [
    { claim: 'ops', groupId: 'grp_a', role: 'operator' as const },
    { claim: 'boss', groupId: 'grp_a', role: 'admin' as const },
    { claim: 'ops', groupId: 'grp_b', role: 'viewer' as const },
  ];
  it('give the highest role of each group, letter by letter', () => {
    expect([...rolesOfClaims(['ops', 'boss'], rules, roles)]).toEqual([
      ['grp_a', 'admin'],
      ['grp_b', 'viewer'],
    ]);
    expect([...rolesOfClaims(['OPS', 'ops '], rules, roles)]).toEqual([]);
  });

  it('of another form say nothing', () => {
    for (const odd of [undefined, null, 7, { ops: true }, [{ a: 1 }, 3]]) {
      expect(claimValues(odd)).toEqual([]);
    }
    expect(claimValues('ops')).toEqual(['ops']);
    expect(claimValues(Array(9_999).fill('x'))).toHaveLength(2_000);
  });
});
