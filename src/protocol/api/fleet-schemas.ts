import { z } from 'zod';
import { ProductName, Version } from '../../core/release/index.js';
import { Id } from '../node/index.js';
import { PageQuery } from './pages.js';
import { SupportWindow } from './release-schemas.js';
import { TargetState, UpgradeMode } from './rollout-schemas.js';

const Moment = z.iso.datetime();
const Count = z.int().min(0);

export const NodeStatus = z.enum(['pending', 'online', 'offline', 'revoked']);
/** Who upgrades a node: its agent by a socket or by polls, an operator of Kubernetes, or nobody. */
export const Upgrader = z.enum(['none', 'agent', 'poll', 'kubernetes']);
export const UpgradeBadge = z.enum(['none', 'upgrading', 'updated', 'failed']);

/** As an address carries it. */
const Flag = z.enum(['true', 'false']).transform((text) => text === 'true');
const LABELS_MAX = 8;
const LabelWish = z
  .string()
  .regex(/^[^=]{1,63}=.{0,128}$/su, 'take key=value, such as site=fra')
  .describe('key=value; give it again for more, all of which must fit');

export const NODE_SORTS = [
  'enrolled_at',
  'name',
  'status',
  'upgrade',
  'upgrader',
  'last_seen_at',
] as const;

export const NodeQuery = PageQuery.extend({
  /** Holds the key that the page ended with, so it is longer than those of other lists. */
  cursor: z.string().max(2_000).optional(),
  group_id: Id.optional(),
  /** `false`: only nodes of `group_id` itself. */
  subgroups: Flag.optional(),
  status: NodeStatus.optional(),
  label: z
    .preprocess(
      (given) => (given === undefined || Array.isArray(given) ? given : [given]),
      z.array(LabelWish).max(LABELS_MAX).optional(),
    )
    .optional(),
  /** Nodes that have this product. */
  product: ProductName.optional(),
  /** Nodes that run this version, of `product` or of anything. */
  version: Version.optional(),
  /** Nodes that run something older than this, of `product` or of anything. */
  below: Version.optional(),
  /** Behind the newest release of the channel that the node follows. */
  outdated: Flag.optional(),
  upgrader: Upgrader.optional(),
  upgrade: UpgradeBadge.optional(),
  /** In the name, whatever the case; or the whole id. */
  text: z.string().trim().min(1).max(128).optional(),
  sort: z.enum(NODE_SORTS).default('enrolled_at'),
  order: z.enum(['asc', 'desc']).default('asc'),
  /** `true`: count what all pages hold together. */
  total: Flag.optional(),
});

export const FleetQuery = z.object({
  group_id: Id.optional(),
  product: ProductName.optional(),
});
const VersionCount = z.object({
  /** Null: nothing of it runs yet. */
  version: Version.nullable(),
  nodes: Count,
  outdated: z.boolean(),
  window: SupportWindow,
});
/** The fleet as it is now; revoked nodes count in `by_status` only. */
export const FleetSummary = z.object({
  at: Moment,
  nodes: Count,
  by_status: z.partialRecord(NodeStatus, Count),
  by_upgrader: z.partialRecord(Upgrader, Count),
  by_upgrade: z.partialRecord(UpgradeBadge, Count),
  /** Nodes that are behind with anything. */
  outdated: Count,
  products: z.array(
    z.object({
      product: ProductName,
      nodes: Count,
      /** The newest that most of them could see. */
      newest: Version.nullable(),
      /** Those of the most nodes first. */
      versions: z.array(VersionCount),
    }),
  ),
});

/** Revoked nodes do not count. */
export const FleetGroups = z.object({
  items: z.array(
    z.object({
      group_id: Id,
      /** Of the group itself. */
      nodes: Count,
      /** With those of all groups below it. */
      nodes_with_below: Count,
      /** What holds here: the most restrictive of this group and those above; null for who may not see it. */
      upgrades: UpgradeMode.nullable(),
    }),
  ),
});

/** As far back as points are kept. */
export const FLEET_HISTORY_DAYS = 90;
export const FLEET_POINTS_MAX = 2_200;
export const FleetHistoryQuery = FleetQuery.extend({
  since: Moment.optional(),
  until: Moment.optional(),
  /** Hours from one point to the next. */
  step_hours: z.coerce.number().int().min(1).max(168).default(1),
});
/** One series a product and version; `nodes` has one number for each of `at`, null where nobody counted. */
export const FleetHistory = z.object({
  at: z.array(Moment),
  series: z.array(
    z.object({
      product: ProductName,
      /** `other` stands for the rest, where there are very many. */
      version: z.string().nullable(),
      nodes: z.array(Count.nullable()),
    }),
  ),
});

