import { expect, it } from 'vitest';
import { openClock } from './clock.js';

it('a clock goes on by the sleep of the machine, and by nothing else', () => {
  let awakeMs = 5_000;
  let bootMs: number | null = 905_000;
  const clock = openClock(
    () => awakeMs,
    () => bootMs,
  );
  const pass = (ms: number, asleepMs = 0): number => {
    awakeMs += ms;
    if (bootMs !== null) bootMs += ms + asleepMs;
    return clock.bootMs();
  };
  expect(clock.bootMs()).toBe(5_000);
  expect(pass(1_000)).toBe(6_000);
  // What two reads lie apart is no sleep.
  expect(pass(0, 40)).toBe(6_000);
  expect(pass(1_000, 60_000)).toBe(67_040);
  expect(clock.monotonicMs()).toBe(7_000);
  expect(pass(500, -40)).toBe(67_540);
  bootMs = null;
  expect(pass(500)).toBe(68_040);
});

it('without a clock of the kernel it is the one that stands still', () => {
  const clock = openClock(
    () => 7_000,
    () => null,
  );
  expect(clock.bootMs()).toBe(7_000);
});

it('the clock of this machine goes forward', () => {
  const clock = openClock();
  const before = clock.bootMs();
  expect(clock.bootMs()).toBeGreaterThanOrEqual(before);
  expect(Math.abs(clock.bootMs() - clock.monotonicMs())).toBeLessThan(1_000);
});
