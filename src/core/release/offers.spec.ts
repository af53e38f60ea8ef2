import { describe, expect, it } from 'vitest';
import { isWider, seenOn, widestOf } from './channels.js';
import { channelOf, newestOn, offersFor, windowOf, type Offerable } from './offers.js';

const artifact = {
  os: 'linux',
  arch: 'x64',
  variant: 'default',
  format: 'tar.gz',
  file: 'edge.tar.gz',
  size: 7,
  sha256: 'a'.repeat(64),
} as const;
const release = (version: string, change: Partial<Offerable> = {}): Offerable => ({
  product: 'edge',
  version,
  channel: 'stable',
  sequence: 1,
  artifacts: [artifact],
  ...change,
});
const taker = (version: string | null, channel: Offerable['channel'] = 'stable') => ({
  product: 'edge',
  version,
  channel,
  host: { os: 'linux', arch: 'x64', variant: 'default' } as const,
});
const shown = (offers: ReturnType<typeof offersFor>['upgrades']): string[] =>
  offers.map(({ release: { version }, detour }) =>
    detour ? `${version}!${detour.first}` : version,
  );

describe('channels', () => {
  it('see themselves and every wider one', () => {
    expect(seenOn('dev')).toEqual(['stable', 'beta', 'dev']);
    expect(seenOn('beta')).toEqual(['stable', 'beta']);
    expect(seenOn('stable')).toEqual(['stable']);
    expect([isWider('stable', 'dev'), isWider('beta', 'beta'), isWider('dev', 'beta')]).toEqual([
      true,
      false,
      false,
    ]);
    expect([widestOf([]), widestOf(['dev', 'stable', 'beta'])]).toEqual([null, 'stable']);
  });
});

describe('what a node could come to', () => {
  it('is newest first, whatever the order of the catalog, up and down', () => {
    const all = ['1.9.0', '1.10.0', '2.0.0', '1.8.0', '1.10.0-rc.1'].map((one) => release(one));
    const { upgrades, downgrades } = offersFor(taker('1.9.0'), all);
    expect(shown(upgrades)).toEqual(['2.0.0', '1.10.0', '1.10.0-rc.1']);
    expect(shown(downgrades)).toEqual(['1.8.0']);
    expect(shown(offersFor(taker(null), all).upgrades)).toHaveLength(5);
    expect(offersFor(taker(null), all).downgrades).toEqual([]);
  });

  it('shows what needs another version first, and says which', () => {
    const all = ['1.0.0', '2.0.0', '3.0.0', '4.0.0'].map((one) => release(one));
    expect(shown(offersFor(taker('1.0.0'), all).upgrades)).toEqual([
      '4.0.0!2.x',
      '3.0.0!2.x',
      '2.0.0',
    ]);
    expect(shown(offersFor(taker('4.0.0'), all).downgrades)).toEqual([
      '3.0.0',
      '2.0.0!3.x',
      '1.0.0!3.x',
    ]);
    const [first] = offersFor(taker('1.0.0'), all).upgrades;
    expect(first?.detour?.message).toMatch(/requires upgrade to 2\.x first$/);
    const strict = release('1.5.0', { compatibility: { min_from: '1.4.0' } });
    expect(shown(offersFor(taker('1.0.0'), [strict]).upgrades)).toEqual(['1.5.0!1.4.0']);
  });

  it('widens with the channel; a version on several is offered on the widest', () => {
    const all = [
      release('1.1.0', { channel: 'dev', sequence: 1 }),
      release('1.1.0', { channel: 'stable', sequence: 3 }),
      release('1.1.0', { channel: 'beta', sequence: 2 }),
      release('1.2.0', { channel: 'beta' }),
      release('1.3.0', { channel: 'dev' }),
    ];
    expect(shown(offersFor(taker('1.0.0'), all).upgrades)).toEqual(['1.1.0']);
    expect(shown(offersFor(taker('1.0.0', 'beta'), all).upgrades)).toEqual(['1.2.0', '1.1.0']);
    const onDev = offersFor(taker('1.0.0', 'dev'), all).upgrades;
    expect(shown(onDev)).toEqual(['1.3.0', '1.2.0', '1.1.0']);
    expect(onDev.at(-1)?.release.sequence).toBe(3);
  });

  it('holds nothing for another product, host or variant', () => {
    const all = [
      release('2.0.0', { product: 'gate' }),
      release('1.1.0', { artifacts: [{ ...artifact, arch: 'arm64' }] }),
      release('1.2.0', { artifacts: [{ ...artifact, variant: 'full' }] }),
    ];
    expect(offersFor(taker('1.0.0'), all)).toEqual({ upgrades: [], downgrades: [] });
  });
});

describe('the window of support', () => {
  it.each([
    ['3.4.0', '3.9.0', 'in_window'],
    ['4.0.0', '3.9.0', 'in_window'],
    ['2.9.9', '3.0.0', 'deprecated'],
    ['1.9.9', '3.0.0', 'out_of_support'],
    [null, '3.0.0', 'unknown'],
    ['1.0.0', null, 'unknown'],
  ] as const)('of %s, when %s is the newest, is %s', (version, newest, window) => {
    expect(windowOf(version, newest)).toBe(window);
  });

  it('goes by the channel that the node seems to follow', () => {
    const all = [
      release('1.0.0', { channel: 'dev' }),
      release('1.0.0'),
      release('3.0.0', { channel: 'beta' }),
    ];
    expect(channelOf({ product: 'edge', version: '1.0.0' }, all)).toBe('stable');
    expect(channelOf({ product: 'edge', version: '3.0.0' }, all)).toBe('beta');
    expect(channelOf({ product: 'edge', version: '0.1.0' }, all)).toBe('stable');
    expect(newestOn('edge', 'stable', all)).toBe('1.0.0');
    expect(newestOn('edge', 'dev', all)).toBe('3.0.0');
    expect(newestOn('gate', 'dev', all)).toBeNull();
  });
});
