import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shuffled } from '../kernel/index.js';
import {
  cutWaves,
  limitOf,
  type Cut,
  type CutRules,
  type CutWave,
  type Member,
  type Selector,
} from './cut.js';

/** By hand: each border rounded up, at least one node more than the one before. */
function waveSizes(total: number, percents: readonly number[]): number[] {
  const sizes: number[] = [];
  let covered = 0;
  for (const percent of percents) {
    const border = Math.ceil(Number(((total * percent) / 100).toFixed(9)));
    const end = Math.min(total, Math.max(border, covered + 1));
    if (end > covered) sizes.push(end - covered);
    covered = end;
  }
  return sizes;
}

const member = (nodeId: string, change: Partial<Member> = {}): Member => ({
  nodeId,
  groupId: 'grp_a',
  labels: {},
  os: 'linux',
  arch: 'x64',
  fromVersion: '1.0.0',
  ...change,
});
const fleet = (count: number, change: (i: number) => Partial<Member> = () => ({})): Member[] =>
  Array.from({ length: count }, (_, i) => member(`nod_${String(i).padStart(3, '0')}`, change(i)));

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
const sizes = (cuts: readonly Cut[]): string[] =>
  cuts.map(({ part, nodeIds }) => `${part} ${nodeIds.length}`);

const SITES = ['oslo', 'bonn', 'lima'];
const someMembers: fc.Arbitrary<Member[]> = fc
  .array(
    fc.record({
      groupId: fc.constantFrom('grp_a', 'grp_b', 'grp_c'),
      site: fc.option(fc.constantFrom(...SITES)),
      ring: fc.option(fc.constantFrom('1', '2')),
      os: fc.constantFrom('linux', 'windows'),
      arch: fc.constantFrom('x64', 'arm64'),
      fromVersion: fc.option(fc.constantFrom('1.0.0', '1.1.0')),
    }),
    { maxLength: 70, size: 'max' },
  )
  .map((list) =>
    list.map(({ site, ring: ringOf, ...own }, i) => {
      const labels = { ...(site && { site }), ...(ringOf && { ring: ringOf }) };
      return member(`nod_${i}`, { ...own, labels });
    }),
  );
const somePercents = fc
  .uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 4 })
  .map((list) => [...list.sort((a, b) => a - b), 100]);
const someSelectors: fc.Arbitrary<Selector[]> = fc.array(
  fc.oneof(
    fc.integer({ min: 1, max: 100 }).map(percent),
    fc.integer({ min: 1, max: 20 }).map((count): Selector => ({ by: 'count', count })),
    fc
      .subarray(['grp_a', 'grp_b', 'grp_c'])
      .map((groupIds): Selector => ({ by: 'group', groupIds })),
    fc.constantFrom(...SITES).map((value): Selector => ({ by: 'label', key: 'site', value })),
    fc.constantFrom('1', '2').map(ring),
    fc.constant(rest),
  ),
  { minLength: 1, maxLength: 6, size: 'max' },
);
const someLimit = fc.oneof(
  fc.integer({ min: 1, max: 6 }).map((count) => ({ count })),
  fc.integer({ min: 1, max: 100 }).map((value) => ({ percent: value })),
);
const someRules: fc.Arbitrary<CutRules> = fc.record({
  waves: fc
    .tuple(someSelectors, fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 6, maxLength: 6 }))
    .map(([selectors, canaries]) =>
      selectors.map((selector, i) => wave(selector, canaries[i], `wave ${i + 1}`)),
    ),
  seed: fc.string(),
  domain: fc.option(fc.record({ label: fc.constantFrom('site', 'ring'), limit: someLimit })),
  strata: fc.subarray(['site', 'ring']),
});

const fitsWave = (one: Member, { selector }: CutWave): boolean => {
  if (selector.by === 'group') return selector.groupIds.includes(one.groupId);
  if (selector.by === 'label') return one.labels[selector.key] === selector.value;
  if (selector.by === 'ring') return one.labels['ring'] === selector.ring;
  return true;
};
const wantsAllOf = ({ selector }: CutWave): boolean =>
  selector.by === 'percent' ? selector.percent === 100 : selector.by !== 'count';

