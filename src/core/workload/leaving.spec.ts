import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FEW, keptForMs, nameIn, keyOf, WORKLOAD_KINDS } from './index.js';

const TIMES = { graceMs: 60_000, manyGraceMs: 3_600_000 };

describe('the node of a workload that is gone', () => {
  it.each([
    [1, 1, 0],
    [FEW, FEW, 0],
    [FEW + 1, 2 * FEW + 2, 0],
    [FEW + 1, 2 * FEW + 1, 3_540_000],
    [200, 200, 3_540_000],
    [100, 200, 0],
    [101, 200, 3_540_000],
  ])('%i of %i, gone for a minute: is kept for %i ms', (gone, known, keptMs) => {
    expect(keptForMs(60_000, { gone, known }, TIMES)).toBe(keptMs);
  });

  it('goes in the end, however many there are, and never before its grace', () => {
    const count = fc.nat({ max: 2_000 });
    fc.assert(
      fc.property(count, count, fc.nat({ max: 7_200_000 }), (gone, rest, goneMs) => {
        const keptMs = keptForMs(goneMs, { gone, known: gone + rest }, TIMES);
        if (goneMs < TIMES.graceMs) expect(keptMs).toBeGreaterThan(0);
        if (goneMs >= TIMES.manyGraceMs) expect(keptMs).toBe(0);
        expect(keptMs).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('with a longer grace for one than for many keeps to the longer one', () => {
    const times = { graceMs: 10, manyGraceMs: 1 };
    expect(keptForMs(5, { gone: 9, known: 9 }, times)).toBe(5);
  });
});

describe('the key of a workload', () => {
  it('leads back to its name', () => {
    for (const kind of WORKLOAD_KINDS) {
      const of = { kind, namespace: 'shop', name: 'edge.v2' };
      expect(nameIn(keyOf(of))).toEqual(of);
    }
  });

  it.each([
    '',
    'shop/edge',
    'shop/job/edge',
    'shop/deployment/',
    '/deployment/edge',
    'a/deployment/b/c',
  ])('%j is none', (text) => {
    expect(nameIn(text)).toBeNull();
  });
});
