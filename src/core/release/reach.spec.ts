import { describe, expect, it } from 'vitest';
import { detourTo } from './index.js';

type Compatibility = NonNullable<Parameters<typeof detourTo>[0]['compatibility']>;

const from = (running: string | null, version: string, compatibility?: Compatibility) =>
  detourTo(compatibility === undefined ? { version } : { version, compatibility }, running)
    ?.first ?? null;

describe('a release is reached', () => {
  it.each([
    [null, '9.0.0', null],
    ['1.0.0', '1.9.0', null],
    ['1.9.0', '2.0.0', null],
    ['1.9.0', '3.0.0', '2.x'],
    ['1.9.0', '5.1.0', '2.x'],
    ['2.9.0', '5.1.0', '3.x'],
    ['2.0.0', '1.9.0', null],
    ['4.0.0', '1.9.0', '3.x'],
  ])('from %s to %s by way of: %s', (running, version, first) => {
    expect(from(running, version)).toBe(first);
  });

  it('over as many majors as it allows', () => {
    expect(from('1.0.0', '3.0.0', { major_hops_max: 2 })).toBeNull();
    expect(from('1.0.0', '6.0.0', { major_hops_max: 2 })).toBe('3.x');
    expect(from('1.0.0', '2.0.0', { major_hops_max: 0 })).toBe('2.x');
    expect(from('2.1.0', '2.2.0', { major_hops_max: 0 })).toBeNull();
  });

  it('from nothing below its lowest version to come from; going back to it is another matter', () => {
    expect(from('1.4.9', '2.0.0', { min_from: '1.5.0' })).toBe('1.5.0');
    expect(from('1.5.0-rc.1', '2.0.0', { min_from: '1.5.0' })).toBe('1.5.0');
    expect(from('1.5.0', '2.0.0', { min_from: '1.5.0' })).toBeNull();
    expect(from('2.4.0', '2.0.0', { min_from: '3.0.0' })).toBeNull();
  });

  it('and whoever is sent around is told so', () => {
    expect(detourTo({ version: '3.0.0' }, '1.9.0')?.message).toBe(
      '3.0.0 cannot be reached from 1.9.0: requires upgrade to 2.x first',
    );
    expect(detourTo({ version: '1.0.0' }, '3.9.0')?.message).toContain('downgrade to 2.x first');
  });
});
