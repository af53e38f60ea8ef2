import { durationInWords, MINUTE_MS } from '../kernel/index.js';
import { detailOf, type EventSeverity, type FleetEvent } from './event.js';

export const ALERT_RULES = [
  'rolled_back',
  'rollout_paused',
  'node_silent',
  'audit_mismatch',
  'sink_behind',
] as const;
export type AlertRule = (typeof ALERT_RULES)[number];

/** A node whose link broke gets this long to come back before anybody is told. */
export const SILENT_AFTER_MS = 10 * MINUTE_MS;

/** A sink whose oldest undelivered event is this old is behind, whatever the cause. */
export const SINK_BEHIND_MS = 10 * MINUTE_MS;
/** It has caught up when that event is younger than this: in between nothing changes. */
export const SINK_CAUGHT_UP_MS = MINUTE_MS;

/** What one event means for one alert. The same key is the same trouble, however often it is told. */
export type AlertNews = {
  readonly rule: AlertRule;
  /** Stable, and of the one thing that is in trouble. */
  readonly key: string;
} & (
  | {
      readonly news: 'raise';
      readonly severity: EventSeverity;
      readonly message: string;
      /** Raised only when nothing has resolved it for so long; 0 for at once. */
      readonly afterMs: number;
    }
  | {
      readonly news: 'resolve';
      readonly message: string;
    }
);

type Rule = (event: FleetEvent) => readonly AlertNews[];

const nodeKey = (event: FleetEvent): string => `node_silent:${event.node_id ?? ''}`;
const backKey = (event: FleetEvent): string =>
  `rolled_back:${event.node_id ?? ''}:${event.service ?? ''}`;
const rolloutKey = (event: FleetEvent): string => `rollout_paused:${event.rollout_id ?? ''}`;

const silent = (event: FleetEvent, message: string, afterMs: number): AlertNews => ({
  rule: 'node_silent',
  key: nodeKey(event),
  news: 'raise',
  severity: 'warning',
  message,
  afterMs,
});
const heard = (event: FleetEvent, message: string): AlertNews => ({
  rule: 'node_silent',
  key: nodeKey(event),
  news: 'resolve',
  message,
});
const goesOn: Rule = (event) => [
  { rule: 'rollout_paused', key: rolloutKey(event), news: 'resolve', message: event.message },
];

/** Reasons of a link that ended for a while that somebody decided. */
const EXPECTED_ENDS: ReadonlySet<string> = new Set([
  'goodbye_shutdown',
  'goodbye_decommission',
  'revoked',
]);

/** What a paused rollout is called when a person paused it: that is no alert, somebody knows. */
const BY_HAND = 'paused_by_operator';

const RULE_OF_TYPE: Readonly<Record<string, Rule>> = {
  upgrade_rolled_back: (event) => [
    {
      rule: 'rolled_back',
      key: backKey(event),
      news: 'raise',
      severity: 'critical',
      message: event.message,
      afterMs: 0,
    },
  ],
  upgrade_completed: (event) => [
    { rule: 'rolled_back', key: backKey(event), news: 'resolve', message: event.message },
    heard(event, event.message),
  ],
  rollout_paused: (event) =>
    detailOf(event, 'reason') === BY_HAND
      ? []
      : [
          {
            rule: 'rollout_paused',
            key: rolloutKey(event),
            news: 'raise',
            severity: 'critical',
            message: event.message,
            afterMs: 0,
          },
        ],
  rollout_resumed: goesOn,
  rollout_completed: goesOn,
  rollout_cancelled: goesOn,
  rollout_rolled_back: goesOn,
  target_silent: (event) => [silent(event, event.message, 0)],
  node_disconnected: (event) =>
    // Whoever said goodbye for good is not silent; everybody else is, when he does not come back: whether
    // his heartbeat stopped, his process died, or the manager itself went away.
    EXPECTED_ENDS.has(String(detailOf(event, 'reason')))
      ? []
      : [silent(event, 'Node is silent: its link broke and it did not come back', SILENT_AFTER_MS)],
  node_connected: (event) => [heard(event, event.message)],
  node_revoked: (event) => [heard(event, event.message)],
  audit_checkpoint_refused: (event) => [
    {
      rule: 'audit_mismatch',
      // One history, however many nodes find out. A person looks at it, and resolves it.
      key: 'audit_mismatch',
      news: 'raise',
      severity: 'critical',
      message: event.message,
      afterMs: 0,
    },
  ],
};

export const sinkKey = (sinkId: string): string => `sink_behind:${sinkId}`;

/**
 * What the lag of a sink means. A sink that a person paused is not in trouble, and neither is one
 * with nothing to deliver. Null: nothing changes.
 */
export function lagNews(sink: {
  readonly id: string;
  readonly name: string;
  readonly isPaused: boolean;
  readonly events: number;
  /** Age of the oldest event that it has still to look at; null when there is none. */
  readonly oldestMs: number | null;
}): AlertNews | null {
  const about = { rule: 'sink_behind', key: sinkKey(sink.id) } as const;
  const { name, isPaused, events, oldestMs } = sink;
  if (isPaused) return { ...about, news: 'resolve', message: 'the sink is paused' };
  if (oldestMs === null || oldestMs < SINK_CAUGHT_UP_MS) {
    return { ...about, news: 'resolve', message: 'the sink has caught up' };
  }
  if (oldestMs < SINK_BEHIND_MS) return null;
  return {
    ...about,
    news: 'raise',
    severity: 'critical',
    message: `Sink ${name} is behind: ${events} events, the oldest waits for ${durationInWords(oldestMs)}`,
    afterMs: 0,
  };
}

/** Category of the events that tell of alerts; they make no alerts themselves. */
export const ALERT_CATEGORY = 'alert';

/** Types of which an event can mean anything for alerts; of all others `alertNewsOf` is empty. */
export const ALERTING_TYPES: readonly string[] = Object.keys(RULE_OF_TYPE);

/** What an event means for alerts; mostly nothing. */
export function alertNewsOf(event: FleetEvent): readonly AlertNews[] {
  if (event.category === ALERT_CATEGORY) return [];
  return Object.hasOwn(RULE_OF_TYPE, event.type) ? (RULE_OF_TYPE[event.type]?.(event) ?? []) : [];
}

/** An alert as it stands; `waiting` ones are not told yet. */
export type AlertState = 'waiting' | 'raised';

/** What becomes of an alert. `null` for the state: there is none, or none any more. */
export interface AlertStep {
  readonly state: AlertState | null;
  readonly tell: 'raised' | 'resolved' | null;
  /** When a waiting one is to be raised; epoch ms. */
  readonly dueAt: number | null;
}

/** One step: raised once however often it is told, resolved once, and never without having been raised. */
export function stepAlert(
  before: AlertState | null,
  news: AlertNews,
  at: number,
): AlertStep | null {
  if (news.news === 'resolve') {
    if (before === null) return null;
    return { state: null, tell: before === 'raised' ? 'resolved' : null, dueAt: null };
  }
  if (before === 'raised') return null;
  if (news.afterMs === 0) return { state: 'raised', tell: 'raised', dueAt: null };
  // The first of several counts: a link that breaks again and again must not put it off for ever.
  return before === 'waiting' ? null : { state: 'waiting', tell: null, dueAt: at + news.afterMs };
}
