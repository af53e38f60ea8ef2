import { describe, expect, it } from 'vitest';
import { PROBE_BASE_MS, PROBE_MS_MAX, SOCKET_STEADY_MS, Ways, type WaysOptions } from './ways.js';

const A = 'https://a.example';
const B = 'https://b.example';
const ways = (change: Partial<WaysOptions> = {}): Ways =>
  new Ways({ origins: [A], transport: 'auto', random: () => 0.5, ...change });
const told = (of: Ways): string => {
  const { transport, origin } = of.next();
  return `${transport} ${origin.slice(8, 9)}`;
};
/** Tries that all fail; what was tried. */
const failing = (of: Ways, count: number): string[] =>
  Array.from({ length: count }, () => {
    const tried = told(of);
    of.failed(of.next(), true);
    return tried;
  });

describe('the ways to the manager', () => {
  it('begin with the socket, and after three failures both have their turn', () => {
    expect(failing(ways(), 7)).toEqual([
      ...['socket a', 'socket a', 'socket a'],
      ...['poll a', 'socket a', 'poll a', 'socket a'],
    ]);
  });

  it('go round the addresses', () => {
    expect(failing(ways({ origins: [A, B] }), 8)).toEqual([
      ...['socket a', 'socket b', 'socket a', 'socket b'],
      ...['socket a', 'poll a', 'socket b', 'poll b'],
    ]);
  });

  it('stay with the address that worked', () => {
    const both = ways({ origins: [A, B] });
    both.failed(both.next(), true);
    both.welcomed(both.next());
    both.ended({ origin: B, transport: 'socket' }, { lastedMs: 1, isCut: false });
    expect(told(both)).toBe('socket b');
  });

  it('do not blame the socket for what the manager itself refused', () => {
    const one = ways();
    for (let index = 0; index < 10; index += 1) one.failed(one.next(), false);
    expect(told(one)).toBe('socket a');
  });

  it('take a welcome as proof that the socket works', () => {
    const one = ways();
    failing(one, 2);
    one.welcomed(one.next());
    expect(failing(one, 3)).toEqual(['socket a', 'socket a', 'socket a']);
    expect(told(one)).toBe('poll a');
  });

  it.each([
    ['cut three times in a row', [1, 1, 1], true, 'poll a'],
    ['closed by the manager, however often', [1, 1, 1, 1], false, 'socket a'],
    ['cut now and then', [1, 1, SOCKET_STEADY_MS, 1, 1], true, 'socket a'],
    ['cut after a good while', Array<number>(9).fill(SOCKET_STEADY_MS), true, 'socket a'],
  ])('a socket that is %s', (_what, lives, isCut, next) => {
    const one = ways();
    for (const lastedMs of lives) {
      const way = one.next();
      one.welcomed(way);
      one.ended(way, { lastedMs, isCut });
    }
    expect(told(one)).toBe(next);
  });

  it('a socket that came back and is cut again is not trusted three times more', () => {
    const one = ways();
    const socket = { origin: A, transport: 'socket' } as const;
    for (let index = 0; index < 4; index += 1) {
      one.welcomed(socket);
      one.ended(socket, { lastedMs: 1_000, isCut: true });
    }
    expect(told(one)).toBe('poll a');
    one.welcomed(socket);
    one.ended(socket, { lastedMs: SOCKET_STEADY_MS, isCut: true });
    expect(told(one)).toBe('socket a');
  });

  it.each([
    ['socket', ['socket a', 'socket a', 'socket a', 'socket a', 'socket a']],
    ['poll', ['poll a', 'poll a', 'poll a', 'poll a', 'poll a']],
  ] as const)('are one only where the configuration says %s', (transport, tried) => {
    expect(failing(ways({ transport }), 5)).toEqual(tried);
    expect(ways({ transport }).better({ origin: A, transport })).toBeNull();
  });

  it('say when another one is at hand at once', () => {
    const one = ways();
    const answers = Array.from({ length: 5 }, () => one.failed(one.next(), true));
    // The third failure opens the way of polls.
    expect(answers).toEqual([false, false, true, false, false]);
    const both = ways({ origins: [A, B] });
    expect([both.failed(both.next(), true), both.failed(both.next(), true)]).toEqual([true, false]);
  });
});

describe('a better way', () => {
  const better = (of: Ways, origin: string, transport: 'socket' | 'poll', times: number) =>
    Array.from({ length: times }, () => {
      const way = of.better({ origin, transport });
      of.probed();
      return way === null ? 'none' : `${way.transport} ${way.origin.slice(8, 9)}`;
    });

  it('is a socket before a poll, and an address that stands before', () => {
    expect(better(ways(), A, 'socket', 1)).toEqual(['none']);
    expect(better(ways(), A, 'poll', 2)).toEqual(['socket a', 'socket a']);
    const both = { origins: [A, B] };
    expect(better(ways(both), A, 'socket', 1)).toEqual(['none']);
    expect(better(ways(both), B, 'socket', 2)).toEqual(['socket a', 'socket a']);
    expect(better(ways(both), B, 'poll', 4)).toEqual([
      ...['socket a', 'socket b', 'poll a'],
      'socket a',
    ]);
    expect(better(ways({ ...both, transport: 'poll' }), B, 'poll', 1)).toEqual(['poll a']);
  });

  it('is looked for less and less often, until a socket has lived', () => {
    const one = ways();
    expect(one.probeInMs()).toBe(PROBE_BASE_MS);
    for (let index = 0; index < 20; index += 1) one.probed();
    expect(one.probeInMs()).toBe(PROBE_MS_MAX);
    one.ended({ origin: A, transport: 'socket' }, { lastedMs: SOCKET_STEADY_MS, isCut: true });
    expect(one.probeInMs()).toBe(PROBE_BASE_MS);
  });
});
