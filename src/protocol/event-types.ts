import type { Severity } from './errors.js';

/** To whom an event matters. */
export const EVENT_CATEGORIES = [
  'upgrade',
  'service',
  'agent',
  'connection',
  'release',
  'audit',
  'security',
  'alert',
] as const;
export type EventCategory = (typeof EVENT_CATEGORIES)[number];

/** From the mildest to the gravest. */
export const SEVERITIES = ['info', 'warning', 'critical'] as const satisfies readonly Severity[];

interface EventTypeRow {
  readonly category: EventCategory;
  /** What it usually has; an event may be graver when its details are. */
  readonly severity: Severity;
  /** Rises when a field of `details` changes its meaning or goes; new fields do not raise it. */
  readonly version: number;
  readonly from: 'node' | 'manager';
  readonly meaning: string;
}

const row = (
  from: EventTypeRow['from'],
  category: EventCategory,
  severity: Severity,
  meaning: string,
  version = 1,
): EventTypeRow => ({ category, severity, version, from, meaning });

/**
 * The closed list of what can stand in the event log; `docs/events.md` has the same rows. Names are
 * never given another meaning, and never taken away: they stand in logs that are kept for years.
 */
export const EVENT_TYPES = {
  // -- told by nodes -------------------------------------------------------------------------
  upgrade_started: row('node', 'upgrade', 'info', 'A command to upgrade was taken up.'),
  upgrade_downloaded: row('node', 'upgrade', 'info', 'The artifact is on the node.'),
  upgrade_verified: row('node', 'upgrade', 'info', 'Signatures, digests and policy fit.'),
  upgrade_staged: row('node', 'upgrade', 'info', 'Unpacked; it waits for its permit.'),
  upgrade_staged_manual: row('node', 'upgrade', 'info', 'Staged; a person on the node decides.'),
  upgrade_swapping: row('node', 'upgrade', 'info', 'The new version is put in place.'),
  upgrade_probation: row('node', 'upgrade', 'info', 'It runs, and is watched.'),
  upgrade_completed: row('node', 'upgrade', 'info', 'The new version proved healthy and stays.'),
  upgrade_rolled_back: row('node', 'upgrade', 'critical', 'The version before runs again.'),
  upgrade_refused: row('node', 'upgrade', 'warning', 'The node may not run this, and says why.'),
  upgrade_withdrawn: row('node', 'upgrade', 'info', 'Given up before the swap, as was asked.'),
  upgrade_download_failed: row('node', 'upgrade', 'warning', 'The artifact could not be fetched.'),
  upgrade_verify_failed: row('node', 'upgrade', 'critical', 'What was fetched is not trusted.'),
  upgrade_stage_failed: row('node', 'upgrade', 'warning', 'It could not be unpacked.'),
  upgrade_swap_failed: row('node', 'upgrade', 'critical', 'It could not be put in place.'),
  upgrade_rollback_failed: row('node', 'upgrade', 'critical', 'The way back failed.'),
  upgrade_hook_failed: row('node', 'upgrade', 'warning', 'A hook of the service failed.'),
  service_healthy: row('node', 'service', 'info', 'A service is well again.'),
  service_unhealthy: row('node', 'service', 'warning', 'The health check of a service fails.'),
  service_exited: row('node', 'service', 'warning', 'The process of a service ended by itself.'),
  service_revoked: row('node', 'service', 'critical', 'The version that runs was revoked.'),
  channel_index_expired: row('node', 'agent', 'warning', 'The signed index is too old to trust.'),
  channel_index_refused: row('node', 'agent', 'warning', 'A signed index does not fit.'),
  state_recovered: row('node', 'agent', 'warning', 'The state file was mended after a crash.'),
  spool_recovered: row('node', 'agent', 'warning', 'The event spool was mended after a crash.'),
  events_dropped: row('node', 'agent', 'critical', 'The spool was full; `details` has the counts.'),
  policy_changed: row('node', 'agent', 'warning', 'The local policy is another than before.'),
  audit_checkpoint_refused: row(
    'node',
    'agent',
    'critical',
    'A checkpoint of the audit log does not continue the one that the node kept.',
  ),
  admission_refused: row(
    'node',
    'security',
    'critical',
    'A pod of this workload was kept out of the cluster, for its image; `details.count` says how often.',
  ),
  unknown: row(
    'node',
    'agent',
    'warning',
    'A newer agent told what this manager has no word for; `details.given_type` has its word.',
  ),
  // -- told by the manager about nodes -------------------------------------------------------
  events_lost: row('manager', 'agent', 'critical', 'A node dropped events before delivery.'),
  node_enrolled: row('manager', 'agent', 'info', 'A machine became a node.'),
  node_revoked: row('manager', 'agent', 'warning', 'The key of a node is trusted no more.'),
  node_transferred: row('manager', 'agent', 'info', 'A node changed its group; both get it.'),
  node_ahead: row('manager', 'agent', 'warning', 'It knew newer commands than the manager.'),
  node_connected: row('manager', 'connection', 'info', 'A node came.'),
  node_transport_changed: row('manager', 'connection', 'info', 'Socket to polls, or back.'),
  node_superseded: row('manager', 'connection', 'info', 'A newer link of a node took over.'),
  node_disconnected: row('manager', 'connection', 'info', 'A node went; `details.reason`.'),
  // -- rollouts ------------------------------------------------------------------------------
  rollout_started: row('manager', 'upgrade', 'info', 'A rollout began.'),
  rollout_waits: row('manager', 'upgrade', 'info', 'It waits, for `details.reason`.'),
  rollout_paused: row('manager', 'upgrade', 'critical', 'It stopped, for `details.reason`.'),
  rollout_resumed: row('manager', 'upgrade', 'info', 'It goes on.'),
  rollout_completed: row('manager', 'upgrade', 'info', 'It is over; `details` has the counts.'),
  rollout_cancelled: row('manager', 'upgrade', 'warning', 'It was called off.'),
  rollout_rolled_back: row('manager', 'upgrade', 'warning', 'It was marked as rolled back.'),
  schedule_started: row('manager', 'upgrade', 'info', 'A schedule started a rollout.'),
  schedule_passed_over: row(
    'manager',
    'upgrade',
    'info',
    'A schedule is done with a release without a rollout, for `details.reason`.',
  ),
  schedule_refused: row(
    'manager',
    'upgrade',
    'warning',
    'A schedule could not start its rollout, for `details.reason`; told once for each reason.',
  ),
  schedule_missed: row(
    'manager',
    'upgrade',
    'warning',
    'A window passed and no manager looked: it was down, or a clock jumped.',
  ),
  schedule_clock_back: row(
    'manager',
    'upgrade',
    'warning',
    'The clock of the manager went back since a schedule was looked at.',
  ),
  rollout_glass_broken: row(
    'manager',
    'upgrade',
    'critical',
    'A person overrides freezes, windows and approvals for a while.',
  ),
  wave_waits: row('manager', 'upgrade', 'info', 'A wave waits, for `details.reason`.'),
  wave_approved: row('manager', 'upgrade', 'info', 'A person let a wave go on.'),
  wave_opened: row('manager', 'upgrade', 'info', 'Nodes of a wave are offered the release.'),
  wave_settling: row('manager', 'upgrade', 'info', 'A wave is done and is watched.'),
  wave_passed: row('manager', 'upgrade', 'info', 'A wave passed its gate.'),
  wave_reopened: row('manager', 'upgrade', 'warning', 'A wave is open again.'),
  wave_skipped: row('manager', 'upgrade', 'warning', 'A wave was left out.'),
  targets_offered: row('manager', 'upgrade', 'info', 'Nodes were offered the release.'),
  targets_retried: row('manager', 'upgrade', 'info', 'Nodes that failed are tried again.'),
  targets_expired: row('manager', 'upgrade', 'warning', 'The time of some nodes was up.'),
  target_joined: row('manager', 'upgrade', 'info', 'A node joined a rollout that runs.'),
  target_presence: row('manager', 'upgrade', 'warning', 'A node went, or came back, afterwards.'),
  target_silent: row('manager', 'upgrade', 'warning', 'A node said nothing before its deadline.'),
  target_drifted: row('manager', 'upgrade', 'critical', 'A node left the version of its rollout.'),
  target_arrived: row('manager', 'upgrade', 'info', 'A node came to the version by hand.'),
  // -- releases ------------------------------------------------------------------------------
  release_published: row('manager', 'release', 'info', 'A release can be rolled out.'),
  release_drafted: row('manager', 'release', 'info', 'A release was uploaded as a draft.'),
  release_promoted: row('manager', 'release', 'info', 'A release came to another channel.'),
  release_yanked: row('manager', 'release', 'warning', 'A release was taken back for good.'),
  channel_index_announced: row('manager', 'release', 'info', 'A channel has a newer index.'),
  downgrade_permit_announced: row('manager', 'release', 'warning', 'A way back was permitted.'),
  // -- audit and security --------------------------------------------------------------------
  'audit.checkpoint': row('manager', 'audit', 'info', 'The audit log was signed as it is.'),
  sign_in_failed: row('manager', 'security', 'warning', 'Wrong login, password or code.'),
  credential_refused: row('manager', 'security', 'warning', 'An unknown or expired API token.'),
  revoked_token_used: row('manager', 'security', 'critical', 'A revoked API token was used.'),
  link_refused: row('manager', 'security', 'warning', 'A node token did not prove its key.'),
  security_events_counted: row(
    'manager',
    'security',
    'warning',
    'More of the same from one address; `details.count` says how many were not told one by one.',
  ),
  alert_raised: row(
    'manager',
    'alert',
    'critical',
    'Something is wrong, told once; `details` says what.',
  ),
  alert_resolved: row('manager', 'alert', 'info', 'It is so no longer, or a person said so.'),
} as const satisfies Record<string, EventTypeRow>;