describe('whatever the scope and the rules, a cut', () => {
  it('puts every member into one cut, or leaves it', () => {
    fc.assert(
      fc.property(someMembers, someRules, (members, rules) => {
        const { cuts, left } = cutWaves(members, rules);
        const all = [...cuts.flatMap(({ nodeIds }) => nodeIds), ...left];
        expect(all.sort()).toEqual(members.map(({ nodeId }) => nodeId).sort());
        expect(cuts.filter(({ nodeIds }) => nodeIds.length === 0)).toEqual([]);
        expect(new Set(cuts.map(({ name }) => name)).size).toBe(cuts.length);
      }),
    );
  });

  it('is the same again, in whatever order the members come', () => {
    fc.assert(
      fc.property(someMembers, someRules, fc.string(), (members, rules, order) => {
        expect(cutWaves(shuffled(members, order), rules)).toEqual(cutWaves(members, rules));
      }),
    );
  });

  it('follows the order of the waves: canaries, then the wave, then its overflows', () => {
    fc.assert(
      fc.property(someMembers, someRules, (members, rules) => {
        const { cuts } = cutWaves(members, rules);
        const keys = cuts.map(
          ({ of, part }) => `${of}${{ canary: 0, main: 1, overflow: 2 }[part]}`,
        );
        expect(keys).toEqual([...keys].sort());
        for (const { of, part, nodeIds } of cuts) {
          if (part === 'canary')
            expect(nodeIds.length).toBeLessThanOrEqual(rules.waves[of]!.canaryCount);
        }
      }),
    );
  });

  it('takes for a wave whoever fits it, and leaves nobody whom a wave wanted', () => {
    fc.assert(
      fc.property(someMembers, someRules, (members, rules) => {
        const { cuts, left } = cutWaves(members, rules);
        const waveOf = new Map(cuts.flatMap(({ of, nodeIds }) => nodeIds.map((id) => [id, of])));
        for (const one of members) {
          const of = waveOf.get(one.nodeId) ?? rules.waves.length;
          const first = rules.waves.findIndex((each) => wantsAllOf(each) && fitsWave(one, each));
          if (of < rules.waves.length) expect(fitsWave(one, rules.waves[of]!)).toBe(true);
          if (first >= 0) expect(of).toBeLessThanOrEqual(first);
        }
        expect(left).toEqual([...left].sort());
      }),
    );
  });

  it('never has more of a failure domain in one cut than its limit', () => {
    fc.assert(
      fc.property(someMembers, someRules, (members, rules) => {
        const { domain } = rules;
        if (domain === null) return;
        const valueOf = new Map(members.map((one) => [one.nodeId, one.labels[domain.label]]));
        const countOf = (ids: readonly string[], value: string): number =>
          ids.filter((id) => valueOf.get(id) === value).length;
        for (const value of [...SITES, '1', '2']) {
          const limit = limitOf(domain.limit, countOf([...valueOf.keys()], value));
          for (const { nodeIds } of cutWaves(members, rules).cuts) {
            expect(countOf(nodeIds, value)).toBeLessThanOrEqual(limit);
          }
        }
      }),
    );
  });

  it('covers every stratum with the first cut and with canaries, once before any twice', () => {
    const undivided = someRules.map((rules) => ({ ...rules, domain: null }));
    fc.assert(
      fc.property(someMembers, undivided, (members, rules) => {
        const traitsOf = (one: Member): string[] => [
          ...[`os ${one.os}`, `arch ${one.arch}`, `from ${one.fromVersion ?? ''}`],
          ...rules.strata.map((key) => `${key} ${one.labels[key] ?? ''}`),
        ];
        const traitsIn = (list: Member[]): number => new Set(list.flatMap(traitsOf)).size;
        const { cuts } = cutWaves(members, rules);
        const gone = new Set<string>();
        cuts.forEach(({ of, part, nodeIds }, index) => {
          const pool = members.filter(
            (one) => !gone.has(one.nodeId) && fitsWave(one, rules.waves[of]!),
          );
          nodeIds.forEach((id) => gone.add(id));
          if (index > 0 && part !== 'canary') return;
          const strata = Map.groupBy(pool, (one) => traitsOf(one).join());
          const taken = [...strata.values()].map((list) => ({
            took: list.filter(({ nodeId }) => nodeIds.includes(nodeId)).length,
            size: list.length,
          }));
          const most = Math.max(...taken.map(({ took }) => took));
          for (const { took, size } of taken)
            expect(took).toBeGreaterThanOrEqual(Math.min(size, most - 1));
          // The single traits too: each node shows a new one as long as there is one to show.
          const shown = pool.filter(({ nodeId }) => nodeIds.includes(nodeId));
          expect(traitsIn(shown)).toBeGreaterThanOrEqual(Math.min(traitsIn(pool), nodeIds.length));
        });
      }),
    );
  });
});

