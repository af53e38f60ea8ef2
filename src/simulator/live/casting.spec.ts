import { describe, expect, it } from 'vitest';
import { cast } from './casting.js';
import { Fault } from './scenario.js';

const fault = (given: object): Fault => Fault.parse(given);
const kindsOf = (parts: readonly Fault[][], kind: string): number[] =>
  parts.flatMap((faults, at) => (faults.some((one) => one.kind === kind) ? [at] : []));

describe('who is befallen', () => {
  it('is exactly as many as the scenario says, by share or by number', () => {
    const parts = cast(
      [fault({ kind: 'disk_full', share: 0.1 }), fault({ kind: 'slow_link', count: 7 })],
      1_000,
      'a',
    );
    expect(kindsOf(parts, 'disk_full')).toHaveLength(100);
    expect(kindsOf(parts, 'slow_link')).toHaveLength(7);
  });

  it('is the same with the same seed, and others with another', () => {
    const faults = [fault({ kind: 'flapping', share: 0.2 })];
    const of = (seed: string): number[] => kindsOf(cast(faults, 200, seed), 'flapping');
    expect(of('a')).toEqual(of('a'));
    expect(of('a')).not.toEqual(of('b'));
  });

  it('has one fault of a kind at most', () => {
    const skew = (share: number, ms: number): Fault => fault({ kind: 'clock_skew', share, ms });
    const parts = cast([skew(0.5, 20_000), skew(0.5, -20_000)], 100, 'a');
    expect(parts.every((faults) => faults.length === 1)).toBe(true);
    expect(new Set(parts.map(([one]) => one?.kind === 'clock_skew' && one.ms)).size).toBe(2);
  });
});
