import { cruise, type ICruiseResult } from 'dependency-cruiser';
import { beforeAll, describe, expect, it } from 'vitest';
import { optionsFor, rulesFor } from './imports.mjs';
import { FORBIDDEN_IMPORTS } from './planted.js';
import { plantedTree, ROOT } from './tree.js';

/**
 * Well under what there is (more than 1200). When the reader no longer sees an import, every rule
 * about it passes: so the number of imports that it sees must not fall.
 */
const IMPORTS_MIN = 1000;

async function importsOf(root: string): Promise<ICruiseResult> {
  const { output } = await cruise(['src', 'migrations', 'test'], optionsFor(root));
  if (typeof output === 'string') throw new Error(output);
  return output;
}

const violationsOf = (result: ICruiseResult): string[] =>
  result.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);

describe('imports', () => {
  let real: ICruiseResult;
  beforeAll(async () => {
    real = await importsOf(ROOT);
  }, 240_000);

  it('go one way', () => {
    expect(violationsOf(real)).toEqual([]);
    expect(real.summary.totalDependenciesCruised ?? 0).toBeGreaterThan(IMPORTS_MIN);
  });

  it('are all seen: of types, of packages, of the standard library', () => {
    const edges = real.modules.flatMap(({ source, dependencies }) =>
      dependencies.map(({ resolved }) => `${source} -> ${resolved}`),
    );
    const seen = (pattern: RegExp): number => edges.filter((edge) => pattern.test(edge)).length;
    expect(seen(/^src\/server\/rollouts\/.* -> src\/core\/rollout\/index\.ts$/)).toBeGreaterThan(0);
    expect(seen(/^src\/server\/.* -> node_modules\/@nestjs\/common\//)).toBeGreaterThan(10);
    expect(seen(/^migrations\/.* -> node_modules\/typeorm\//)).toBeGreaterThan(3);
    expect(seen(/^src\/core\/release\/.* -> crypto$/)).toBeGreaterThan(0);
    expect(seen(/^src\/agent\/.* -> fs(\/promises)?$/)).toBeGreaterThan(3);
  });

  it('that are forbidden are found, by every rule', { timeout: 240_000 }, async () => {
    const tree = plantedTree(FORBIDDEN_IMPORTS);
    try {
      const found = (await importsOf(tree.path)).summary.violations;
      const missed = FORBIDDEN_IMPORTS.filter(
        ({ rule, file }) => !found.some((each) => each.rule.name === rule && each.from === file),
      );
      // A circle is reported once, from either of its files.
      expect(missed.filter(({ rule }) => rule !== 'no-circular')).toEqual([]);
      expect(missed.length).toBeLessThanOrEqual(1);
    } finally {
      tree.remove();
    }
    const planted = new Set(FORBIDDEN_IMPORTS.map(({ rule }) => rule));
    const unplanted = rulesFor(ROOT).filter(({ name }) => !planted.has(name ?? ''));
    expect(unplanted.map(({ name }) => name)).toEqual([]);
  });
});