describe('percents', () => {
  it('give the sizes that a plan gives them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), somePercents, (total, percents) => {
        const { cuts } = cutWaves(
          fleet(total),
          rulesOf(percents.map((each) => wave(percent(each)))),
        );
        expect(cuts.map(({ nodeIds }) => nodeIds.length)).toEqual(waveSizes(total, percents));
      }),
    );
  });

  it('count whoever an earlier wave took', () => {
    const members = fleet(100, (i) => (i < 20 ? { labels: { ring: '0' } } : {}));
    const waves = [wave(ring('0')), wave(percent(50)), wave({ by: 'count', count: 5 }), wave(rest)];
    expect(sizes(cutWaves(members, rulesOf(waves)).cuts)).toEqual([
      'main 20',
      'main 30',
      'main 5',
      'main 45',
    ]);
  });

  it('that end below 100 leave the others', () => {
    const { cuts, left } = cutWaves(fleet(10), rulesOf([wave(percent(30))]));
    expect(sizes(cuts)).toEqual(['main 3']);
    expect(left).toHaveLength(7);
  });
});

describe('canaries', () => {
  it('are a wave of their own, before the wave from which they come', () => {
    const rules = rulesOf([wave(percent(50), 2, 'half'), wave(percent(100), 1, 'all')]);
    const { cuts } = cutWaves(fleet(10), rules);
    expect(cuts.map(({ name, nodeIds }) => [name, nodeIds.length])).toEqual([
      ['half canary', 2],
      ['half', 3],
      ['all canary', 1],
      ['all', 4],
    ]);
  });

  it('are the whole wave when it has no more than that', () => {
    const { cuts } = cutWaves(fleet(3), rulesOf([wave(rest, 5, 'rest')]));
    expect(sizes(cuts)).toEqual(['canary 3']);
  });

  it('show rare kinds of node among thousands of one kind', () => {
    const rare: Partial<Member>[] = [{ os: 'windows' }, { arch: 'arm64' }, { fromVersion: null }];
    const members = fleet(900, (i) => rare[i] ?? {});
    const { cuts } = cutWaves(members, rulesOf([wave(rest, 4)]));
    expect(cuts[0]!.nodeIds).toEqual(expect.arrayContaining(['nod_000', 'nod_001', 'nod_002']));
  });

  it('show every site, os and arch before any pair of them, when they are few', () => {
    const members = fleet(400, (i) => ({
      labels: { site: `site-${i % 10}` },
      os: i % 20 < 10 ? 'linux' : 'windows',
      arch: i % 40 < 20 ? 'x64' : 'arm64',
    }));
    const { cuts } = cutWaves(members, rulesOf([wave(rest, 10)], { strata: ['site'] }));
    const shown = members.filter(({ nodeId }) => cuts[0]!.nodeIds.includes(nodeId));
    expect(new Set(shown.map(({ labels }) => labels['site'])).size).toBe(10);
    expect(new Set(shown.map(({ os }) => os)).size).toBe(2);
    expect(new Set(shown.map(({ arch }) => arch)).size).toBe(2);
  });

  it('are of a rare kind as readily as of a common one', () => {
    const members = fleet(400, (i) => (i === 0 ? { os: 'windows' } : {}));
    const firsts = Array.from({ length: 60 }, (_, i) => {
      const { cuts } = cutWaves(members, rulesOf([wave(rest, 1)], { seed: `rol_${i}` }));
      return cuts[0]!.nodeIds[0];
    });
    const rare = firsts.filter((nodeId) => nodeId === 'nod_000').length;
    expect(rare).toBeGreaterThan(15);
    expect(rare).toBeLessThan(45);
  });
});

