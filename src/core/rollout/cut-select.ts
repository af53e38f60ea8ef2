import type { Member, Selector } from './cut-types.js';

/** The value of a label, or undefined. Never something that every object inherits. */
export const labelOf = ({ labels }: Member, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

/** Whether a wave wants whoever fits, however many they are: then nobody of them is left over. */
export const wantsAll = (selector: Selector): boolean =>
  selector.by === 'percent' ? selector.percent >= 100 : selector.by !== 'count';

/** Whether a selector looks at what a node is, and not only at how many are covered. */
export const isExplicit = (selector: Selector): boolean =>
  selector.by === 'group' || selector.by === 'label' || selector.by === 'ring';

/** Which members a selector fits. Percents, counts and the rest fit everybody. */
export function fits(selector: Selector): (member: Member) => boolean {
  switch (selector.by) {
    case 'group': {
      const groupIds = new Set(selector.groupIds);
      return ({ groupId }) => groupIds.has(groupId);
    }
    case 'label':
      return (member) => labelOf(member, selector.key) === selector.value;
    case 'ring':
      return (member) => labelOf(member, 'ring') === selector.ring;
    case 'percent':
    case 'count':
    case 'rest':
      return () => true;
  }
}

// To a billionth, so that 10 % of 30 is 3 and not 3.0000000000000004.
const shareOf = (total: number, percent: number): number =>
  Number(((total * percent) / 100).toFixed(9));

/** `percent` of `total`, rounded down, but at least 1. */
export const percentDown = (total: number, percent: number): number =>
  Math.max(1, Math.floor(shareOf(total, percent)));

/** How many more a wave wants when `covered` of `total` nodes are in earlier waves. */
export function quotaOf(selector: Selector, total: number, covered: number): number {
  if (selector.by === 'count') return Math.min(selector.count, total - covered);
  if (selector.by !== 'percent') return total - covered;
  const border = Math.ceil(shareOf(total, selector.percent));
  return Math.min(total, Math.max(border, covered + 1)) - covered;
}
