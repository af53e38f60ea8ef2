import { describe, expect, it } from 'vitest';
import { judge } from './judge.js';
import { Expectation } from './scenario.js';
import { sumOf, type Report } from './tally.js';

const report = (change: Partial<Report> = {}): Report => ({ ...sumOf([]), ...change });
const wrongIn = (expect: object, seen: Report, nodes = 100): string[] =>
  judge(Expectation.parse(expect), { report: seen, nodes, rollout: null, isInTime: true })
    .filter(({ isTrue }) => !isTrue)
    .map(({ what }) => what);

const states = { idle: 0, waiting: 0, connecting: 0, connected: 97 };

describe('the end of a scenario', () => {
  it('is held against shares of all nodes', () => {
    expect(wrongIn({ at_least: { connected: 0.97 } }, report({ states }))).toEqual([]);
    expect(wrongIn({ at_least: { connected: 0.98 } }, report({ states }))).toHaveLength(1);
    expect(wrongIn({ at_most: { connected: 0.96 } }, report({ states }))).toHaveLength(1);
  });

  it('is wrong where a rollout was expected and none was', () => {
    expect(wrongIn({ rollout: ['complete'] }, report())).toEqual([
      'the rollout ends complete: there was none',
    ]);
  });

  it('is always wrong when a node swapped twice, or an event is nowhere', () => {
    const { numbers } = report();
    expect(wrongIn({}, report({ numbers: { ...numbers, swaps_twice: 1 } }))).toHaveLength(1);
    const lost = { ...numbers, events_made: 5, events_acked: 3 };
    expect(wrongIn({}, report({ numbers: lost, backlog: 1 }))).toHaveLength(1);
    expect(wrongIn({}, report({ numbers: lost, backlog: 2 }))).toEqual([]);
  });
});

describe('several processes', () => {
  it('are added up, and of moments the latest counts', () => {
    const part = (swaps: number, at: number): Report => {
      const { numbers } = report();
      return report({ numbers: { ...numbers, swaps, last_swap_at: at }, phases: { idle: 2 } });
    };
    const sum = sumOf([part(3, 50), part(4, 40)]);
    expect(sum.numbers).toMatchObject({ swaps: 7, last_swap_at: 50 });
    expect(sum.phases).toEqual({ idle: 4 });
  });
});
