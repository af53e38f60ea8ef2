import { isSame } from '../../app/same.js';
import {
  EMPTY,
  partDraft,
  termsOf,
  type LimitsDraft,
  type PartDraft,
  type PlanDraft,
  type SelectorKind,
  type Terms,
  type WindowDraft,
} from '../change/plan-draft.js';
import type { Plan, Schedule } from './plan-words.js';

type StoredTerms = Plan['terms'];
type Part = StoredTerms['waves'][number] | StoredTerms['rings'][number];
type Limit = number | string | null;

/** In minutes or hours, as short as says it to the second. */
function inUnits(seconds: number, unit: number): string {
  const digits = [0, 1, 2, 3, 4, 5].find(
    (some) => Math.round(Number((seconds / unit).toFixed(some)) * unit) === seconds,
  );
  return String(Number((seconds / unit).toFixed(digits ?? 6)));
}
const limitText = (limit: Limit): string => (limit === null ? '' : String(limit));
const limitsText = (given: StoredTerms['tolerate']): LimitsDraft => ({
  failures: limitText(given.failures),
  offline: limitText(given.offline),
  silent: limitText(given.silent),
});

export const windowDrafted = (window: NonNullable<Schedule['window']>): WindowDraft => ({
  days: window.days,
  start: window.start,
  hours: inUnits(window.duration_minutes, 60),
  timeZone: window.time_zone,
});

/** Who is in a ring or wave: the one selector that it has. */
export function selectorIn(part: Part): { readonly kind: SelectorKind; readonly value: string } {
  if (part.percent !== undefined) return { kind: 'percent', value: String(part.percent) };
  if (part.count !== undefined) return { kind: 'count', value: String(part.count) };
  if (part.group_id !== undefined) return { kind: 'group_id', value: part.group_id };
  if (part.ring !== undefined) return { kind: 'ring', value: part.ring };
  if (part.label === undefined) return { kind: 'rest', value: '' };
  return { kind: 'label', value: `${part.label.key}=${part.label.value}` };
}

function partDrafted(part: Part, terms: StoredTerms): PartDraft {
  const common = {
    ...selectorIn(part),
    name: part.name ?? '',
    waitHours: String(part.wait_hours),
    canaries: String(part.canary_count),
  };
  if (!('windows' in part)) {
    return partDraft({
      ...common,
      windows: part.window === null ? [] : [part.window].map(windowDrafted),
    });
  }
  return partDraft({
    ...common,
    windows: part.windows.map(windowDrafted),
    approvals: String(part.approvals),
    settleMinutes:
      part.settle_seconds === terms.settle_seconds ? '' : inUnits(part.settle_seconds, 60),
    limits: isSame(part.tolerate, terms.tolerate) ? null : limitsText(part.tolerate),
    notBefore: part.not_before,
  });
}

/** The form, filled with a stored plan. */
export function planDrafted(terms: StoredTerms): PlanDraft {
  const { strategy } = terms;
  const parts = strategy === 'scheduled' ? terms.rings : strategy === 'custom' ? terms.waves : [];
  return {
    ...EMPTY,
    strategy,
    percents: terms.wave_percents.join(', '),
    step: String(terms.step_percent),
    canary: String(terms.canary_percent),
    parts: parts.map((part) => partDrafted(part, terms)),
    order: terms.order,
    donePercent: String(terms.done_percent),
    ...limitsText(terms.tolerate),
    settleMinutes: inUnits(terms.settle_seconds, 60),
    deadlineMinutes: inUnits(terms.node_deadline_seconds, 60),
    maxUnavailable: limitText(terms.max_unavailable),
    expiresHours:
      terms.expires_after_seconds === null ? '' : inUnits(terms.expires_after_seconds, 3_600),
    spreadMinutes: inUnits(terms.spread_seconds, 60),
    domainLabel: terms.domain?.label ?? '',
    domainMax: limitText(terms.domain?.max ?? 1),
    strata: terms.strata.join(', '),
  };
}

/** The terms after what was changed in the form: the others stay as they are stored, to the letter. */
export function termsAfter(before: StoredTerms, draft: PlanDraft): Terms {
  const asked = termsOf(draft);
  if (draft.strategy !== before.strategy) return asked;
  const unchanged: Terms = termsOf(planDrafted(before));
  const changed = Object.entries(asked).filter(
    ([name, value]) => !isSame(value, unchanged[name as keyof Terms]),
  );
  return { ...before, ...Object.fromEntries(changed) };
}
