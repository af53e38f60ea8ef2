import { z } from 'zod';
import { isShowable } from '../../core/people/index.js';
import { ROLLOUT_STATUSES } from '../../core/rollout/index.js';
import { Channel, ProductName, Version } from '../../core/release/index.js';
import { Id } from '../node/index.js';
import { FactorCode } from './people-schemas.js';

const Name = z.string().trim().min(1).max(128);
const Moment = z.iso.datetime();
const Count = z.int().min(0);
const WEEK_SECONDS = 7 * 86_400;
const Seconds = z.int().min(0).max(WEEK_SECONDS);

/** How many: a whole number, or a share of the whole such as `10%`. */
export const Limit = z.union([
  z.int().min(0).max(1_000_000),
  z
    .string()
    .regex(
      /^(100(\.0{1,6})?|\d{1,2}(\.\d{1,6})?)%$/,
      'take a number such as 3, or a share such as 10%',
    ),
]);
/** A limit of which nothing would ever pass makes no sense here. */
const LimitFromOne = Limit.refine((limit) => parseFloat(String(limit)) > 0, 'take 1 or more');

export const Day = z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']);
/** A maintenance window: local time in its zone, over midnight and over changes of the clock. */
export const Window = z.object({
  days: z.array(Day).min(1).max(7),
  start: z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'take a time such as 22:30'),
  duration_minutes: z
    .int()
    .min(1)
    .max(7 * 1_440),
  /** An IANA name such as `Europe/Berlin`. */
  time_zone: z.string().min(1).max(64).default('UTC'),
});

const LabelKey = z.string().trim().min(1).max(63);
const LabelValue = z.string().max(255);
/** Exactly one of these says which nodes a wave or ring takes, of those that are left. */
const SELECTORS = {
  percent: z.number().min(0.1).max(100).optional(),
  count: z.int().min(1).max(1_000_000).optional(),
  group_id: Id.optional(),
  label: z.object({ key: LabelKey, value: LabelValue }).optional(),
  ring: LabelValue.optional(),
  rest: z.literal(true).optional(),
};
const oneSelector = (given: Readonly<Record<string, unknown>>): boolean =>
  Object.keys(SELECTORS).filter((key) => given[key] !== undefined).length === 1;
const ONE_SELECTOR = {
  message: 'give exactly one of percent, count, group_id, label, ring, rest',
};

/** How much may go wrong in a wave before the rollout pauses; null means any amount. */
export const Tolerance = z.object({
  failures: Limit.nullable().default(0),
  offline: Limit.nullable().default(0),
  silent: Limit.nullable().default('50%'),
});

export const RingRequest = z
  .object({
    name: Name,
    ...SELECTORS,
    window: Window.nullable().default(null),
    wait_hours: z.number().min(0).max(720).default(0),
    canary_count: z.int().min(0).max(1_000).default(0),
  })
  .refine(oneSelector, ONE_SELECTOR);

export const WaveRequest = z
  .object({
    name: Name.optional(),
    ...SELECTORS,
    canary_count: z.int().min(0).max(1_000).default(0),
    settle_seconds: Seconds.default(300),
    tolerate: Tolerance.prefault({}),
    approvals: z.int().min(0).max(10).default(0),
    windows: z.array(Window).max(20).default([]),
    wait_hours: z.number().min(0).max(720).default(0),
    not_before: Moment.nullable().default(null),
  })
  .refine(oneSelector, ONE_SELECTOR);

const Percents = z.array(z.number().min(0.1).max(100)).min(1).max(50);

export const Strategy = z.enum(['staged', 'rolling', 'canary', 'immediate', 'scheduled', 'custom']);

/** How a release goes out, whatever release it is and wherever it goes: what a stored plan holds. */
export const PLAN_FIELDS = {
  strategy: Strategy.default('staged'),
  settle_seconds: Seconds.default(300),
  /** A node that says nothing for this long inside a wave is `silent`. */
  node_deadline_seconds: z.int().min(10).max(WEEK_SECONDS).default(1_800),
  tolerate: Tolerance.prefault({}),
  /** How many nodes of the scope may be down at once, whatever the cause. */
  max_unavailable: LimitFromOne.nullable().default(null),
  /** Nodes that are away can catch up for this long; then they are skipped. */
  expires_after_seconds: z
    .int()
    .min(60)
    .max(90 * 86_400)
    .nullable()
    .default(null),
  /** Swaps of one wave are spread over this time. */
  spread_seconds: Seconds.default(0),
  /** At most so many nodes with the same value of this label in one wave. */
  domain: z.object({ label: LabelKey, max: LimitFromOne }).nullable().default(null),
  /** Labels that the first nodes should cover, besides os, arch and the version they come from. */
  strata: z.array(LabelKey).max(8).default([]),
  /** `staged`: cumulative, rising, ending with 100. */
  wave_percents: Percents.default([10, 50, 100]),
  /** `rolling`: each step; the default is the closest peer's. */
  step_percent: z.number().min(0.1).max(100).default(25),
  /** `canary`: how many go first. */
  canary_percent: z.number().min(0.1).max(99).default(10),
  /** `scheduled`: one wave a ring. */
  rings: z.array(RingRequest).max(100).default([]),
  /** `independent`: each ring waits for its own window only. */
  order: z.enum(['sequential', 'independent']).default('sequential'),
  /** `scheduled`: a ring is done when so many of it have succeeded. */
  done_percent: z.number().min(1).max(100).default(90),
  /** `custom`: given. */
  waves: z.array(WaveRequest).max(100).default([]),
};

