import { z } from 'zod';

const Share = z.number().min(0).max(1);
const Ms = z.int().min(0).max(3_600_000);
/** How many nodes it befalls: a share of all, or a number. */
const who = { share: Share.optional(), count: z.int().min(0).max(1_000_000).optional() };

/**
 * What can befall a node. Which nodes, and when, follows from the seed: the same seed gives the same.
 * `probability` is asked each time that it could happen.
 */
export const Fault = z.discriminatedUnion('kind', [
  /** Each message, in both directions, takes so long. */
  z.strictObject({ kind: z.literal('slow_link'), ...who, delay_ms: Ms.default(400) }),
  /** Stops reading and writing, and does not close: what is left when a cable is pulled. */
  z.strictObject({
    kind: z.literal('half_open'),
    ...who,
    after_ms: Ms.default(2_000),
    for_ms: Ms.default(20_000),
    times: z.int().min(1).max(1_000).default(1),
  }),
  /** The wall clock is off; beyond 30 s the manager refuses its tokens. */
  z.strictObject({
    kind: z.literal('clock_skew'),
    ...who,
    ms: z.int().min(-86_400_000).max(86_400_000),
  }),
  /** No room for what is downloaded. */
  z.strictObject({ kind: z.literal('disk_full'), ...who, probability: Share.default(1) }),
  /** The machine restarts, again and again, whatever it is doing. */
  z.strictObject({
    kind: z.literal('reboot_loop'),
    ...who,
    every_ms: Ms.min(200).default(4_000),
    down_ms: Ms.default(500),
    times: z.int().min(1).max(10_000).default(5),
  }),
  /** A part of the download is damaged on the way; it is fetched anew, three times in all. */
  z.strictObject({ kind: z.literal('corrupt_chunks'), ...who, probability: Share.default(0.5) }),
  /** The new version is bad here. `crashes` and `unhealthy` are rolled back, `fails` ends before the swap. */
  z.strictObject({
    kind: z.literal('bad_release'),
    ...who,
    how: z.enum(['crashes', 'unhealthy', 'fails']).default('crashes'),
  }),
  /** The link breaks every so often. */
  z.strictObject({
    kind: z.literal('flapping'),
    ...who,
    every_ms: Ms.min(100).default(3_000),
    times: z.int().min(1).max(10_000).default(5),
  }),
]);
export type Fault = z.infer<typeof Fault>;

/** What is done to the whole fleet at once. `at`: counted from when all were connected, or the rollout began. */
export const Act = z.discriminatedUnion('do', [
  z.strictObject({
    do: z.literal('disconnect'),
    at: z.enum(['connected', 'rollout']).default('rollout'),
    after_ms: Ms.default(1_000),
    share: Share.default(1),
  }),
]);
export type Act = z.infer<typeof Act>;

export const MEASURES = [
  'connected',
  'came_back',
  'upgraded',
  'failed',
  'rolled_back',
  'refused',
] as const;
const Shares = z.partialRecord(z.enum(MEASURES), Share).default({});

/** What must be true at the end; shares are of all nodes. */
export const Expectation = z.strictObject({
  /** How the rollout ends; empty: whatever. */
  rollout: z.array(z.enum(['complete', 'paused', 'rolled_back', 'cancelled'])).default([]),
  at_least: Shares,
  at_most: Shares,
});

const Work = z.strictObject({
  fetch_ms: Ms.default(300),
  stage_ms: Ms.default(100),
  swap_ms: Ms.default(100),
  health_window_ms: Ms.default(1_000),
});

export type Expectation = z.infer<typeof Expectation>;

export const Scenario = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,40}$/),
  about: z.string().max(300),
  faults: z.array(Fault).max(32).default([]),
  acts: z.array(Act).max(32).default([]),
  /** How long a healthy node needs for each step of an upgrade; each time up to half more. */
  work: Work.prefault({}),
  /** Fields of a plan, as in docs/rollouts.md; null: nothing is rolled out. Product, version and scope are given. */
  rollout: z.record(z.string(), z.unknown()).nullable().default({ strategy: 'immediate' }),
  /** How long nodes stay before the end is judged. */
  linger_ms: Ms.default(1_000),
  limit_seconds: z.int().min(5).max(86_400).default(300),
  expect: Expectation.prefault({}),
});
export type Scenario = z.infer<typeof Scenario>;