// -- what needs a person ----------------------------------------------------------------------

export const NEED_KINDS = [
  'approval_waiting',
  'rollout_paused',
  'upgrade_failed',
  'node_silent',
  'alert_open',
  'sink_failing',
  'sink_paused',
  'token_expiring',
  'document_expiring',
  'certificate_expiring',
] as const;
export const Need = z.object({
  kind: z.enum(NEED_KINDS),
  severity: z.enum(['info', 'warning', 'critical']),
  /** Why, as everywhere: a reason or an error code. */
  code: z.string(),
  /** One sentence for people. */
  message: z.string(),
  /** What to do about it. */
  fix: z.string(),
  /** Where that is done: what kind of thing, its id, and its page in the console. */
  target: z.object({ kind: z.string(), id: z.string(), path: z.string() }),
  group_id: Id.nullable(),
  /** How many things one line stands for. */
  count: Count,
  /** Since when it waits, or when it runs out; null where that is not known. */
  at: Moment.nullable(),
});
export const NeedsQuery = z.object({ group_id: Id.optional() });
export const Needs = z.object({
  /** The gravest first; at most a hundred of each kind. */
  items: z.array(Need),
  counts: z.partialRecord(z.enum(NEED_KINDS), Count),
});

// -- one node ---------------------------------------------------------------------------------

const UpgradeStep = z.object({
  event_id: Count,
  at: Moment,
  type: z.string(),
  severity: z.enum(['info', 'warning', 'critical']),
  message: z.string(),
  error_code: z.string().nullable(),
});
/** One rollout as one node met it. */
export const NodeUpgrade = z.object({
  rollout_id: Id,
  service: z.string(),
  product: ProductName,
  from_version: Version.nullable(),
  to_version: Version,
  wave: Count,
  state: TargetState,
  reason: z.string(),
  error_code: z.string().nullable(),
  /** What to do about `error_code`. */
  fix: z.string().nullable(),
  created_at: Moment,
  updated_at: Moment,
  /** What the node told, oldest first; the last 50. Events that retention removed are gone here too. */
  steps: z.array(UpgradeStep),
});

/** For each service: why it does not run something newer. */
export const NodeWhy = z.object({
  node_id: Id,
  services: z.array(
    z.object({
      service: z.string(),
      product: ProductName,
      version: Version.nullable(),
      newest: Version.nullable(),
      /** The rollout that has it now; null when none has. */
      rollout_id: Id.nullable(),
      state: TargetState.nullable(),
      /** Outermost first; empty when nothing holds it back. */
      because: z.array(
        z.object({ code: z.string(), message: z.string(), until: Moment.nullable() }),
      ),
    }),
  ),
});

export const NodeLink = z.object({
  node_id: Id,
  online: z.boolean(),
  transport: z.enum(['socket', 'poll']).nullable(),
  last_seen_at: Moment.nullable(),
  /** Of the last hours, from the events that are kept. */
  hours: Count,
  connects: Count,
  disconnects: Count,
  /** Ended by a peer that was gone, a broken protocol or a slow reader. */
  troubled: Count,
  /** A newer link took over, or another transport. */
  takeovers: Count,
  /** Ends of links by reason, the most frequent first. */
  reasons: z.array(z.object({ reason: z.string(), count: Count })),
  /** `true`: there were more than were looked at, so the numbers are lower bounds. */
  capped: z.boolean(),
  /** The whole in one word: no news is `unknown`. */
  quality: z.enum(['good', 'unsteady', 'bad', 'unknown']),
});

// -- cells of a rollout -----------------------------------------------------------------------

export const CELLS_MAX = 50_000;
export const CellsQuery = z.object({
  /** `version` of the answer before this one: then only what changed since comes. */
  since: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
});
/** The three lists go together: cell n is node `ids[n]`, in wave `waves[n]`, in the state of letter n. */
export const Cells = z.object({
  /** Give it back as `since`. */
  version: Count,
  /** `false`: only cells that changed since; put them over those that you have. */
  whole: z.boolean(),
  ids: z.array(Id),
  waves: z.array(Count),
  /** One letter each, of `CELL_LETTERS` in `src/core/rollout`. */
  states: z.string(),
  /** Cells that are left out: a rollout of more than 50 000 nodes. */
  beyond: Count,
});