describe('a failure domain', () => {
  const members = fleet(30, (i) => (i < 20 ? { labels: { site: i < 12 ? 'oslo' : 'bonn' } } : {}));
  const limited = { domain: { label: 'site', limit: { count: 5 } } };

  it('that is full sends its nodes to a later wave of percents, and at the end to overflows', () => {
    const { cuts, left } = cutWaves(members, rulesOf([wave(percent(100), 0, 'all')], limited));
    expect(cuts.map(({ name, part, nodeIds }) => [name, part, nodeIds.length])).toEqual([
      ['all', 'main', 20],
      ['all (2)', 'overflow', 8],
      ['all (3)', 'overflow', 2],
    ]);
    expect(left).toEqual([]);
    const late = cutWaves(members, rulesOf([wave(percent(90)), wave(rest)], limited));
    expect(sizes(late.cuts)).toEqual(['main 20', 'main 8', 'overflow 2']);
  });

  it('that is full after the last count leaves its nodes', () => {
    const waves = [wave({ by: 'count', count: 30 })];
    const { cuts, left } = cutWaves(members, rulesOf(waves, limited));
    expect([sizes(cuts), left.length]).toEqual([['main 20'], 10]);
  });

  it('of each node without the label is the node itself', () => {
    const one = { domain: { label: 'constructor', limit: { count: 1 } } };
    expect(sizes(cutWaves(members, rulesOf([wave(rest)], one)).cuts)).toEqual(['main 30']);
  });

  it('never gives an overflow a name that is taken', () => {
    const waves = [
      wave({ by: 'label', key: 'site', value: 'oslo' }, 1, 'a'),
      wave(rest, 0, 'a (2)'),
    ];
    const { cuts } = cutWaves(members, rulesOf(waves, limited));
    expect(cuts.map(({ name }) => name)).toEqual([
      ...['a canary', 'a', 'a (3)', 'a (4)'],
      ...['a (2)', 'a (2) (2)'],
    ]);
  });

  it.each([
    [{ count: 3 }, 2, 3],
    [{ percent: 10 }, 30, 3],
    [{ percent: 10 }, 39, 3],
    [{ percent: 10 }, 9, 1],
    [{ percent: 0.57 }, 10_000, 57],
    [{ percent: 100 }, 7, 7],
  ])('with the limit %j of %i may lose %i', (limit, total, count) => {
    expect(limitOf(limit, total)).toBe(count);
  });
});

describe('a large fleet', () => {
  const many = fleet(100_000, (i) => ({
    labels: { site: `site-${i % 700}`, host: `host-${i}`, all: 'one' },
    fromVersion: `1.${i % 5}.0`,
  }));

  // A second or less each; one look at each member for each other would take minutes.
  it.each([
    ['sites', { label: 'site', limit: { percent: 10 } }, ['site']],
    ['domains of one node', { label: 'host', limit: { count: 1 } }, ['host']],
    ['one domain that goes node by node', { label: 'all', limit: { count: 1 } }, ['all']],
  ])('with %s is cut without looking at nodes in pairs', (_, domain, strata) => {
    const rules = rulesOf([wave(percent(10), 5), ...staged.slice(1)], { domain, strata });
    const startMs = performance.now();
    const { cuts } = cutWaves(many, rules);
    expect(performance.now() - startMs).toBeLessThan(10_000);
    expect(cuts.reduce((sum, { nodeIds }) => sum + nodeIds.length, 0)).toBe(many.length);
  });
});

it('refuses a node that comes twice as a mistake of ours', () => {
  expect(() => cutWaves([member('a'), member('a')], rulesOf(staged))).toThrow('cut twice');
});
