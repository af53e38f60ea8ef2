import {
  TARGET_STATES,
  type PermitDenial,
  type RolloutEvent,
} from '../../../core/rollout/index.js';
import { ROUTES, SINK_KINDS } from '../../../protocol/api/index.js';
import { ERRORS, EVENT_CATEGORIES, SEVERITIES } from '../../../protocol/index.js';
import {
  CLOSE,
  Command,
  ManagerMessage,
  NODE_MESSAGE_TYPES,
} from '../../../protocol/node/index.js';
import { PROCESS_METRICS } from './process-metrics.js';

/** What stands in a label when a value is not in its set: nothing that somebody sends makes a series. */
export const OTHER = 'other';

/** `fleet`: told by each manager, of all of them; every other one is of the process that tells it. */
export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Each label with all that it can say, besides `other`. */
  readonly labels?: Readonly<Record<string, readonly string[]>>;
  /** Upper bounds of a histogram, rising. */
  readonly buckets?: readonly number[];
  readonly of?: 'fleet';
}

const metric = <const M extends Metric>(definition: M): M => definition;

const LINK_ENDS = [
  ...Object.keys(CLOSE),
  'slow_reader',
  'connection_lost',
  'goodbye_restart',
  'goodbye_shutdown',
  'goodbye_decommission',
];
/** Why a receiver did not take a batch; what else goes wrong on the way counts as `other`. */
const SINK_FAILURES = Object.keys(ERRORS).filter((code) => code.startsWith('sink_'));
/** Each reason of the machine and of `NodeSide`; the compiler finds one that the machine does not have. */
const PERMIT_DENIALS = [
  'rollout_not_running',
  'command_not_current',
  'wave_not_open',
  'target_not_waiting',
  'upgrades_suspended',
  'upgrades_disabled',
  'frozen',
  'release_yanked',
  'outside_window',
  'spread',
  'too_many_nodes_down',
] as const satisfies readonly PermitDenial[];
const ROLLOUT_EVENTS = [
  'rollout_started',
  'rollout_waits',
  'rollout_paused',
  'rollout_resumed',
  'rollout_completed',
  'rollout_cancelled',
  'rollout_rolled_back',
  'wave_waits',
  'wave_approved',
  'wave_opened',
  'wave_settling',
  'wave_passed',
  'wave_reopened',
  'wave_skipped',
  'targets_offered',
  'targets_retried',
  'targets_expired',
  'target_joined',
  'target_moved',
  'target_presence',
] as const satisfies readonly RolloutEvent['type'][];
/** Why a wave that is not through stands where it stands: gates, switches, and its own targets. */
const WAVE_REASONS = [
  'created',
  'wave_open',
  'settling',
  'manual_trigger',
  'retried',
  'resumed',
  'previous_waves_not_done',
  'waiting_after_previous_wave',
  'waiting_for_approval',
  'not_before',
  'outside_window',
  'rollout_changed_during_window',
  'not_enough_evidence',
  'upgrades_suspended',
  'upgrades_disabled',
  'frozen',
  'release_yanked',
];

const BUS_TOPICS = ['commands', 'nodes', 'events', 'releases', 'poll_ask', 'poll_answer'];
const TRANSPORTS = ['socket', 'poll'];
const STATUS_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx', 'aborted'];
const ROUTE_NAMES = [...Object.keys(ROUTES), 'none'];

/** Seconds of what should be quick: commits, answers. */
const QUICK = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10];
/** Seconds of what waits: alarms, long polls. */
const SLOW = [0.01, 0.1, 1, 5, 30, 120];

/**
 * Every number that a manager tells, with all that its labels can say: docs/metrics.md, the dashboard
 * and the alerts are held to this table by a test. Names after the Prometheus conventions; seconds
 * and bytes. No label ever holds an id, a name or an address.
 */