export type EventType = keyof typeof EVENT_TYPES;
export const EVENT_TYPE_NAMES = Object.keys(EVENT_TYPES) as readonly EventType[];

/** The types that a node tells; what stands in its spool is one of them, or of a newer agent. */
export type NodeToldType = {
  [T in EventType]: (typeof EVENT_TYPES)[T]['from'] extends 'node' ? T : never;
}[EventType];

export const isEventType = (name: string): name is EventType => Object.hasOwn(EVENT_TYPES, name);
export const isEventCategory = (name: string): name is EventCategory =>
  (EVENT_CATEGORIES as readonly string[]).includes(name);

/** Clocks may differ by this much before it is told; as for node tokens (JWT_CLOCK_SKEW_MS). */
export const CLOCK_AHEAD_MS = 30_000;
/** A node that was away for weeks tells old events rightly: the flag says late, not wrong. */
export const CLOCK_LATE_MS = 7 * 24 * 3_600_000;
/** 2020-01-01: a clock before it was never set. */
const CLOCK_SET_FROM_MS = 1_577_836_800_000;

export const CLOCK_FLAGS = ['ok', 'ahead', 'late', 'unset'] as const;
export type ClockFlag = (typeof CLOCK_FLAGS)[number];

/** How the time that a node gave stands to when the manager received it, both epoch ms. */
export function clockOf(occurredAtMs: number, receivedAtMs: number): ClockFlag {
  if (occurredAtMs < CLOCK_SET_FROM_MS) return 'unset';
  if (occurredAtMs > receivedAtMs + CLOCK_AHEAD_MS) return 'ahead';
  return occurredAtMs < receivedAtMs - CLOCK_LATE_MS ? 'late' : 'ok';
}
