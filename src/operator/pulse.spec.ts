import { describe, expect, it } from 'vitest';
import { Pulse } from './pulse.js';

describe('the pulse of loops', () => {
  it('misses those that do not turn in the time that they gave', () => {
    let nowMs = 1_000;
    const pulse = new Pulse(() => nowMs);
    expect(pulse.late).toEqual([]);
    pulse.beat('lease', 100);
    pulse.beat('watch', 300);
    nowMs += 100;
    expect(pulse.late).toEqual([]);
    nowMs += 1;
    expect(pulse.late).toEqual(['lease']);
    pulse.beat('lease', 100);
    nowMs += 200;
    expect(pulse.late).toEqual(['lease', 'watch']);
    pulse.end('lease');
    pulse.beat('watch', 1);
    expect(pulse.late).toEqual([]);
  });
});