export const METRICS = {
  // -- links --------------------------------------------------------------------------------
  bellwether_links: metric({
    type: 'gauge',
    help: 'Links of nodes that are open here',
    labels: { transport: TRANSPORTS },
  }),
  bellwether_links_opened_total: metric({
    type: 'counter',
    help: 'Links that were let in with a welcome',
    labels: { transport: TRANSPORTS },
  }),
  bellwether_links_closed_total: metric({
    type: 'counter',
    help: 'Links that ended, by why',
    labels: { reason: LINK_ENDS },
  }),
  bellwether_link_refusals_total: metric({
    type: 'counter',
    help: 'Links that were refused in their upgrade, by error code',
    labels: { code: Object.keys(ERRORS) },
  }),
  bellwether_arrivals: metric({
    type: 'gauge',
    help: 'Nodes that are being let in, that wait in the line, and how many may be let in at once now',
    labels: { state: ['under_way', 'waiting', 'limit'] },
  }),
  bellwether_link_messages_received_total: metric({
    type: 'counter',
    help: 'Messages of nodes, by type; other: unknown or unusable ones',
    labels: { type: NODE_MESSAGE_TYPES },
  }),
  bellwether_link_messages_sent_total: metric({
    type: 'counter',
    help: 'Messages to nodes, by type',
    labels: { type: ManagerMessage.options.map((option) => option.shape.type.value) },
  }),
  bellwether_bus_messages_total: metric({
    type: 'counter',
    help: 'Told to other managers, dropped as Redis was away or slow, or refused: nothing that a manager says',
    labels: { topic: BUS_TOPICS, result: ['told', 'dropped', 'refused'] },
  }),

  // -- commands and permits -----------------------------------------------------------------
  bellwether_commands_total: metric({
    type: 'counter',
    help: 'Commands made, pushed to a link, accepted and rejected by nodes',
    labels: {
      action: Command.options.map((option) => option.shape.action.value),
      state: ['made', 'pushed', 'accepted', 'rejected'],
    },
  }),
  bellwether_permit_requests_total: metric({
    type: 'counter',
    help: 'Times that nodes asked for a permit to swap',
  }),
  bellwether_permits_granted_total: metric({ type: 'counter', help: 'Permits that were granted' }),
  bellwether_permits_denied_total: metric({
    type: 'counter',
    help: 'Permits that were denied, by reason',
    labels: { reason: [...PERMIT_DENIALS, 'command_unknown', 'rollout_unknown', 'manager_busy'] },
  }),

  // -- events -------------------------------------------------------------------------------
  bellwether_events_appended_total: metric({
    type: 'counter',
    help: 'Events that this manager appended to the log',
    labels: { category: EVENT_CATEGORIES, severity: SEVERITIES },
  }),
  bellwether_event_head: metric({
    type: 'gauge',
    help: 'Number of the last event in the log',
    of: 'fleet',
  }),
  bellwether_ingest_batches_total: metric({
    type: 'counter',
    help: 'Batches of nodes: stored, known already (echo), out of order (gap), too many at once, or not stored (failed)',
    labels: { result: ['stored', 'echo', 'gap', 'too_fast', 'failed'] },
  }),
  bellwether_ingest_events_lost_total: metric({
    type: 'counter',
    help: 'Events that nodes had to drop before they could deliver them',
  }),
  bellwether_ingest_commit_batches: metric({
    type: 'histogram',
    help: 'Batches that shared one commit',
    buckets: [1, 2, 5, 10, 25, 50, 100, 250],
  }),
  bellwether_ingest_lag_seconds: metric({
    type: 'histogram',
    help: 'From a batch coming in to its commit, of the oldest batch in each commit',
    buckets: QUICK,
  }),

  // -- sinks --------------------------------------------------------------------------------
  bellwether_sinks: metric({
    type: 'gauge',
    help: 'Sinks by the state of their circuit, or paused by a person',
    labels: { kind: SINK_KINDS, state: ['closed', 'open', 'half_open', 'paused'] },
    of: 'fleet',
  }),
  bellwether_sink_lag_events: metric({
    type: 'gauge',
    help: 'Events that the sink that is furthest behind has still to look at; paused ones do not count',
    labels: { kind: SINK_KINDS },
    of: 'fleet',
  }),
  bellwether_sink_lag_seconds: metric({
    type: 'gauge',
    help: 'Age of the oldest of those events, of the sink where it is oldest; paused ones do not count',
    labels: { kind: SINK_KINDS },
    of: 'fleet',
  }),
  bellwether_sink_dead_letters: metric({
    type: 'gauge',
    help: 'Events that receivers did not take and that wait for a person',
    labels: { kind: SINK_KINDS },
    of: 'fleet',
  }),
  bellwether_sink_events_delivered_total: metric({
    type: 'counter',
    help: 'Events that receivers confirmed, when that was made durable',
    labels: { kind: SINK_KINDS },
  }),
  bellwether_sink_failures_total: metric({
    type: 'counter',
    help: 'Tries that failed, by why; each is followed by a back-off',
    labels: { kind: SINK_KINDS, code: SINK_FAILURES },
  }),
  bellwether_sink_delivery_seconds: metric({
    type: 'histogram',
    help: 'From sending a batch to the answer of its receiver, whatever it was',
    labels: { kind: SINK_KINDS },
    buckets: SLOW,
  }),

  // -- rollouts -----------------------------------------------------------------------------
  bellwether_rollouts: metric({
    type: 'gauge',
    help: 'Rollouts that are not over, by status',
    labels: { status: ['pending', 'in_progress', 'paused'] },
    of: 'fleet',
  }),
  bellwether_rollout_targets: metric({
    type: 'gauge',
    help: 'Targets of rollouts that are not over, by state',
    labels: { state: TARGET_STATES },
    of: 'fleet',
  }),
  bellwether_rollout_waves_waiting: metric({
    type: 'gauge',
    help: 'Waves of rollouts that are not over and have not passed, by what they wait for',
    labels: { reason: WAVE_REASONS },
    of: 'fleet',
  }),
  bellwether_rollouts_beyond_limit: metric({
    type: 'gauge',
    help: 'Rollouts whose targets and waves are not in the two before, because there are too many',
    of: 'fleet',
  }),
  bellwether_rollout_events_total: metric({
    type: 'counter',
    help: 'What happened to rollouts in this manager, by entry of their journals',
    labels: { type: ROLLOUT_EVENTS },
  }),

  // -- wake-ups -----------------------------------------------------------------------------
  bellwether_wakeups_pending: metric({
    type: 'gauge',
    help: 'Rollouts that wait for a moment',
    of: 'fleet',
  }),
  bellwether_wakeup_overdue_seconds: metric({
    type: 'gauge',
    help: 'How long the oldest of those moments has passed; 0 when none has',
    of: 'fleet',
  }),
  bellwether_wakeups_rung_total: metric({
    type: 'counter',
    help: 'Alarms that rang here, by queue and by how their work ended',
    labels: { queue: ['rollouts', 'sources'], result: ['done', 'failed'] },
  }),
  bellwether_wakeup_delay_seconds: metric({
    type: 'histogram',
    help: 'How late alarms rang, of those that were armed in this process',
    labels: { queue: ['rollouts', 'sources'] },
    buckets: SLOW,
  }),
  bellwether_wakeups_unsent: metric({
    type: 'gauge',
    help: 'Alarms that Redis was not told of yet; always 0 without Redis',
    labels: { queue: ['rollouts', 'sources'] },
  }),
  bellwether_sweep_seconds: metric({
    type: 'histogram',
    help: 'How long the sweep for lost alarms took',
    buckets: QUICK,
  }),
  bellwether_sweep_failures_total: metric({
    type: 'counter',
    help: 'Things that the sweep could not see to and tries again',
  }),

  // -- HTTP ---------------------------------------------------------------------------------
  bellwether_http_requests_total: metric({
    type: 'counter',
    help: 'Requests, by the name of their route and class of their status',
    labels: { route: ROUTE_NAMES, status: STATUS_CLASSES },
  }),
  bellwether_http_request_seconds: metric({
    type: 'histogram',
    help: 'From the head of a request to the end of its answer, by the name of its route',
    labels: { route: ROUTE_NAMES },
    buckets: QUICK,
  }),
  bellwether_http_problems_total: metric({
    type: 'counter',
    help: 'Requests that were answered with a problem, by error code',
    labels: { code: Object.keys(ERRORS) },
  }),

  // -- database -----------------------------------------------------------------------------
  bellwether_db_transactions_total: metric({
    type: 'counter',
    help: 'Transactions, by how they ended; retried: again after a deadlock; unavailable: no database',
    labels: { result: ['committed', 'rolled_back', 'retried', 'unavailable'] },
  }),
  bellwether_db_transaction_wait_seconds: metric({
    type: 'histogram',
    help: 'How long transactions waited for their turn or a connection',
    buckets: QUICK,
  }),
  bellwether_db_transaction_seconds: metric({
    type: 'histogram',
    help: 'How long transactions ran, from their turn to the end of their commit',
    buckets: QUICK,
  }),

  // -- audit and store ----------------------------------------------------------------------
  bellwether_audit_entries_total: metric({
    type: 'counter',
    help: 'Audit entries that this manager wrote',
    labels: { outcome: ['allowed', 'refused', 'failed'] },
  }),
  bellwether_audit_failures_total: metric({
    type: 'counter',
    help: 'Times that an audit entry or a checkpoint could not be made',
    labels: { what: ['entry', 'checkpoint'] },
  }),
  bellwether_audit_head: metric({
    type: 'gauge',
    help: 'Number of the last audit entry',
    of: 'fleet',
  }),
  bellwether_audit_unsigned_entries: metric({
    type: 'gauge',
    help: 'Audit entries that no checkpoint covers yet',
    of: 'fleet',
  }),
  bellwether_audit_checkpoint_timestamp_seconds: metric({
    type: 'gauge',
    help: 'When the last checkpoint was made, in seconds since 1970; 0 when there is none',
    of: 'fleet',
  }),
  bellwether_blob_store_bytes: metric({
    type: 'gauge',
    help: 'Bytes of artifacts in the store when it was last looked through, about once an hour',
  }),
  bellwether_blob_store_blobs: metric({
    type: 'gauge',
    help: 'Artifacts in the store when it was last looked through',
  }),

  // -- the process --------------------------------------------------------------------------
  bellwether_info: metric({
    type: 'gauge',
    help: 'Always 1; what runs is in the labels',
    labels: { database: ['sqlite', 'postgres'], queue: ['timers', 'redis'] },
  }),
  bellwether_fleet_numbers_failures_total: metric({
    type: 'counter',
    help: 'Scrapes whose numbers of the fleet could not be read from the database and are left out',
  }),
  bellwether_event_loop_lag_seconds: metric({
    type: 'histogram',
    help: 'The longest time in each 250 ms that the event loop was busy with something else',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
  }),
  ...PROCESS_METRICS,
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;
type Named<T extends Metric['type']> = {
  [N in MetricName]: (typeof METRICS)[N]['type'] extends T ? N : never;
}[MetricName];
export type CounterName = Named<'counter'>;
export type GaugeName = Named<'gauge'>;
export type HistogramName = Named<'histogram'>;
