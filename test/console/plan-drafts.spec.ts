import { describe, expect, it } from 'vitest';
import { termsOf } from '../../src/console/pages/change/plan-draft.js';
import { planDifferences } from '../../src/console/pages/plans/differences.js';
import { planDrafted, termsAfter } from '../../src/console/pages/plans/plan-drafted.js';
import { PlanTerms, type Plan } from '../../src/protocol/api/index.js';

/** A plan that is opened in the form and saved is the plan that it was, but for what was changed. */

const NIGHT = { days: ['sat'], start: '22:00', duration_minutes: 100, time_zone: 'Asia/Tokyo' };
const NOON = { days: ['sun'], start: '12:00', duration_minutes: 60, time_zone: 'UTC' };
const COMMON = {
  settle_seconds: 100,
  node_deadline_seconds: 86_399,
  tolerate: { failures: 2, offline: null, silent: '12.5%' },
  max_unavailable: '10%',
  expires_after_seconds: 5_555_555,
  spread_seconds: 7,
  domain: { label: 'rack', max: '25%' },
  strata: ['site', 'rack'],
};
/** A wave that says the same as the terms around it. */
const AS_TERMS = { settle_seconds: COMMON.settle_seconds, tolerate: COMMON.tolerate };
const PLANS: readonly object[] = [
  {},
  { ...COMMON, strategy: 'staged', wave_percents: [0.5, 33.3, 100] },
  { ...COMMON, strategy: 'rolling', step_percent: 12.5 },
  { ...COMMON, strategy: 'canary', canary_percent: 0.1 },
  { ...COMMON, strategy: 'immediate' },
  {
    ...COMMON,
    ...{ strategy: 'scheduled', order: 'independent', done_percent: 99.5 },
    rings: [
      { name: 'early', percent: 12.5, window: NIGHT, wait_hours: 0.5, canary_count: 3 },
      { name: 'a label', label: { key: 'site', value: 'Frankfurt, hall = 2' } },
      { name: 'a ring', ring: 'slow lane' },
      { name: 'a group', group_id: 'grp_default' },
      { name: 'all', rest: true },
    ],
  },
  {
    ...COMMON,
    strategy: 'custom',
    waves: [
      { count: 2, settle_seconds: 3_601, windows: [NIGHT, NOON], approvals: 2 },
      { name: 'late', percent: 50, not_before: '2027-01-01T00:00:00.123Z', ...AS_TERMS },
      { name: 'all', rest: true, tolerate: { failures: null, offline: '5%', silent: 0 } },
    ],
  },
];
describe.each(PLANS.map((terms) => PlanTerms.parse(terms)))('$strategy', (stored) => {
  it('is the same after it was opened and saved', () => {
    expect(termsAfter(stored, planDrafted(stored))).toEqual(stored);
    // Of what the strategy takes, also when all of it comes from the form.
    const typed = PlanTerms.parse(termsOf(planDrafted(stored)));
    expect(PlanTerms.parse({ ...stored, ...typed })).toEqual(typed);
    for (const name of Object.keys(termsOf(planDrafted(stored))) as (keyof PlanTerms)[]) {
      expect([name, typed[name]]).toEqual([name, stored[name]]);
    }
  });

  it('changes in what was changed, and says so', () => {
    const draft = { ...planDrafted(stored), settleMinutes: '77' };
    const after = PlanTerms.parse(termsAfter(stored, draft));
    expect({ ...after, waves: [] }).toEqual({ ...stored, waves: [], settle_seconds: 4_620 });
    const plan = (terms: PlanTerms) => ({ name: 'x', note: '', terms }) as Plan;
    const labels = planDifferences(plan(stored), plan(after)).map(({ label }) => label);
    expect(labels.slice(0, 1)).toEqual(['Settle']);
    expect(planDifferences(plan(stored), plan(stored))).toEqual([]);
  });
});

it('another strategy takes nothing of the old one along', () => {
  const custom = PlanTerms.parse(PLANS.at(-1));
  const after = PlanTerms.parse(
    termsAfter(custom, { ...planDrafted(custom), strategy: 'immediate', parts: [] }),
  );
  expect(after).toMatchObject({ strategy: 'immediate', waves: [], settle_seconds: 100 });
});
