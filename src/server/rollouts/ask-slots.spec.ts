import { expect, it } from 'vitest';
import { AskSlots } from './ask-slots.js';

it('whoever is denied together comes again one after the other, and after a minute at the latest', () => {
  const slots = new AskSlots();
  const given = Array.from({ length: 20_000 }, () => slots.next('rol_1', 1_000_000, 5_000));
  expect(given.slice(0, 3)).toEqual([5_000, 5_005, 5_010]);
  expect(given[2_000]).toBe(15_000);
  expect(Math.max(...given)).toBe(60_000);
  // Another rollout has slots of its own, and those of before are over a minute later.
  expect(slots.next('rol_2', 1_000_000, 1_000)).toBe(1_000);
  expect(slots.next('rol_1', 1_060_001, 1_000)).toBe(1_000);
});

it('a clock that was set back or ahead keeps nobody waiting', () => {
  const slots = new AskSlots();
  const hour = 3_600_000;
  slots.next('rol_1', 2 * hour, 5_000);
  expect(slots.next('rol_1', hour, 1_000)).toBe(1_000);
  expect(slots.next('rol_1', 3 * hour, 1_000)).toBe(1_000);
});
