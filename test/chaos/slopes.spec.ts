import { describe, expect, it } from 'vitest';
import { slopeOf, surelyRoseBy } from './slopes.js';

const line = (count: number, value: (at: number) => number) =>
  Array.from({ length: count }, (_, at) => ({ at, value: value(at) }));

describe('a slope', () => {
  it('is that of the line, with no doubt where there is no noise', () => {
    const slope = slopeOf(line(10, (at) => 100 + 3 * at));
    expect(slope?.perSecond).toBeCloseTo(3);
    expect(slope?.margin).toBeCloseTo(0);
    expect(slope && surelyRoseBy(slope, 60)).toBeCloseTo(180);
  });

  it('is no rise when it is within the noise', () => {
    const slope = slopeOf(line(40, (at) => 100 + (at % 2) * 20));
    expect(slope && surelyRoseBy(slope, 3_600)).toBe(0);
  });

  it('is a rise when the noise is smaller', () => {
    const slope = slopeOf(line(40, (at) => 100 + (at % 2) * 2 + at));
    expect(slope && surelyRoseBy(slope, 39)).toBeGreaterThan(35);
  });

  it('needs three points', () => {
    expect(slopeOf(line(2, (at) => at))).toBeNull();
  });
});
