import { domainsOf } from './cut-domains.js';
import { fits, isExplicit, wantsAll } from './cut-select.js';
import type { CutRules, CutWave, Limit, Member, Selector } from './cut-types.js';

/** More waves than anybody can watch are a mistake in the request. */
export const WAVES_MAX = 100;
/** A domain limit that would cut one domain into more turns than this is a mistake too. */
export const TURNS_MAX = 1000;

interface Problem {
  /** Where in the rules, e.g. `waves.2.selector.percent`. */
  readonly path: string;
  readonly message: string;
}

/**
 * What is wrong with rules for this scope: one problem a place, a sentence each. Empty when they may
 * be used. A wave that others leave nobody is told `empty`, two of one name or selector `overlapping`.
 */
export const problemsOfCut = (rules: CutRules, members: readonly Member[]): readonly Problem[] =>
  problemsOf(rules, members);

/** What is wrong with rules whatever the scope is: all that can be told of a plan that is only stored. */
export const problemsOfRules = (rules: CutRules): readonly Problem[] => problemsOf(rules, null);

function problemsOf(rules: CutRules, members: readonly Member[] | null): readonly Problem[] {
  const { waves } = rules;
  const problems: Problem[] = [];
  if (waves.length === 0) problems.push({ path: 'waves', message: 'there are no waves' });
  if (waves.length > WAVES_MAX) {
    problems.push({ path: 'waves', message: `there are more than ${WAVES_MAX} waves` });
    return problems;
  }
  waves.forEach((wave, index) => {
    for (const { path, message } of problemsOfWave(wave)) {
      problems.push({ path: `waves.${index}.${path}`, message });
    }
  });
  problems.push(
    ...overlapping(waves),
    ...percentsOutOfOrder(waves),
    ...(members === null ? [] : emptyWaves(waves, members)),
    ...problemsOfDomain(rules, members ?? []),
  );
  rules.strata.forEach((key, index) => {
    if (key === '') problems.push({ path: `strata.${index}`, message: 'a label key is empty' });
  });
  const isFirst = ({ path }: Problem, index: number): boolean =>
    problems.findIndex((problem) => problem.path === path) === index;
  return problems.filter(isFirst);
}

const isPercent = (value: number): boolean => value > 0 && value <= 100;
const isCount = (value: number): boolean => Number.isInteger(value) && value >= 1;
const PERCENT_MESSAGE = 'a percent is above 0 and at most 100';
const COUNT_MESSAGE = 'a count is a whole number of at least 1';

function problemsOfWave({ name, selector, canaryCount }: CutWave): Problem[] {
  const problems: Problem[] = [];
  if (name.trim() === '') problems.push({ path: 'name', message: 'a wave needs a name' });
  if (selector.by === 'percent' && !isPercent(selector.percent)) {
    problems.push({ path: 'selector.percent', message: PERCENT_MESSAGE });
  }
  if (selector.by === 'count' && !isCount(selector.count)) {
    problems.push({ path: 'selector.count', message: COUNT_MESSAGE });
  }
  if (selector.by === 'label' && selector.key === '') {
    problems.push({ path: 'selector.key', message: 'a label key is empty' });
  }
  if (!Number.isInteger(canaryCount) || canaryCount < 0) {
    const message = 'the number of canaries is a whole number, 0 for none';
    problems.push({ path: 'canaryCount', message });
  }
  return problems;
}

/** Two waves with one name cannot be told apart; of two with one selector, the second gets nobody. */
function overlapping(waves: readonly CutWave[]): Problem[] {
  const problems: Problem[] = [];
  const names = new Map<string, number>();
  const selectors = new Map<string, number>();
  waves.forEach(({ name, selector }, index) => {
    const named = names.get(name);
    if (named === undefined) names.set(name, index);
    else {
      const message = `overlapping: wave ${named + 1} has the same name`;
      problems.push({ path: `waves.${index}.name`, message });
    }
    const key = meaningOf(selector);
    if (key === null) return;
    const same = selectors.get(key);
    if (same === undefined) selectors.set(key, index);
    else {
      const message = `overlapping: wave ${same + 1} selects the same nodes`;
      problems.push({ path: `waves.${index}.selector`, message });
    }
  });
  return problems;
}

/** Equal for selectors that fit the same nodes. Null for percents and counts: those may come again. */
function meaningOf(selector: Selector): string | null {
  switch (selector.by) {
    case 'group':
      return JSON.stringify(['group', ...[...new Set(selector.groupIds)].sort()]);
    case 'label':
      return JSON.stringify(['label', selector.key, selector.value]);
    case 'ring':
      return JSON.stringify(['label', 'ring', selector.ring]);
    case 'rest':
      return 'rest';
    case 'percent':
    case 'count':
      return null;
  }
}

function percentsOutOfOrder(waves: readonly CutWave[]): Problem[] {
  const problems: Problem[] = [];
  let last: { readonly percent: number; readonly index: number } | null = null;
  for (const [index, { selector }] of waves.entries()) {
    if (selector.by !== 'percent') continue;
    const { percent } = selector;
    if (last !== null && percent <= last.percent) {
      const message = `percents are cumulative, so this must be more than ${last.percent}`;
      problems.push({ path: `waves.${index}.selector.percent`, message });
    }
    last = { percent, index };
  }
  if (last === null || last.percent === 100) return problems;
  const goesOn = waves
    .slice(last.index + 1)
    .some(({ selector }) => selector.by === 'rest' || isExplicit(selector));
  if (!goesOn) {
    const message = 'the last percent must be 100, or a wave for the rest must follow';
    problems.push({ path: `waves.${last.index}.selector.percent`, message });
  }
  return problems;
}

/** Waves that get nobody, whatever the seed. One for the rest may: it is there to be safe. */
function emptyWaves(waves: readonly CutWave[], members: readonly Member[]): Problem[] {
  const problems: Problem[] = [];
  let free = members;
  waves.forEach(({ selector }, index) => {
    const path = `waves.${index}.selector`;
    const isFit = fits(selector);
    if (isExplicit(selector) && !members.some(isFit)) {
      problems.push({ path, message: 'empty: no node in scope is selected' });
    } else if (selector.by !== 'rest' && members.length > 0 && !free.some(isFit)) {
      problems.push({ path, message: 'empty: earlier waves take every node that is selected' });
    }
    if (wantsAll(selector)) free = free.filter((member) => !isFit(member));
  });
  return problems;
}

function problemsOfDomain({ domain }: CutRules, members: readonly Member[]): Problem[] {
  if (domain === null) return [];
  const problems: Problem[] = [];
  if (domain.label === '') problems.push({ path: 'domain.label', message: 'a label key is empty' });
  const ofLimit = problemsOfLimit(domain.limit);
  problems.push(...ofLimit);
  if (ofLimit.length === 0 && domainsOf(members, domain).turns > TURNS_MAX) {
    const message = `a domain would take more than ${TURNS_MAX} waves: the limit is too low`;
    problems.push({ path: 'domain.limit', message });
  }
  return problems;
}

function problemsOfLimit(limit: Limit): Problem[] {
  if ('count' in limit) {
    return isCount(limit.count) ? [] : [{ path: 'domain.limit.count', message: COUNT_MESSAGE }];
  }
  return isPercent(limit.percent)
    ? []
    : [{ path: 'domain.limit.percent', message: PERCENT_MESSAGE }];
}
