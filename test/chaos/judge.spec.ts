import { describe, expect, it } from 'vitest';
import type { Event } from '../../src/protocol/api/index.js';
import type { Kept } from '../../src/simulator/live/live-memory.js';
import { compareEvents, mostAtOnce } from './judge.js';

const swap = (began_at: number, ended_at: number | null) => ({
  ...{ command_id: 'cmd_000001', version: '1.1.0', began_at, ended_at },
  ...{ done_at: ended_at, result: null },
});

describe('the most swaps at once', () => {
  it('counts those that overlap, and those that never ended', () => {
    expect(mostAtOnce([swap(0, 10), swap(5, 15), swap(9, 12), swap(20, 30)])).toBe(3);
    expect(mostAtOnce([swap(0, null), swap(50, 60), swap(60, 70)])).toBe(2);
  });
});

describe('what nodes made against what is stored', () => {
  const node = (types: readonly string[]): Kept =>
    ({
      diary: {
        swaps: [],
        events: types.map((type) => ({ type, category: 'upgrade', command_id: 'cmd_000001' })),
      },
    }) as unknown as Kept;
  const stored = (types: readonly string[], from = 1): Event[] =>
    types.map((type, index) => ({
      ...{ id: from + index, type, category: 'upgrade' },
      ...{ node_id: 'nod_000001', command_id: 'cmd_000001' },
    })) as unknown as Event[];
  const compare = (made: readonly string[], told: Event[]) =>
    compareEvents(told, new Map([['nod_000001', node(made)]]));

  it('finds what is missing, what is there twice, and gaps', () => {
    const both = ['upgrade_started', 'upgrade_completed'];
    expect(compare(both, stored(both))).toMatchObject({ lost: [], doubled: [], gaps: 0 });
    expect(compare(both, stored(['upgrade_started'])).lost).toHaveLength(1);
    expect(compare(both, stored([...both, 'upgrade_started'])).doubled).toHaveLength(1);
    expect(compare(both, stored(both, 2)).gaps).toBe(2);
  });
});
