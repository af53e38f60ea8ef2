import { shuffled } from '../kernel/index.js';
import { labelOf } from './cut-select.js';
import type { Member } from './cut-types.js';

/** The kinds of node in a scope. Members are named by their index. */
export interface Strata {
  /**
   * Up to `wanted` of `indexes`, each stratum once before any twice, those first that show the most
   * that was not yet seen. Whoever `hasRoom` refuses is passed over. Inside a stratum the given
   * order counts, between equal strata `seed` decides.
   */
  spread(
    indexes: readonly number[],
    wanted: number,
    hasRoom: (index: number) => boolean,
    seed: string,
  ): number[];
}

type Trait = string | null | undefined;

/**
 * Reads the strata off `members`: two are in one stratum when os, arch, version and every label of `keys`
 * agree. A label that is missing is a value too.
 */
export function strataOf(members: readonly Member[], keys: readonly string[]): Strata {
  const kinds: readonly ((member: Member) => Trait)[] = [
    ({ os }) => os,
    ({ arch }) => arch,
    ({ fromVersion }) => fromVersion,
    ...keys.map((key) => (member: Member) => labelOf(member, key)),
  ];
  let traitCount = 0;
  let strata = members.map(() => 0);
  const traits = kinds.map((kind) => {
    const ids = numbered(members.map(kind));
    const first = traitCount;
    traitCount += largest(ids) + 1;
    // Pairs of small numbers as one number: a text for each member would cost more than all the rest.
    strata = numbered(strata.map((stratum, index) => stratum * members.length + (ids[index] ?? 0)));
    return ids.map((id) => first + id);
  });
  const stratumCount = largest(strata) + 1;
  const traitsOf = (index: number): number[] => traits.map((ids) => ids[index] ?? 0);

  return {
    spread(indexes, wanted, hasRoom, seed) {
      if (wanted < 1) return [];
      const queues = queuesOf(indexes, (index) => strata[index] ?? 0, stratumCount);
      const order = newestFirst(shuffled(queues.heads, seed), traitsOf, traitCount);
      return takeTurns(order, queues.next, wanted, hasRoom);
    },
  };
}

/** Each value as a number, equal for equal values, counted from 0 as they appear. */
function numbered(values: readonly (Trait | number)[]): number[] {
  const ids = new Map<Trait | number, number>();
  return values.map((value) => {
    const id = ids.get(value) ?? ids.size;
    ids.set(value, id);
    return id;
  });
}

const largest = (ids: readonly number[]): number => ids.reduce((a, b) => Math.max(a, b), -1);

const NONE = -1;

/** One queue a stratum, as a chain: who is first in each, and who comes after whom. */
function queuesOf(
  indexes: readonly number[],
  stratumOf: (index: number) => number,
  stratumCount: number,
): { readonly heads: readonly number[]; readonly next: (index: number) => number } {
  const heads: number[] = [];
  const tails = new Int32Array(stratumCount).fill(NONE);
  const after = new Int32Array(largest(indexes) + 1).fill(NONE);
  for (const index of indexes) {
    const stratum = stratumOf(index);
    const tail = tails[stratum] ?? NONE;
    if (tail === NONE) heads.push(index);
    else after[tail] = index;
    tails[stratum] = index;
  }
  return { heads, next: (index) => after[index] ?? NONE };
}

/**
 * The heads in an order in which each next one shows as many unseen traits as any left could. What a
 * stratum has to show only ever shrinks, so one pass for each possible number of traits is enough.
 */
function* newestFirst(
  heads: readonly number[],
  traitsOf: (index: number) => number[],
  traitCount: number,
): Generator<number> {
  const seen = new Uint8Array(traitCount);
  const waiting = new Map<number, number[]>();
  const kindCount = traitsOf(0).length;
  for (let unseen = kindCount; unseen >= 0; unseen -= 1) {
    for (const head of unseen === kindCount ? heads : (waiting.get(unseen) ?? [])) {
      const traits = traitsOf(head);
      const left = traits.filter((trait) => seen[trait] === 0).length;
      if (left === unseen) {
        for (const trait of traits) seen[trait] = 1;
        yield head;
        continue;
      }
      const later = waiting.get(left);
      if (later === undefined) waiting.set(left, [head]);
      else later.push(head);
    }
  }
}

/** One of each queue in turn, until `wanted` are taken or all queues are empty. */
function takeTurns(
  heads: Iterable<number>,
  next: (index: number) => number,
  wanted: number,
  hasRoom: (index: number) => boolean,
): number[] {
  const taken: number[] = [];
  // The first round alone asks for the order of the strata, and only as far as it needs to.
  for (let round = heads; ;) {
    const following: number[] = [];
    for (const head of round) {
      let index = head;
      while (index !== NONE && !hasRoom(index)) index = next(index);
      if (index === NONE) continue;
      taken.push(index);
      if (taken.length >= wanted) return taken;
      following.push(next(index));
    }
    const open = following.filter((index) => index !== NONE);
    if (open.length === 0) return taken;
    round = open;
  }
}
