import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECONNECT_BASE_MS, RECONNECT_MAX_MS } from '../../protocol/node/index.js';
import { Backoff } from './backoff.js';

const always = (value: number): Backoff => new Backoff({ random: () => value });

describe('the back-off', () => {
  it('doubles its bound from a second to a minute', () => {
    const backoff = always(1);
    const waits = Array.from({ length: 9 }, () => backoff.next() / 1_000);
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  it('jitters over the whole of it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { maxLength: 50 }),
        (values) => {
          let at = 0;
          const backoff = new Backoff({ random: () => values[at] ?? 0 });
          for (at = 0; at < values.length; at += 1) {
            const bound = Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** at);
            expect(backoff.next()).toBeCloseTo(bound * (values[at] ?? 0));
          }
        },
      ),
    );
  });

  it('begins anew only after a session that lasted', () => {
    const backoff = always(1);
    for (let i = 0; i < 5; i += 1) backoff.next();
    backoff.sessionLasted(30_000);
    expect(backoff.next()).toBe(32_000);
    backoff.sessionLasted(30_001);
    expect(backoff.next()).toBe(1_000);
  });

  it('takes a slot of the manager once, and does not count it as a failure', () => {
    const backoff = always(1);
    backoff.slot(123_456);
    expect([backoff.next(), backoff.next()]).toEqual([123_456, 1_000]);
  });

  it('comes back in its slot of a queue, within the second, and does not count it as a failure', () => {
    const late = always(1);
    late.slotOfQueue(7_000);
    expect([late.next(), late.next()]).toEqual([8_000, 1_000]);
    const early = always(0);
    early.slotOfQueue(7_000);
    expect([early.next(), early.isToldToWait]).toEqual([7_000, true]);
    early.slotOfQueue(86_400_000);
    expect(early.next()).toBe(300_000);
  });

  it('waits at least as long as a refusal asked for, within reason', () => {
    const backoff = always(0);
    backoff.atLeast(5_000);
    expect([backoff.next(), backoff.next()]).toEqual([5_000, 0]);
    backoff.atLeast(86_400_000);
    expect(backoff.next()).toBe(300_000);
  });

  it('tries once an hour after a revocation, whatever else it was told, until it is welcome', () => {
    const backoff = always(0);
    backoff.revoked();
    backoff.slot(10);
    expect([backoff.next(), backoff.next()]).toEqual([3_600_000, 3_600_000]);
    backoff.welcomed();
    expect(backoff.next()).toBe(0);
  });
});
