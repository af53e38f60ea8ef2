import type { Call } from '../../../client/index.js';

export type Request = Call<'rollouts.create'>['body'];
export type Terms = Call<'plans.create'>['body']['terms'];
export type Strategy = NonNullable<Request['strategy']>;
export type Channel = 'stable' | 'beta' | 'dev';
export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Day = (typeof DAYS)[number];

/** A maintenance window as it is typed. */
export interface WindowDraft {
  readonly days: readonly Day[];
  readonly start: string;
  readonly hours: string;
  readonly timeZone: string;
}
/** What may go wrong in a wave, as it is typed. */
export interface LimitsDraft {
  readonly failures: string;
  readonly offline: string;
  readonly silent: string;
}
export type SelectorKind = 'percent' | 'count' | 'group_id' | 'label' | 'ring' | 'rest';
/** A ring or a wave as it is typed. */
export interface PartDraft {
  readonly key: number;
  readonly name: string;
  readonly kind: SelectorKind;
  /** What the kind takes; a label as `key=value`. */
  readonly value: string;
  /** None: at any time. A ring has one at most. */
  readonly windows: readonly WindowDraft[];
  readonly waitHours: string;
  readonly canaries: string;
  readonly approvals: string;
  /** Of a wave; empty: as the terms say. */
  readonly settleMinutes: string;
  /** Of a wave; null: as the terms say. */
  readonly limits: LimitsDraft | null;
  /** Of a wave, as the manager has it; the form takes it away, and sets none. */
  readonly notBefore: string | null;
}

/** The whole form as it is typed: texts, so that nothing that was typed is lost on the way. */
export interface PlanDraft extends LimitsDraft {
  /** A stored plan that it goes by; empty: by the terms below. */
  readonly planId: string;
  readonly product: string;
  readonly version: string;
  readonly channel: Channel;
  readonly groupId: string;
  readonly subgroups: boolean;
  readonly labels: string;
  readonly nodes: string;
  readonly exclude: string;
  readonly strategy: Strategy;
  readonly percents: string;
  readonly step: string;
  readonly canary: string;
  readonly parts: readonly PartDraft[];
  readonly order: 'sequential' | 'independent';
  readonly donePercent: string;
  readonly startVersion: string;
  readonly settleMinutes: string;
  readonly deadlineMinutes: string;
  readonly maxUnavailable: string;
  readonly applyAfter: string;
  readonly expiresHours: string;
  readonly spreadMinutes: string;
  readonly domainLabel: string;
  readonly domainMax: string;
  readonly strata: string;
}

/** What is drafted, and how a part of it is changed. */
export interface Drafting {
  readonly draft: PlanDraft;
  readonly change: (change: Partial<PlanDraft>) => void;
  /** Why the manager did not take it; each field shows its own part. */
  readonly error: Error | null;
  /** To be stored for releases to come: what belongs to one release is not asked for. */
  readonly isStored?: boolean;
}

/** What the manager takes when nothing is said; see `CreateRollout`. */
export const EMPTY: PlanDraft = {
  planId: '',
  product: '',
  version: '',
  channel: 'stable',
  groupId: '',
  subgroups: true,
  labels: '',
  nodes: '',
  exclude: '',
  strategy: 'staged',
  percents: '10, 50, 100',
  step: '25',
  canary: '10',
  parts: [],
  order: 'sequential',
  donePercent: '90',
  startVersion: '',
  settleMinutes: '5',
  deadlineMinutes: '30',
  failures: '0',
  offline: '0',
  silent: '50%',
  maxUnavailable: '',
  applyAfter: '',
  expiresHours: '',
  spreadMinutes: '0',
  domainLabel: '',
  domainMax: '1',
  strata: '',
};

let nextKey = 1;
export const partDraft = (change: Partial<PartDraft> = {}): PartDraft => ({
  key: nextKey++,
  name: '',
  kind: 'percent',
  value: '10',
  windows: [],
  waitHours: '0',
  canaries: '0',
  approvals: '0',
  settleMinutes: '',
  limits: null,
  notBefore: null,
  ...change,
});
export const windowDraft = (): WindowDraft => ({
  days: ['mon', 'tue', 'wed', 'thu'],
  start: '22:00',
  hours: '4',
  timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
});

/** Parts that make a sensible plan to begin from. */
export const firstParts = (strategy: Strategy): readonly PartDraft[] =>
  strategy === 'scheduled'
    ? [
        partDraft({
          name: 'early',
          kind: 'percent',
          value: '10',
          windows: [windowDraft()],
          canaries: '1',
        }),
        partDraft({
          name: 'everybody',
          kind: 'rest',
          value: '',
          windows: [windowDraft()],
          waitHours: '24',
        }),
      ]
    : [
        partDraft({ name: 'first', kind: 'count', value: '1' }),
        partDraft({ name: 'the rest', kind: 'rest', value: '', approvals: '1' }),
      ];

