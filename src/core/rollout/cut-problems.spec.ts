import { describe, expect, it } from 'vitest';
import { problemsOfCut, type CutRules, type CutWave, type Member, type Selector } from './cut.js';

const fleet = (count: number, labelsOf: (i: number) => Record<string, string>): Member[] =>
  Array.from({ length: count }, (_, i) => ({
    nodeId: `nod_${i}`,
    groupId: 'grp_a',
    labels: labelsOf(i),
    os: 'linux',
    arch: 'x64',
    fromVersion: '1.0.0',
  }));

const percent = (value: number): Selector => ({ by: 'percent', percent: value });
const ring = (value: string): Selector => ({ by: 'ring', ring: value });
const rest: Selector = { by: 'rest' };
const wave = (selector: Selector, canaryCount = 0, name = JSON.stringify(selector)): CutWave => ({
  name,
  selector,
  canaryCount,
});
const rulesOf = (waves: readonly CutWave[], change: Partial<CutRules> = {}): CutRules => ({
  waves,
  seed: 'rol_a',
  domain: null,
  strata: [],
  ...change,
});
const staged = [wave(percent(10)), wave(percent(50)), wave(percent(100))];

describe('rules', () => {
  const scope = fleet(40, (i) => ({ ring: String(i % 3) }));
  const count = (value: number): Selector => ({ by: 'count', count: value });
  const group = (...groupIds: string[]): Selector => ({ by: 'group', groupIds });
  const labelled = (key: string): Selector => ({ by: 'label', key, value: '1' });
  const inDomain = (label: string, limit: { count: number } | { percent: number }): CutRules =>
    rulesOf(staged, { domain: { label, limit } });

  it.each<[string, CutRules]>([
    ['percents up to 100', rulesOf(staged)],
    ['two counts', rulesOf([wave(count(2), 0, 'a'), wave(count(2), 0, 'b'), wave(rest)])],
    [
      'rings and a rest for nobody',
      rulesOf([...['0', '1', '2'].map((n) => wave(ring(n))), wave(rest)]),
    ],
    ['a percent before the rest', rulesOf([wave(percent(5), 3), wave(rest)])],
    ['a percent before a ring', rulesOf([wave(percent(5)), wave(ring('1'))])],
    ['a limit', inDomain('site', { percent: 25 })],
  ])('without a fault have no problems: %s', (_, rules) => {
    expect(problemsOfCut(rules, scope)).toEqual([]);
  });

  it.each<[string, CutRules, string, string]>([
    ['no waves', rulesOf([]), 'waves', 'no waves'],
    [
      'too many waves',
      rulesOf([...Array.from({ length: 100 }, (_, i) => wave(count(1), 0, `${i}`)), wave(rest)]),
      'waves',
      'more than 100',
    ],
    [
      'a percent that does not rise',
      rulesOf([wave(percent(20), 0, 'a'), wave(percent(20), 0, 'b'), wave(rest)]),
      'waves.1.selector.percent',
      'more than 20',
    ],
    [
      'an end below 100',
      rulesOf([wave(percent(20)), wave(count(3))]),
      'waves.0.selector.percent',
      '100',
    ],
    [
      'a percent of nothing',
      rulesOf([wave(percent(0)), wave(rest)]),
      'waves.0.selector.percent',
      'above 0',
    ],
    [
      'too many percents',
      rulesOf([wave(percent(101)), wave(rest)]),
      'waves.0.selector.percent',
      'at most 100',
    ],
    [
      'a count of nothing',
      rulesOf([wave(count(0)), wave(rest)]),
      'waves.0.selector.count',
      'at least 1',
    ],
    ['an empty group', rulesOf([wave(group('grp_z')), wave(rest)]), 'waves.0.selector', 'empty'],
    [
      'a group after those that hold it',
      rulesOf([wave(group('grp_b', 'grp_a')), wave(group('grp_a'))]),
      'waves.1.selector',
      'empty: earlier',
    ],
    [
      'a wave after the rest',
      rulesOf([wave(rest), wave(count(3))]),
      'waves.1.selector',
      'empty: earlier',
    ],
    [
      'a pair of groups twice',
      rulesOf([wave(group('grp_a', 'grp_b')), wave(group('grp_b', 'grp_a'))]),
      'waves.1.selector',
      'overlapping',
    ],
    [
      'a ring twice',
      rulesOf([wave(ring('1')), wave({ by: 'label', key: 'ring', value: '1' })]),
      'waves.1.selector',
      'overlapping',
    ],
    [
      'a name twice',
      rulesOf([wave(ring('1'), 0, 'a'), wave(ring('2'), 0, 'a')]),
      'waves.1.name',
      'overlapping',
    ],
    ['no name', rulesOf([wave(rest, 0, ' ')]), 'waves.0.name', 'needs a name'],
    ['fewer than no canaries', rulesOf([wave(rest, -1)]), 'waves.0.canaryCount', 'canaries'],
    [
      'a label without a key',
      rulesOf([wave(labelled('')), wave(rest)]),
      'waves.0.selector.key',
      'key',
    ],
    [
      'a stratum without a key',
      rulesOf(staged, { strata: ['site', ''] }),
      'strata.1',
      'key is empty',
    ],
    ['a domain without a key', inDomain('', { count: 1 }), 'domain.label', 'key is empty'],
    ['a limit of no node', inDomain('site', { count: 0 }), 'domain.limit.count', 'at least 1'],
    ['a limit of no percent', inDomain('site', { percent: 0 }), 'domain.limit.percent', 'above 0'],
  ])('are told about %s', (_, rules, path, part) => {
    expect(problemsOfCut(rules, scope)).toContainEqual({
      path,
      message: expect.stringContaining(part) as string,
    });
  });

  it('are told when a domain would go nearly node by node for ever', () => {
    const site = fleet(1001, () => ({ site: 'oslo' }));
    const rules = inDomain('site', { count: 1 });
    expect(problemsOfCut(rules, site).map(({ path }) => path)).toEqual(['domain.limit']);
    expect(problemsOfCut(rules, site.slice(1))).toEqual([]);
  });
});
