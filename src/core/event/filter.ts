import { EVENT_SEVERITIES, type EventSeverity, type FleetEvent } from './event.js';

/** What of the log somebody wants; what is null or left out lets everything through. */
export interface SinkFilter {
  readonly categories: readonly string[] | null;
  readonly types: readonly string[] | null;
  readonly error_codes: readonly string[] | null;
  readonly min_severity: EventSeverity | null;
  /** With everything below them; turned into all their ids where the tree is known. */
  readonly groups: readonly string[] | null;
}

const holds = (list: readonly string[] | null, value: string | null): boolean =>
  list === null || (value !== null && list.includes(value));

/** Whether the event is wanted, its group aside: that is looked at where the log is read. */
export const wants = (filter: SinkFilter, event: FleetEvent): boolean =>
  holds(filter.categories, event.category) &&
  holds(filter.types, event.type) &&
  holds(filter.error_codes, event.error_code) &&
  (filter.min_severity === null ||
    EVENT_SEVERITIES.indexOf(event.severity) >= EVENT_SEVERITIES.indexOf(filter.min_severity));
