import { z } from 'zod';
import { Channel, ProductName } from '../../core/release/index.js';
import {
  PLAN_FIELDS,
  Sink,
  SINK_CREDENTIALS,
  SINK_KINDS,
  Window,
} from '../../protocol/api/index.js';

/** What a file can declare, in the order in which it is made: what others refer to comes first. */
export const KINDS = ['Group', 'Plan', 'Schedule', 'Sink', 'Rollout'] as const;
export type Kind = (typeof KINDS)[number];

const Name = z.string().trim().min(1).max(128);
const Moment = z.iso
  .datetime({ offset: true, error: 'take a moment such as 2026-12-01T22:00:00Z' })
  .transform((text) => new Date(text).toISOString());

/** Names from the top down with slashes between, or an id; left out, the root. */
export const GroupPath = z.string().min(1).max(2_048);

const FreezeDoc = z.strictObject({ name: Name, from: Moment, to: Moment });

export const GroupDoc = z.strictObject({
  kind: z.literal('Group'),
  name: Name.refine((name) => !name.includes('/'), 'a name in a file has no slash'),
  parent: GroupPath.optional(),
  nodes_max: z.int().min(0).max(1_000_000).nullable().optional(),
  upgrades: z
    .strictObject({
      mode: z.enum(['enabled', 'suspended', 'disabled']),
      note: z.string().trim().max(500).optional(),
    })
    .optional(),
  freezes: z.array(FreezeDoc).max(100).optional(),
});
export type GroupDoc = z.infer<typeof GroupDoc>;

/** A plan as it stands in a plan file, with a name. */
export const PlanDoc = z.strictObject({
  kind: z.literal('Plan'),
  name: Name.refine((name) => !name.includes('/'), 'a name in a file has no slash'),
  group: GroupPath.optional(),
  note: z.string().trim().max(500).optional(),
  ...PLAN_FIELDS,
});
export type PlanDoc = z.infer<typeof PlanDoc>;

export const ScheduleDoc = z.strictObject({
  kind: z.literal('Schedule'),
  name: Name.refine((name) => !name.includes('/'), 'a name in a file has no slash'),
  group: GroupPath.optional(),
  product: ProductName,
  channel: Channel.default('stable'),
  /** Its name: of the group, or of the nearest above it that has one. */
  plan: Name,
  window: Window.nullable().default(null),
  when_busy: z.enum(['wait', 'supersede']).default('wait'),
  /** Counts when it is made only. */
  from: z.enum(['next', 'current']).default('next'),
  /** Left out, it stays as it is. */
  paused: z.boolean().optional(),
});
export type ScheduleDoc = z.infer<typeof ScheduleDoc>;

/** A secret is never in the file itself: files like this one are shared and kept. */
const SecretSource = z.union(
  [z.strictObject({ file: z.string().min(1) }), z.strictObject({ env: z.string().min(1) })],
  { error: 'take { file: PATH } or { env: NAME }; a secret does not stand in the file itself' },
);
export type SecretSource = z.infer<typeof SecretSource>;

export const SinkDoc = z
  .strictObject({
    kind: z.literal('Sink'),
    name: Name,
    type: z.enum(SINK_KINDS),
    group: GroupPath.optional(),
    config: z.record(z.string(), z.unknown()).default({}),
    credentials: z.record(z.string(), SecretSource).default({}),
    filter: z.record(z.string(), z.unknown()).default({}),
    from: z.enum(['now', 'beginning']).default('now'),
  })
  .superRefine((doc, context) => {
    const known = Object.keys(SINK_CREDENTIALS[doc.type].shape);
    for (const name of Object.keys(doc.credentials)) {
      if (known.includes(name)) continue;
      const message = `a ${doc.type} takes ${known.join(', ') || 'no credentials'}`;
      context.addIssue({ code: 'custom', path: ['credentials', name], message });
    }
    if (doc.type === 'webhook' && doc.credentials['secret'] === undefined) {
      const message = 'a webhook needs a secret: one that the manager makes is shown only once';
      context.addIssue({ code: 'custom', path: ['credentials'], message });
    }
  });
export type SinkDoc = z.infer<typeof SinkDoc>;
export const SinkFilterFields = Sink.shape.filter;

/** The request of `rollouts create`; it is held against that schema when its group is known. */
export const RolloutDoc = z.looseObject({
  kind: z.literal('Rollout'),
  product: z.string(),
  version: z.string(),
  channel: z.string().default('stable'),
  scope: z.looseObject({ group: GroupPath.optional() }).optional(),
});
export type RolloutDoc = z.infer<typeof RolloutDoc>;

export type Doc = GroupDoc | PlanDoc | ScheduleDoc | SinkDoc | RolloutDoc;
