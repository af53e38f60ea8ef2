import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  durationInWords,
  FleetError,
  instant,
  invariant,
  plus,
  refuse,
  seededRandom,
  shuffled,
  toIso,
  unreachable,
  type JsonValue,
} from './index.js';

const json: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
  ),
})).value;

describe('canonical JSON', () => {
  it('says what the value says', () => {
    fc.assert(
      fc.property(json, (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as unknown;
        expect(JSON.parse(canonicalJson(value))).toEqual(plain);
      }),
    );
  });

  it('does not depend on the order in which members were written', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.integer()), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).reverse());
        expect(canonicalJson(reversed)).toBe(canonicalJson(object));
      }),
    );
    expect(canonicalJson({ b: 1, a: [true, null, 'é'], c: undefined })).toBe(
      '{"a":[true,null,"é"],"b":1}',
    );
  });

  it.each([0.5, Number.NaN, Infinity, 2 ** 53])(
    'refuses %d, which has no one spelling',
    (number) => {
      expect(() => canonicalJson({ number })).toThrow(RangeError);
    },
  );
});

describe('a seeded order', () => {
  it('holds the same items, whatever the seed', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.string(), (items, seed) => {
        const result = shuffled(items, seed);
        const up = (a: number, b: number): number => a - b;
        expect([...result].sort(up)).toEqual([...items].sort(up));
        expect(shuffled(items, seed)).toEqual(result);
      }),
    );
  });

  it('is the same on every machine and for ever', () => {
    expect(shuffled(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'], 'rol_1')).toEqual([
      'e',
      'f',
      'g',
      'b',
      'd',
      'c',
      'h',
      'a',
    ]);
    const random = seededRandom('seed');
    expect([random.below(1000), random.below(1000), random.below(1000)]).toEqual([545, 315, 357]);
  });

  it('favours no place: each item comes first about equally often', () => {
    const first = new Map<number, number>();
    for (let i = 0; i < 8_000; i += 1) {
      const [item = -1] = shuffled([0, 1, 2, 3, 4, 5, 6, 7], `seed-${i}`);
      first.set(item, (first.get(item) ?? 0) + 1);
    }
    for (const count of first.values()) expect(Math.abs(count - 1_000)).toBeLessThan(200);
  });
});

describe('time', () => {
  it.each([
    [0, 'less than 1 s'],
    [999, 'less than 1 s'],
    [8_000, '8 s'],
    [250_000, '4 min 10 s'],
    [7_500_000, '2 h 5 min'],
    [3 * 86_400_000 + 4 * 3_600_000 + 59_000, '3 d 4 h'],
    [59_999, '1 min'],
    [86_400_000, '1 d'],
  ])('says %d ms as %s', (durationMs, words) => {
    expect(durationInWords(durationMs)).toBe(words);
  });

  it('tells machines a moment in one form', () => {
    const at = plus(instant(Date.UTC(2026, 2, 1, 23, 59, 59)), 1_000);
    expect(toIso(at)).toBe('2026-03-02T00:00:00.000Z');
  });
});

describe('errors', () => {
  it('tell who can mend them', () => {
    const cause = new Error('EIO');
    const error = new FleetError('unavailable', 'the disk failed', { kind: 'operational', cause });
    expect([error.code, error.kind, error.context, error.cause]).toEqual([
      'unavailable',
      'operational',
      {},
      cause,
    ]);
    expect(new FleetError('not_found', 'no such node')).toMatchObject({ kind: 'user' });
  });

  it('of our own are never mistaken for those of a caller', () => {
    expect(() => {
      invariant(false, 'counters do not add up');
    }).toThrow(expect.objectContaining({ code: 'internal_error', kind: 'invariant' }));
    expect(() => {
      invariant(true, 'fine');
    }).not.toThrow();
    expect(() => unreachable('new' as never)).toThrow(
      expect.objectContaining({ kind: 'invariant', message: 'unexpected value "new"' }),
    );
  });

  it('that are data carry a code and a sentence', () => {
    expect(refuse('rollout_empty', 'nobody is left')).toEqual({
      ok: false,
      error: { code: 'rollout_empty', message: 'nobody is left' },
    });
  });
});
