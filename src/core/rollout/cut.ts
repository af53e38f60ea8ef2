import { invariant, shuffled } from '../kernel/index.js';
import { domainsOf } from './cut-domains.js';
import { fits, quotaOf, wantsAll } from './cut-select.js';
import { strataOf } from './cut-strata.js';
import type { Cut, CutRules, CutWave, Member } from './cut-types.js';

export { limitOf } from './cut-domains.js';
export { problemsOfCut, problemsOfRules, TURNS_MAX, WAVES_MAX } from './cut-problems.js';
export type { Cut, CutRules, CutWave, Limit, Member, Selector } from './cut-types.js';

/**
 * Cuts a scope into waves. Depends on the rules and on who the members are, never on their order. Each
 * member is in one cut, or in `left` (sorted) when no wave selects it: its reason is `in_no_wave`.
 *
 * - A node that several waves select goes to the first of them. Percents count whoever an earlier wave
 *   took, as `waveSizes` does: at least one node a wave, and no wave without a node.
 * - The first cut and every canary show each stratum once before any twice, as far as there is room;
 *   all others follow the order of the seed.
 * - Who finds its domain full waits: for a later wave after a percent or a count, for an overflow
 *   `<name> (2)`, `<name> (3)`... right after a wave that wants all who fit it.
 *
 * The rules must have no problems (`problemsOfCut`); `members` must not hold a node twice.
 */
export function cutWaves(
  members: readonly Member[],
  rules: CutRules,
): { readonly cuts: readonly Cut[]; readonly left: readonly string[] } {
  const order = shuffled(sortedById(members), rules.seed);
  const idAt = (index: number): string => (order[index] as Member).nodeId;
  const domains = domainsOf(order, rules.domain);
  const strata = strataOf(order, rules.strata);
  const names = namesFor(rules.waves);
  const isTaken = new Uint8Array(order.length);
  const cuts: Cut[] = [];

  const add = (name: string, of: number, part: Cut['part'], indexes: readonly number[]): void => {
    for (const index of indexes) isTaken[index] = 1;
    cuts.push({ name, of, part, nodeIds: indexes.map(idAt) });
  };
  const notTaken = (indexes: readonly number[]): number[] =>
    indexes.filter((index) => isTaken[index] === 0);

  let free = order.map((_, index) => index);
  rules.waves.forEach((wave, of) => {
    const isFit = fits(wave.selector);
    const pool = free.filter((index) => isFit(order[index] as Member));
    const covered = order.length - free.length;
    const quota = Math.min(pool.length, quotaOf(wave.selector, order.length, covered));
    const spread = (from: readonly number[], wanted: number): number[] =>
      strata.spread(from, wanted, domains.open(), `${rules.seed}:strata:${of}`);

    const canary = spread(pool, Math.min(wave.canaryCount, quota));
    if (canary.length > 0) add(names.canary(wave), of, 'canary', canary);
    const rest = notTaken(pool);
    const wanted = quota - canary.length;
    const main = cuts.length === 0 ? spread(rest, wanted) : take(rest, wanted, domains.open());
    if (main.length > 0) add(wave.name, of, 'main', main);
    if (wantsAll(wave.selector)) {
      const overflows = domains.split(notTaken(rest));
      for (const overflow of overflows) add(names.overflow(wave), of, 'overflow', overflow);
    }
    free = notTaken(free);
  });
  return { cuts, left: free.map(idAt).sort() };
}

function sortedById(members: readonly Member[]): Member[] {
  const byId = new Map(members.map((member) => [member.nodeId, member]));
  invariant(byId.size === members.length, 'a node is cut twice');
  return [...byId.keys()].sort().map((nodeId) => byId.get(nodeId) as Member);
}

function take(
  indexes: readonly number[],
  wanted: number,
  hasRoom: (index: number) => boolean,
): number[] {
  const taken: number[] = [];
  for (const index of indexes) {
    if (taken.length >= wanted) break;
    if (hasRoom(index)) taken.push(index);
  }
  return taken;
}

/** Names for cuts that are not the main part of a wave, none of which a wave or another cut has. */
function namesFor(waves: readonly CutWave[]): {
  canary(wave: CutWave): string;
  overflow(wave: CutWave): string;
} {
  const used = new Set(waves.map(({ name }) => name));
  const lastOf = new Map<string, number>();
  const numbered = (base: string): string => {
    const number = (lastOf.get(base) ?? 1) + 1;
    lastOf.set(base, number);
    const name = `${base} (${number})`;
    if (used.has(name)) return numbered(base);
    used.add(name);
    return name;
  };
  return {
    canary({ name }) {
      const canary = `${name} canary`;
      if (used.has(canary)) return numbered(canary);
      used.add(canary);
      return canary;
    },
    overflow: ({ name }) => numbered(name),
  };
}
