import { labelOf, percentDown } from './cut-select.js';
import type { CutRules, Limit, Member } from './cut-types.js';

/** A limit as a number: a count as it is, percents of `total` rounded down, but at least 1. */
export const limitOf = (limit: Limit, total: number): number =>
  'count' in limit ? limit.count : percentDown(total, limit.percent);

/** The failure domains of a scope: who may go together. Members are named by their index. */
export interface Domains {
  /** How many turns the largest domain needs; 1 when nothing limits. */
  readonly turns: number;
  /** A new cut. The answer says whether it has room for a member, and if so keeps a place. */
  open(): (index: number) => boolean;
  /** Cuts for all of `indexes`, as few as the limits allow; each keeps the given order. */
  split(indexes: readonly number[]): number[][];
}

const UNLIMITED: Domains = {
  turns: 1,
  open: () => () => true,
  split: (indexes) => (indexes.length === 0 ? [] : [[...indexes]]),
};

/** Reads the domains off `members`, which stay named by their place in that list. */
export function domainsOf(members: readonly Member[], rule: CutRules['domain']): Domains {
  if (rule === null) return UNLIMITED;
  const sizes: number[] = [];
  const idOf = new Map<string, number>();
  const ids = members.map((member) => {
    const value = labelOf(member, rule.label);
    if (value === undefined) return null;
    const id = idOf.get(value) ?? sizes.length;
    idOf.set(value, id);
    sizes[id] = (sizes[id] ?? 0) + 1;
    return id;
  });
  const limits = sizes.map((size) => limitOf(rule.limit, size));
  /** Counts members as they come: the how-manieth of its domain each is, from 0. */
  const counter = (): ((id: number) => number) => {
    const counts = new Int32Array(sizes.length);
    return (id) => {
      const place = counts[id] ?? 0;
      counts[id] = place + 1;
      return place;
    };
  };
  const limit = (id: number): number => Math.max(1, Math.floor(limits[id] ?? 1));
  const open = (): ((index: number) => boolean) => {
    const count = counter();
    return (index) => {
      const id = ids[index] ?? null;
      return id === null || count(id) < limit(id);
    };
  };
  const split = (indexes: readonly number[]): number[][] => {
    const count = counter();
    const cuts: number[][] = [];
    for (const index of indexes) {
      const id = ids[index] ?? null;
      // Known at once, so that a domain of thousands does not mean thousands of looks at each member.
      const turn = id === null ? 0 : Math.floor(count(id) / limit(id));
      (cuts[turn] ??= []).push(index);
    }
    return cuts;
  };
  const turns = sizes.reduce((most, size, id) => Math.max(most, Math.ceil(size / limit(id))), 1);
  return { turns, open, split };
}
