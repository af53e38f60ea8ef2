import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenBucket } from './token-bucket.js';

describe('a token bucket', () => {
  it('gives its burst at once and then one token every refill', () => {
    const bucket = new TokenBucket(3, 10, 0);
    expect([1, 2, 3, 4].map(() => bucket.take(0))).toEqual([true, true, true, false]);
    expect(bucket.take(99)).toBe(false);
    expect(bucket.take(200)).toBe(true);
  });

  it('refills nothing when the clock goes back', () => {
    const bucket = new TokenBucket(1, 10, 1_000);
    expect(bucket.take(1_000)).toBe(true);
    expect(bucket.take(0)).toBe(false);
  });

  it('never gives more than burst plus refill over any time', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 300 }),
        (gapsMs) => {
          const bucket = new TokenBucket(5, 20, 0);
          let nowMs = 0;
          let given = 0;
          for (const gapMs of gapsMs) {
            nowMs += gapMs;
            if (bucket.take(nowMs)) given += 1;
          }
          expect(given).toBeLessThanOrEqual(5 + (nowMs * 20) / 1000);
        },
      ),
    );
  });
});
