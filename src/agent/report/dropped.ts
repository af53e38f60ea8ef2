import type { OutboxEvent } from '../../core/update/index.js';

/** A spool that is full drops something with each new event; that is told this often. */
export const TELL_EVERY_MS = 3_600_000;

/** Numbers that a spool gave and could not keep until they were acknowledged. */
export interface Dropped {
  readonly count: number;
  /** All of them lie between these two, which are two of them. */
  readonly from: number;
  readonly to: number;
}

interface Run {
  readonly from: number;
  readonly to: number;
}

/** What was held before and is not any more; both in order. Null when nothing is gone. */
export function droppedBetween(before: readonly Run[], after: readonly Run[]): Dropped | null {
  let count = 0;
  let first = 0;
  let last = 0;
  const gone = (from: number, to: number): void => {
    if (from > to) return;
    count += to - from + 1;
    if (last === 0) first = from;
    last = to;
  };
  for (const run of before) {
    let at = run.from;
    for (const kept of after) {
      if (kept.to < at || kept.from > run.to) continue;
      gone(at, kept.from - 1);
      at = kept.to + 1;
    }
    gone(at, run.to);
  }
  return count === 0 ? null : { count, from: first, to: last };
}

/**
 * Remembers what was dropped until it is told, as an event of its own: the first time at once, so
 * that a crash does not lose it, and then once an hour at most. The manager sees the gap besides.
 */
export class DropBook {
  #waiting: Dropped | null = null;
  #toldAtMs: number | null = null;

  note(dropped: Dropped): void {
    const { count, from, to } = this.#waiting ?? { count: 0, from: dropped.from, to: 0 };
    this.#waiting = {
      count: count + dropped.count,
      from: Math.min(from, dropped.from),
      to: Math.max(to, dropped.to),
    };
  }

  /** The event to be told now, or null. `isLastCall`: whatever waits, now. */
  take(
    nowMs: number,
    isLastCall: boolean,
  ): Pick<OutboxEvent, 'type' | 'severity' | 'message' | 'details'> | null {
    const dropped = this.#waiting;
    const isDue = this.#toldAtMs === null || nowMs - this.#toldAtMs >= TELL_EVERY_MS;
    if (dropped === null || !(isDue || isLastCall)) return null;
    this.#waiting = null;
    this.#toldAtMs = nowMs;
    const { count, from, to } = dropped;
    return {
      type: 'events_dropped',
      severity: 'critical',
      message: `The event spool was full: ${count} events that the manager never had were dropped`,
      details: {
        error_code: 'events_lost',
        why: 'spool_full',
        dropped: count,
        from_seq: from,
        to_seq: to,
      },
    };
  }
}
