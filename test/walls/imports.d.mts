import type { ICruiseOptions, IForbiddenRuleType } from 'dependency-cruiser';

export const SERVER_ORDER: readonly string[];
export function rulesFor(root: string): readonly IForbiddenRuleType[];
export function optionsFor(root: string): ICruiseOptions;
