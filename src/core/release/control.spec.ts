import { describe, expect, it } from 'vitest';
import { judgeControl, LocalControl, NO_CONTROL } from './index.js';

const control = (change: Partial<LocalControl>): LocalControl => ({ ...NO_CONTROL, ...change });
const codeOf = (change: Partial<LocalControl>, version: string): string | null => {
  const judged = judgeControl(control(change), version);
  return judged.ok ? null : judged.error.code;
};

describe('what a person on the node decided', () => {
  it('holds nothing up where nobody did', () => {
    expect(codeOf({}, '1.1.0')).toBeNull();
  });

  it('switched off, refuses every version, the pinned one too', () => {
    expect(codeOf({ enabled: false }, '1.1.0')).toBe('upgrade_disabled');
    expect(codeOf({ enabled: false, pin: '1.1.0' }, '1.1.0')).toBe('upgrade_disabled');
  });

  it('pinned, lets that version come and no other', () => {
    expect(codeOf({ pin: '1.1.0' }, '1.1.0')).toBeNull();
    expect(codeOf({ pin: '1.1.0' }, '1.1.1')).toBe('upgrade_pinned');
    expect(codeOf({ pin: '1.1.0' }, '1.1.0-rc.1')).toBe('upgrade_pinned');
  });

  it.each([
    ['an unknown key', { schema: 'bellwether.control.v1', enable: false }],
    ['another schema', { schema: 'bellwether.control.v2' }],
    ['a pin that is no version', { schema: 'bellwether.control.v1', pin: '../1.0.0' }],
    ['a switch that is a text', { schema: 'bellwether.control.v1', enabled: 'no' }],
  ])('is not read from a file with %s', (_, file) => {
    expect(LocalControl.safeParse(file).success).toBe(false);
  });
});
