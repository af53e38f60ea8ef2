import { z } from 'zod';
import { CLOCK_FLAGS, EVENT_CATEGORIES, EVENT_TYPE_NAMES } from '../event-types.js';
import { Id, SeveritySchema } from '../node/index.js';

const Moment = z.iso.datetime();
/** Any offset, a fraction of a second or none. */
const GivenMoment = z.iso.datetime({ offset: true });
const EventId = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const EventIdText = z.coerce.number().pipe(EventId);
const Hash = z.string().regex(/^[0-9a-f]{64}$/);
const Switch = z.enum(['true', 'false']);

export const EventCategorySchema = z.enum(EVENT_CATEGORIES);
export const EventTypeSchema = z.enum(EVENT_TYPE_NAMES);

export const Event = z.object({
  /** The one gapless sequence; also the cursor. */
  id: z.int().min(1),
  /** When the manager received it. */
  at: Moment,
  /** When it happened, by the clock of whoever saw it. */
  occurred_at: Moment,
  /** How that clock stood to the manager's: `ahead`, `late` (by a week or more), `unset`. */
  clock: z.enum(CLOCK_FLAGS),
  category: z.string(),
  type: z.string(),
  /** Of the type: rises when a field of `details` changes its meaning. */
  version: z.int().min(1),
  severity: SeveritySchema,
  node_id: Id.nullable(),
  /** That the node was in then. */
  group_id: Id,
  rollout_id: Id.nullable(),
  command_id: Id.nullable(),
  service: z.string().nullable(),
  /** The same as in `details`, on every failure. */
  error_code: z.string().nullable(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});
export type Event = z.infer<typeof Event>;

/** Words with commas between, each of a closed list. */
const wordsOf = <T extends string>(known: readonly T[]) =>
  z
    .string()
    .min(1)
    .max(2_000)
    .transform((text, context): readonly T[] => {
      const words = [...new Set(text.split(',').map((one) => one.trim()))];
      const wrong = words.find((word) => !(known as readonly string[]).includes(word));
      if (wrong !== undefined) {
        context.issues.push({
          code: 'custom',
          input: text,
          message: `${wrong.slice(0, 64)} is not one of ${known.join(', ')}`,
        });
      }
      return words as T[];
    });

/** What may be asked of the event log; each that is given must fit. */
const filters = {
  /** One or several, such as `upgrade,security`. */
  category: wordsOf(EVENT_CATEGORIES).optional(),
  /** One or several, such as `rollout_paused,upgrade_rolled_back`. */
  type: wordsOf(EVENT_TYPE_NAMES).optional(),
  severity: SeveritySchema.optional(),
  /** This or graver. */
  min_severity: SeveritySchema.optional(),
  /** This group and those below it. */
  group_id: Id.optional(),
  node_id: Id.optional(),
  rollout_id: Id.optional(),
  error_code: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .optional(),
  /** Received from this moment on. */
  since: GivenMoment.optional(),
  /** Received before this moment. */
  until: GivenMoment.optional(),
  /** Stands in the message; ASCII letters in any case. */
  text: z.string().min(1).max(200).optional(),
};

export const EventQuery = z
  .object({
    /** Events after this id; 0 starts at the oldest that is kept. */
    after: EventIdText.default(0),
    /** Events before this id; for pages that are newest first. */
    before: EventIdText.optional(),
    order: z.enum(['oldest', 'newest']).default('oldest'),
    limit: z.coerce.number().int().min(1).max(1_000).default(100),
    ...filters,
  })
  .refine(({ order, before }) => order === 'newest' || before === undefined, {
    path: ['before'],
    message: 'pages that are oldest first go on with `after`',
  });
export const EventPage = z.object({
  items: z.array(Event),
  /** Oldest first: give this back as `after`; it moves on even when the filter let nothing through. */
  next_after: EventId,
  /** Newest first: give this back as `before`; null when there are no older ones. */
  next_before: EventId.nullable(),
});

/** Buckets that one answer holds at most. */
export const COUNT_BUCKETS_MAX = 2_000;
export const EventCountsQuery = z.object({
  since: GivenMoment,
  until: GivenMoment,
  /** Width of a bucket: whole minutes, a multiple of 5. */
  bucket_minutes: z.coerce
    .number()
    .int()
    .min(5)
    .max(44_640)
    .refine((minutes) => minutes % 5 === 0, 'take a multiple of 5')
    .default(60),
  by: z.enum(['type', 'category', 'severity', 'group_id']).default('type'),
  category: filters.category,
  type: filters.type,
  min_severity: filters.min_severity,
  group_id: filters.group_id,
});
export const EventCounts = z.object({
  bucket_minutes: z.int(),
  /** Only buckets in which something happened, oldest first. */
  buckets: z.array(z.object({ at: Moment, counts: z.record(z.string(), z.int()) })),
  totals: z.record(z.string(), z.int()),
});

export const EventExportQuery = z.object({
  after: EventIdText.default(0),
  /** The last id that is meant; left out: the last there is now. */
  through: EventIdText.optional(),
  /** Events at most. */
  limit: z.coerce.number().int().min(1).optional(),
  /** `true`: with a head and seals, as `bellwether events verify` reads it; then without filters. */
  proof: Switch.default('false').transform((text) => text === 'true'),
  ...filters,
});

export const EventSeal = z.object({
  firstId: EventId,
  lastId: EventId,
  previous: Hash,
  leaves: z.array(z.string().regex(/^[0-9a-f]{128}$/)),
  hash: Hash,
});
export const EventSealPart = z.object({ groupId: Id, count: z.int().min(1), hash: Hash });
export const EventSegmentsQuery = z.object({
  /** Segments behind this id. */
  after: EventIdText.default(0),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export const EventSegments = z.object({
  items: z.array(
    z.object({
      seal: EventSeal,
      /** Of the groups that you see. */
      parts: z.array(EventSealPart),
      first_at: Moment,
      last_at: Moment,
      sealed_at: Moment,
      /** Whether its events were removed by retention; the seal stays. */
      pruned: z.boolean(),
    }),
  ),
  next_after: EventId,
  /** The oldest event that is kept. */
  oldest: EventId,
  /** Everything up to here is sealed. */
  sealed_through: EventId,
  /** The newest event. */
  newest: EventId,
});

export const EventStreamQuery = z.object({
  /** Events after this id; `Last-Event-ID` holds before it. Left out: from now on. */
  after: EventIdText.optional(),
  /** `false`: end when everything that is there now was sent. */
  follow: Switch.default('true').transform((text) => text === 'true'),
  ...filters,
});

// -- the same over a WebSocket -----------------------------------------------------------------

export const EVENTS_WS_PATH = '/api/v1/events/ws';
export const EVENTS_WS_SUBPROTOCOL = 'bellwether.events.v1';
/** A frame of a consumer; a `start` with every filter stays far below. */
export const EVENTS_WS_FRAME_BYTES_MAX = 8 * 1024;
/** Events that a consumer may have granted and not got. */
export const EVENTS_WS_CREDIT_MAX = 10_000;

const StartFilters = z.strictObject({
  category: z.array(EventCategorySchema).min(1).max(16).optional(),
  type: z.array(EventTypeSchema).min(1).max(EVENT_TYPE_NAMES.length).optional(),
  severity: SeveritySchema.optional(),
  min_severity: SeveritySchema.optional(),
  group_id: Id.optional(),
  node_id: Id.optional(),
  rollout_id: Id.optional(),
  error_code: filters.error_code,
  since: GivenMoment.optional(),
  until: GivenMoment.optional(),
  text: filters.text,
});

/** First and once: where to begin, and what is wanted. */
export const EventsStart = z.object({
  type: z.literal('start'),
  after: EventId.optional(),
  credit: z.int().min(0).max(EVENTS_WS_CREDIT_MAX).default(0),
  filter: StartFilters.default({}),
});
/** So many events more may be sent. */
export const EventsCredit = z.object({
  type: z.literal('credit'),
  events: z.int().min(1).max(EVENTS_WS_CREDIT_MAX),
});
export const EventsConsumerMessage = z.discriminatedUnion('type', [EventsStart, EventsCredit]);
export type EventsConsumerMessage = z.infer<typeof EventsConsumerMessage>;

/** Answers `start`: what is there. */
export const EventsReady = z.object({
  type: z.literal('ready'),
  after: EventId,
  oldest: EventId,
  newest: EventId,
});
/** Events in order; one costs one credit. */
export const EventsItems = z.object({ type: z.literal('events'), items: z.array(Event) });
/** All up to here was looked at, and nothing else fitted: a safe place to resume after. */
export const EventsProgress = z.object({ type: z.literal('progress'), after: EventId });
/** The last message: why, and where to go on. */
export const EventsEnd = z.object({
  type: z.literal('end'),
  code: z.string(),
  message: z.string(),
  resume_after: EventId,
});
export const EventsManagerMessage = z.discriminatedUnion('type', [
  EventsReady,
  EventsItems,
  EventsProgress,
  EventsEnd,
]);
export type EventsManagerMessage = z.infer<typeof EventsManagerMessage>;
