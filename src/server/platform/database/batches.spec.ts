import { describe, expect, it } from 'vitest';
import { FleetError } from '../../../core/kernel/index.js';
import { Batches } from './batches.js';

const setUp = (rules: Partial<ConstructorParameters<typeof Batches<string, string>>[1]> = {}) => {
  const batches: string[][] = [];
  let idle = 0;
  const gate = { opens: Promise.resolve() };
  const all = new Batches<string, string>(
    async (words) => {
      batches.push([...words]);
      await gate.opens;
      if (words.includes('away')) throw new FleetError('unavailable', 'the database is away');
      if (words.includes('bad')) throw new Error('bad');
      return words.map((word) => word.toUpperCase());
    },
    { most: 4, onIdle: () => (idle += 1), ...rules },
  );
  return { all, batches, gate, idle: () => idle };
};

describe('what many ask', () => {
  it('is done together, in order, so many at a time', async () => {
    const { all, batches, idle } = setUp();
    const words = ['a', 'b', 'c', 'd', 'e', 'f'];
    expect(await Promise.all(words.map((word) => all.ask(word)))).toEqual([
      ...['A', 'B', 'C', 'D', 'E', 'F'],
    ]);
    expect(batches).toEqual([
      ['a', 'b', 'c', 'd'],
      ['e', 'f'],
    ]);
    expect(await all.ask('g')).toBe('G');
    await new Promise((resolve) => setImmediate(resolve));
    expect(idle()).toBe(2);
  });

  it('waits for the batch before it, one at a time, and tells since when', async () => {
    const { all, batches, gate } = setUp();
    const closed = Promise.withResolvers<undefined>();
    gate.opens = closed.promise;
    const first = all.ask('a');
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect([batches, all.oldestMs]).toEqual([[['a']], null]);
    const nowMs = performance.now();
    const [second, third] = [all.ask('b'), all.ask('c')];
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(batches).toEqual([['a']]);
    expect(all.oldestMs).toBeGreaterThanOrEqual(nowMs);
    closed.resolve(undefined);
    expect(await Promise.all([first, second, third])).toEqual(['A', 'B', 'C']);
    expect(batches).toEqual([['a'], ['b', 'c']]);
  });

  it('and perishes has its early answer when there is one, else its turn before those that are older', async () => {
    const late = new Set(['p1', 'p4']);
    const { all, batches, gate } = setUp({
      early: (word) => (word.startsWith('p') ? () => (late.has(word) ? 'too late' : null) : null),
    });
    const opened = Promise.withResolvers<undefined>();
    gate.opens = opened.promise;
    const first = all.ask('x');
    await new Promise((resolve) => setImmediate(resolve));
    const words = ['p1', 'p2', 'a1', 'p3', 'a2', 'p4', 'a3', 'p5', 'a4', 'p6', 'a5'];
    const answers = words.map((word) => all.ask(word));
    opened.resolve(undefined);
    await first;
    expect((await Promise.all(answers)).filter((answer) => answer === 'too late')).toHaveLength(2);
    // Those that last go in the order of the calls, and leave half of the room, or what they do not need, to the others.
    expect(batches).toEqual([['x'], ['a1', 'a2', 'p5', 'p6'], ['p2', 'p3', 'a3', 'a4'], ['a5']]);
  });

  it('takes one of each key, the others in the order in which they came', async () => {
    const { all, batches } = setUp({ keyOf: (word) => word.slice(0, 1) });
    const words = ['a1', 'a2', 'b1', 'a3', 'b2', 'c1', 'd1', 'e1'];
    expect(await Promise.all(words.map((word) => all.ask(word)))).toEqual(
      words.map((word) => word.toUpperCase()),
    );
    expect(batches).toEqual([['a1', 'b1', 'c1', 'd1'], ['a2', 'b2', 'e1'], ['a3']]);
  });

  it('is tried one by one when it throws, so that only the bad one fails', async () => {
    const { all, batches } = setUp();
    const answers = await Promise.allSettled(['a', 'bad', 'c'].map((word) => all.ask(word)));
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(batches).toEqual([['a', 'bad', 'c'], ['a'], ['bad'], ['c']]);
  });

  it('fails at once for all where the database is away', async () => {
    const { all, batches } = setUp();
    const answers = await Promise.allSettled(['a', 'away', 'c'].map((word) => all.ask(word)));
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(batches).toEqual([['a', 'away', 'c']]);
    expect(await all.ask('d')).toBe('D');
  });
});