export const Scope = z.object({
  /** The group that the rollout belongs to: who may do it is decided there. */
  group_id: Id.default('grp_default'),
  subgroups: z.boolean().default(true),
  /** Only nodes with all of these labels. */
  labels: z.record(LabelKey, LabelValue).default({}),
  /** Only these. */
  node_ids: z.array(Id).min(1).max(10_000).nullable().default(null),
  exclude_node_ids: z.array(Id).max(10_000).default([]),
});

const RolloutFields = z.object({
  product: ProductName,
  scope: Scope.prefault({}),
  version: Version,
  channel: Channel.default('stable'),
  /** By a stored plan: its name, looked for in the group and then in those above it. */
  plan: Name.nullable().default(null),
  /** The same by its id. */
  plan_id: Id.nullable().default(null),
  apply_after: Moment.nullable().default(null),
  /** `scheduled`: what nodes that come later run until their ring opens. */
  start_version: Version.nullable().default(null),
  ...PLAN_FIELDS,
});

/**
 * A stored plan is taken as it is: a rollout that says "by plan careful, revision 3" is led by just that.
 * So what the plan says cannot be said beside it. Asked before defaults are put in.
 */
const byPlanAlone = <T extends z.ZodObject>(fields: T) =>
  z.preprocess((given: z.input<T>, { issues }) => {
    const asked: Readonly<Record<string, unknown>> =
      typeof given === 'object' && (given as unknown) !== null ? { ...given } : {};
    const named = ['plan', 'plan_id'].filter((key) => (asked[key] ?? null) !== null);
    const beside = Object.keys(PLAN_FIELDS).filter((key) => asked[key] !== undefined);
    const wrong = named.length === 2 ? ['plan_id'] : named.length === 1 ? beside : [];
    for (const key of wrong) {
      const message =
        key === 'plan_id' ? 'give plan or plan_id' : 'comes from the plan: leave it out';
      issues.push({ code: 'custom', path: [key], message, input: given, continue: true });
    }
    return given;
  }, fields);

export const CreateRollout = byPlanAlone(RolloutFields);
export type CreateRollout = z.infer<typeof CreateRollout>;

export const UpgradeGroup = byPlanAlone(RolloutFields.omit({ scope: true }));

export const UpgradeNode = z.object({
  version: Version,
  channel: Channel.default('stable'),
  /** May be left out when the node has one service only. */
  product: ProductName.optional(),
  /** Only when the node runs this version: otherwise somebody was faster. */
  expected_version: Version.optional(),
  /** Refused when the node is offline, instead of waiting for it. */
  only_online: z.boolean().default(false),
  /** How long the upgrade may wait for the node; null for a day. */
  expires_after_seconds: z
    .int()
    .min(60)
    .max(90 * 86_400)
    .nullable()
    .default(null),
  apply_after: Moment.nullable().default(null),
});

export const RolloutStatus = z.enum(ROLLOUT_STATUSES);
export const TargetState = z.enum([
  'pending',
  'offered',
  'accepted',
  'downloading',
  'staged',
  'swapping',
  'probation',
  'succeeded',
  'failed',
  'rolled_back',
  'silent',
  'skipped',
  'cancelled',
]);
export const Verdict = z.enum(['good', 'bad', 'unknown']);

export const Wave = z.object({
  index: Count,
  name: z.string(),
  ring: z.string(),
  part: z.enum(['canary', 'main', 'overflow']),
  status: z.enum(['pending', 'open', 'settling', 'passed', 'skipped']),
  reason: z.string(),
  /** When that could change by time alone. */
  until: Moment.nullable(),
  size: Count,
  verdict: Verdict,
  counts: z.partialRecord(TargetState, Count),
  opened_at: Moment.nullable(),
  ended_at: Moment.nullable(),
  approved_by: z.array(z.string()),
});
export const Skipped = z.object({ node_id: Id, reason: z.string() });
export const Rollout = z.object({
  id: Id,
  product: ProductName,
  version: Version,
  channel: Channel,
  strategy: Strategy,
  scope: z.object({ kind: z.enum(['node', 'group']), id: Id }),
  group_id: Id,
  status: RolloutStatus,
  reason: z.string(),
  waves: z.array(Wave),
  skipped: z.array(Skipped),
  reverts: Id.nullable(),
  /** The stored plan that it was made by, as that was then; null when its terms came with the request. */
  plan: z.object({ id: Id, name: z.string(), revision: Count }).nullable(),
  /** The schedule that started it; null when somebody did. */
  schedule: z.object({ id: Id, name: z.string() }).nullable(),
  /** The last time that somebody let it past freezes, windows and approvals. */
  break_glass: z
    .object({ by: Id, by_name: z.string(), reason: z.string(), at: Moment, until: Moment })
    .nullable(),
  created_by: z.string(),
  created_at: Moment,
  updated_at: Moment,
});
export type Rollout = z.infer<typeof Rollout>;

