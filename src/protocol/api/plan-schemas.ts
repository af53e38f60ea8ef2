import { z } from 'zod';
import { isShowable } from '../../core/people/index.js';
import { Channel, ProductName, Version } from '../../core/release/index.js';
import { Id } from '../node/index.js';
import { PageQuery } from './pages.js';
import { PLAN_FIELDS, Window } from './rollout-schemas.js';

const Moment = z.iso.datetime();
/** What stands in commands and addresses: one line, and no slash, which is between names of groups. */
const PlanName = z
  .string()
  .trim()
  .min(1)
  .max(128)
  .refine((name) => isShowable(name) && !name.includes('/'), 'take one line without a slash');
const Note = z.string().trim().max(500).default('');

/** What a rollout by this plan is led by, every term of it. */
export const PlanTerms = z.strictObject(PLAN_FIELDS);
export type PlanTerms = z.infer<typeof PlanTerms>;

/**
 * How releases go out in a group and below it. Its revision rises with each change of its terms; rollouts keep
 * what they were made with.
 */
export const Plan = z.object({
  id: Id,
  name: z.string(),
  group_id: Id,
  note: z.string(),
  revision: z.int().min(1),
  terms: PlanTerms,
  /** Schedules that start rollouts by it: while there are any it cannot be deleted. */
  schedules: z.int().min(0),
  created_by: z.string(),
  created_at: Moment,
  updated_by: z.string(),
  updated_at: Moment,
});
export type Plan = z.infer<typeof Plan>;

export const CreatePlan = z.strictObject({
  name: PlanName,
  group_id: Id.default('grp_default'),
  note: Note,
  terms: PlanTerms,
});
/** Terms are given whole: what is left out of them has its default. */
export const ChangePlan = z.strictObject({
  name: PlanName.optional(),
  note: Note.unwrap().optional(),
  terms: PlanTerms.optional(),
});
export const PlanQuery = PageQuery.extend({
  /** Those that a rollout of this group could take: its own, and those of groups above it. */
  for_group_id: Id.optional(),
});

/** When a rollout of the same product is open in the same place: wait for its end, or cancel it. */
export const WhenBusy = z.enum(['wait', 'supersede']);

export const ScheduleState = z.enum([
  /** Nothing new on the channel. */
  'idle',
  /** There is a release, and something holds it back: `reason` says what, `until` when that may change. */
  'waiting',
  /** It was tried, and refused: `reason` is the code of the error. */
  'refused',
  'paused',
]);

/** What became of the last release that this schedule took up. */
const LastResult = z.object({
  result: z.enum(['started', 'passed_over', 'refused', 'missed']),
  reason: z.string(),
  message: z.string(),
  version: Version.nullable(),
  rollout_id: Id.nullable(),
  at: Moment,
});

const SCHEDULE_FIELDS = {
  name: PlanName,
  product: ProductName,
  channel: Channel,
  plan_id: Id,
  /** Null: at any time. Only the start is held to it; what follows is led by the plan. */
  window: Window.nullable(),
  when_busy: WhenBusy,
};

export const Schedule = z.object({
  id: Id,
  group_id: Id,
  ...SCHEDULE_FIELDS,
  plan: z.string(),
  state: ScheduleState,
  reason: z.string(),
  /** The same in words; empty when the reason says it all. */
  message: z.string(),
  until: Moment.nullable(),
  /** The release that it would start now or next; null when there is none. */
  next_version: z.string().nullable(),
  /** The window that is open, or the next; null without a window. */
  next_window: z.object({ from: Moment, to: Moment }).nullable(),
  /** Releases up to this number are done with. */
  done_sequence: z.int().min(0),
  last: LastResult.nullable(),
  /** Whose rights it starts rollouts with, as they are then. */
  maker: z.object({ kind: z.enum(['user', 'token']), id: Id, name: z.string() }),
  created_at: Moment,
  updated_at: Moment,
});
export type Schedule = z.infer<typeof Schedule>;

export const CreateSchedule = z.strictObject({
  ...SCHEDULE_FIELDS,
  group_id: Id.default('grp_default'),
  channel: Channel.default('stable'),
  window: Window.nullable().default(null),
  when_busy: WhenBusy.default('wait'),
  /** `next`: releases that come from now on. `current`: the one that is on the channel already, too. */
  from: z.enum(['next', 'current']).default('next'),
  paused: z.boolean().default(false),
});
export const ChangeSchedule = z.strictObject({
  name: PlanName.optional(),
  plan_id: Id.optional(),
  window: Window.nullable().optional(),
  when_busy: WhenBusy.optional(),
});
export const ScheduleQuery = PageQuery.extend({ group_id: Id.optional() });
