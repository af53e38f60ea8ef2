import { describe, expect, it } from 'vitest';
import { EXPORTS_EACH_MAX, EXPORTS_MAX, ExportSlots } from './export-slots.js';

const full = expect.objectContaining({ code: 'rate_limited' }) as Error;

describe('exports at once', () => {
  it('are few for each caller, and a place that was given back is free', () => {
    const slots = new ExportSlots();
    const releases = Array.from({ length: EXPORTS_EACH_MAX }, () => slots.begin('ann'));
    expect(() => slots.begin('ann')).toThrow(full);
    slots.begin('bob');
    releases[0]?.();
    slots.begin('ann');
    expect(() => slots.begin('ann')).toThrow(full);
  });

  it('are few in all', () => {
    const slots = new ExportSlots();
    for (let i = 0; i < EXPORTS_MAX; i += 1) slots.begin(`caller ${i}`);
    expect(() => slots.begin('one more')).toThrow(full);
  });
});