/** What a rollout would be. Nothing of it is stored. */
export const Preview = z.object({
  product: ProductName,
  version: Version,
  channel: Channel,
  strategy: Strategy,
  waves: z.array(
    z.object({
      index: Count,
      name: z.string(),
      ring: z.string(),
      part: z.enum(['canary', 'main', 'overflow']),
      size: Count,
      /** The first hundred. */
      nodes: z.array(z.object({ id: Id, name: z.string(), from_version: z.string().nullable() })),
      /** What must be true before it opens and before it is through, in words. */
      opens_when: z.array(z.string()),
      passes_when: z.array(z.string()),
      /** At the earliest, when every node needs as long as upgrades usually take here. */
      opens_at: Moment.nullable(),
    }),
  ),
  skipped: z.array(Skipped),
  /** Null when it waits for people. */
  duration_seconds: Count.nullable(),
  /** What all times rest on: upgrades of this product that were seen here, or a guess. */
  duration_from: z.enum(['history', 'estimate']),
  /** Bytes that all nodes together download. */
  download_bytes: Count,
});

/** One ring as a person asks for it: where it stands, since when, and what runs there. */
export const RingStatus = z.object({
  ring: z.string(),
  state: z.enum(['unstarted', 'canary', 'active', 'done', 'paused', 'skipped']),
  reason: z.string(),
  until: Moment.nullable(),
  started_at: Moment.nullable(),
  initial_count: Count,
  present_count: Count,
  up_to_date_count: Count,
  failed_count: Count,
  versions: z.record(z.string(), Count),
});
export const RolloutReport = z.object({
  id: Id,
  status: RolloutStatus,
  reason: z.string(),
  mode: z.enum(['enabled', 'suspended', 'disabled']),
  start_version: z.string().nullable(),
  target_version: Version,
  rings: z.array(RingStatus),
});

export const WhyNot = z.object({
  node_id: Id,
  rollout_id: Id,
  state: TargetState,
  /** Outermost first; empty when nothing holds the node back. */
  because: z.array(z.object({ code: z.string(), message: z.string(), until: Moment.nullable() })),
});

/** The wave that a verb about one wave means, counted from 0. */
export const WaveVerb = z.object({ wave: Count });
/** How long freezes, windows and missing approvals may be set aside at once. */
export const BREAK_GLASS_MINUTES_MAX = 240;
export const BreakGlass = z.strictObject({
  /** For those who read of it: the log, the audit log, the rollout. */
  reason: z.string().trim().min(10).max(500).refine(isShowable, 'take one line of plain text'),
  minutes: z.int().min(1).max(BREAK_GLASS_MINUTES_MAX).default(60),
  /** Of the second factor, needed by whoever has one. */
  code: FactorCode.optional(),
});
export const Reverted = z.object({ items: z.array(Rollout), skipped: z.array(Skipped) });

export const Target = z.object({
  node_id: Id,
  node_name: z.string(),
  wave: Count,
  state: TargetState,
  reason: z.string(),
  from_version: z.string().nullable(),
  offline: z.boolean(),
  command_id: Id.nullable(),
  error_code: z.string().nullable(),
  updated_at: Moment,
});

export const UpgradeMode = z.enum(['enabled', 'suspended', 'disabled']);
export const SetSwitch = z.object({
  mode: UpgradeMode,
  note: z.string().trim().max(500).default(''),
});
export const Switch = z.object({
  group_id: Id,
  /** What was set on this group itself. */
  mode: UpgradeMode,
  /** What holds here: the most restrictive of this group and those above it. */
  effective_mode: UpgradeMode,
  note: z.string(),
  set_by: z.string().nullable(),
  set_at: Moment.nullable(),
});
export const CreateFreeze = z
  .object({ name: Name, from: Moment, to: Moment })
  // As times: with and without fractions of a second they do not sort as texts.
  .refine(({ from, to }) => Date.parse(from) < Date.parse(to), {
    path: ['to'],
    message: 'must be after from',
  });
export const Freeze = z.object({
  id: Id,
  group_id: Id,
  name: z.string(),
  from: Moment,
  to: Moment,
  created_by: z.string(),
  created_at: Moment,
});
