import { describe, expect, it } from 'vitest';
import { DropBook, droppedBetween, TELL_EVERY_MS } from './dropped.js';

const run = (from: number, to: number) => ({ from, to });

describe('what was dropped', () => {
  it.each([
    ['nothing', [run(1, 9)], [run(1, 9)], null],
    ['what came besides', [run(1, 9)], [run(1, 12)], null],
    ['all', [run(3, 9)], [], { count: 7, from: 3, to: 9 }],
    ['the oldest', [run(1, 9)], [run(4, 9)], { count: 3, from: 1, to: 3 }],
    [
      'some in between',
      [run(1, 9)],
      [run(1, 2), run(5, 6), run(9, 9)],
      { count: 4, from: 3, to: 8 },
    ],
    [
      'of several runs',
      [run(1, 4), run(8, 9)],
      [run(4, 4), run(8, 8)],
      { count: 4, from: 1, to: 9 },
    ],
  ])('is %s', (_what, before, after, dropped) => {
    expect(droppedBetween(before, after)).toEqual(dropped);
  });

  it('is told at once, then once an hour with all since, and at the last call', () => {
    const book = new DropBook();
    expect(book.take(0, true)).toBeNull();
    book.note({ count: 2, from: 1, to: 2 });
    expect(book.take(10, false)).toMatchObject({
      type: 'events_dropped',
      severity: 'critical',
      details: { why: 'spool_full', error_code: 'events_lost', dropped: 2, from_seq: 1, to_seq: 2 },
    });
    expect(book.take(11, true)).toBeNull();
    book.note({ count: 1, from: 5, to: 5 });
    book.note({ count: 3, from: 7, to: 12 });
    expect(book.take(10 + TELL_EVERY_MS - 1, false)).toBeNull();
    expect(book.take(10 + TELL_EVERY_MS, false)?.details).toMatchObject({
      dropped: 4,
      from_seq: 5,
      to_seq: 12,
    });
    book.note({ count: 1, from: 20, to: 20 });
    expect(book.take(20 + TELL_EVERY_MS, true)?.details).toMatchObject({ dropped: 1 });
  });
});
