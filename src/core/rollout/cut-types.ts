/** So many, or so much of a whole. Percents are above 0 and at most 100. */
export type Limit = { readonly count: number } | { readonly percent: number };

/** Which nodes a wave takes, of those that no earlier wave took. */
export type Selector =
  /** Until this much of the whole scope is covered: cumulative, rounded up, at least one node. */
  | { readonly by: 'percent'; readonly percent: number }
  /** That many more. */
  | { readonly by: 'count'; readonly count: number }
  /** A group with its subgroups, resolved by the caller. */
  | { readonly by: 'group'; readonly groupIds: readonly string[] }
  | { readonly by: 'label'; readonly key: string; readonly value: string }
  /** The label `ring`. */
  | { readonly by: 'ring'; readonly ring: string }
  | { readonly by: 'rest' };

/** A node in the scope of a rollout, as far as cutting cares. */
export interface Member {
  readonly nodeId: string;
  readonly groupId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly os: string;
  readonly arch: string;
  readonly fromVersion: string | null;
}

export interface CutWave {
  readonly name: string;
  readonly selector: Selector;
  /** So many of the wave become a wave of their own before it; 0 for none. */
  readonly canaryCount: number;
}

export interface CutRules {
  readonly waves: readonly CutWave[];
  /** The same seed cuts the same members in the same way, for ever. */
  readonly seed: string;
  /**
   * At most `limit` nodes with one value of this label are in one cut; percents are of the nodes in scope
   * with that value. A node without the label is a domain of its own.
   */
  readonly domain: { readonly label: string; readonly limit: Limit } | null;
  /** Label keys, besides os, arch and the version it comes from, that a canary should cover. */
  readonly strata: readonly string[];
}

/** One wave as it will run. */
export interface Cut {
  /** The name of its wave; canaries and overflows say so in it. No two cuts share a name. */
  readonly name: string;
  /** Index into `rules.waves`. */
  readonly of: number;
  readonly part: 'canary' | 'main' | 'overflow';
  /** Never empty. */
  readonly nodeIds: readonly string[];
}