const list = (text: string): string[] => text.split(/[\s,]+/).filter((one) => one !== '');
const limit = (text: string): number | string => {
  const trimmed = text.replace(/\s/g, '');
  return trimmed.endsWith('%') ? trimmed : Number(trimmed);
};
/** Empty: any amount. */
const limitOrAny = (text: string): number | string | null =>
  text.trim() === '' ? null : limit(text);
const seconds = (text: string, unit: number): number => Math.round(Number(text) * unit);
const optionalSeconds = (text: string, unit: number): number | null =>
  text.trim() === '' ? null : seconds(text, unit);

/** `site=fra, rack=r1` as labels; what has no `=` has an empty value. */
export const labelsIn = (text: string): Record<string, string> =>
  Object.fromEntries(
    list(text).map((pair) => {
      const at = pair.indexOf('=');
      return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );

type WindowAsked = NonNullable<NonNullable<Call<'schedules.create'>['body']>['window']>;

export const windowOf = ({ days, start, hours, timeZone }: WindowDraft): WindowAsked => ({
  days: [...days],
  start,
  duration_minutes: seconds(hours, 60),
  time_zone: timeZone,
});

function selectorOf({ kind, value }: PartDraft): object {
  switch (kind) {
    case 'percent':
    case 'count':
      return { [kind]: Number(value) };
    case 'group_id':
    case 'ring':
      return { [kind]: value };
    case 'label': {
      const [key = '', ...rest] = value.split('=');
      return { label: { key: key.trim(), value: rest.join('=').trim() } };
    }
    case 'rest':
      return { rest: true };
  }
}

const toleranceOf = ({ failures, offline, silent }: LimitsDraft): object => ({
  failures: limitOrAny(failures),
  offline: limitOrAny(offline),
  silent: limitOrAny(silent),
});

const settleOf = ({ settleMinutes }: Pick<PlanDraft, 'settleMinutes'>): number =>
  seconds(settleMinutes, 60);

/** What only some strategies take. */
function partsOf(draft: PlanDraft): object {
  switch (draft.strategy) {
    case 'staged':
      return { wave_percents: list(draft.percents).map((one) => Number(one.replace('%', ''))) };
    case 'rolling':
      return { step_percent: Number(draft.step) };
    case 'canary':
      return { canary_percent: Number(draft.canary) };
    case 'immediate':
      return {};
    case 'scheduled':
      return {
        rings: draft.parts.map((part) => ({
          name: part.name,
          ...selectorOf(part),
          window: part.windows.map(windowOf)[0] ?? null,
          wait_hours: Number(part.waitHours),
          canary_count: Number(part.canaries),
        })),
        order: draft.order,
        done_percent: Number(draft.donePercent),
        start_version: draft.startVersion.trim() === '' ? null : draft.startVersion.trim(),
      };
    case 'custom':
      return {
        waves: draft.parts.map((part) => ({
          ...(part.name.trim() === '' ? {} : { name: part.name }),
          ...selectorOf(part),
          canary_count: Number(part.canaries),
          settle_seconds: settleOf(part.settleMinutes.trim() === '' ? draft : part),
          tolerate: toleranceOf(part.limits ?? draft),
          approvals: Number(part.approvals),
          windows: part.windows.map(windowOf),
          wait_hours: Number(part.waitHours),
          not_before: part.notBefore,
        })),
      };
  }
}

/** The plan alone, for any release. */
export function termsOf(draft: PlanDraft): Terms {
  const whole: Terms & { readonly start_version?: unknown } = {
    ...commonOf(draft),
    ...partsOf(draft),
  };
  const { start_version: _ofOneRelease, ...terms } = whole;
  return terms;
}

const commonOf = (draft: PlanDraft) => ({
  strategy: draft.strategy,
  settle_seconds: settleOf(draft),
  node_deadline_seconds: seconds(draft.deadlineMinutes, 60),
  tolerate: toleranceOf(draft),
  max_unavailable: limitOrAny(draft.maxUnavailable),
  expires_after_seconds: optionalSeconds(draft.expiresHours, 3_600),
  spread_seconds: seconds(draft.spreadMinutes, 60),
  domain:
    draft.domainLabel.trim() === ''
      ? null
      : { label: draft.domainLabel.trim(), max: limit(draft.domainMax) },
  strata: list(draft.strata),
});

/** The request as the manager takes it. Whether it makes sense the manager says, field by field. */
export function requestOf(draft: PlanDraft): Request {
  const nodes = list(draft.nodes);
  const request: Request = {
    product: draft.product,
    version: draft.version,
    channel: draft.channel,
    scope: {
      group_id: draft.groupId,
      subgroups: draft.subgroups,
      labels: labelsIn(draft.labels),
      node_ids: nodes.length === 0 ? null : nodes,
      exclude_node_ids: list(draft.exclude),
    },
    apply_after: draft.applyAfter === '' ? null : new Date(draft.applyAfter).toISOString(),
    ...(draft.planId === ''
      ? { ...commonOf(draft), ...partsOf(draft) }
      : { plan_id: draft.planId }),
  };
  // Texts that are no numbers become null in JSON, and the manager says at which field.
  return request;
}
