/** An event as it stands in the log, with its number. The form of the HTTP interface. */
export interface FleetEvent {
  /** The one gapless sequence. */
  readonly id: number;
  /** When the manager learned it, RFC 3339 in UTC. */
  readonly at: string;
  /** When it happened, by the clock of whoever saw it. */
  readonly occurred_at: string;
  /** Whether that clock can be believed: `ok`, `ahead`, `late`, `unset`. */
  readonly clock: string;
  readonly category: string;
  readonly type: string;
  /** Of the type. */
  readonly version: number;
  readonly severity: EventSeverity;
  readonly node_id: string | null;
  readonly group_id: string;
  readonly rollout_id: string | null;
  readonly command_id: string | null;
  readonly service: string | null;
  /** The code of what went wrong, when it tells of that. */
  readonly error_code: string | null;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export const EVENT_SEVERITIES = ['info', 'warning', 'critical'] as const;
export type EventSeverity = (typeof EVENT_SEVERITIES)[number];

/** Who tells the event: the manager that keeps the log. */
export interface EventOrigin {
  /** Public address of the manager: scheme, host, port. */
  readonly manager: string;
  readonly version: string;
}

/** A detail that is a text, else null. */
export function detailOf(event: FleetEvent, name: string): string | null {
  const value = event.details[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

/** Whether it tells of something that failed. */
export const tellsFailure = (event: FleetEvent): boolean =>
  event.error_code !== null || /_(failed|rolled_back|lost)$/.test(event.type);
