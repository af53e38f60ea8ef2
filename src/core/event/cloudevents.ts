import type { EventOrigin, FleetEvent } from './event.js';
import { toJson } from './json.js';

/** As many digits as the largest number has that JSON carries whole: texts sort as their numbers. */
const SEQUENCE_DIGITS = 16;

/**
 * The event as a CloudEvent 1.0 in structured form. `source` and `id` together are never given twice;
 * `sequence` is that of the extension of this name.
 */
export const toCloudEvent = (
  event: FleetEvent,
  origin: EventOrigin,
): Readonly<Record<string, unknown>> => ({
  specversion: '1.0',
  id: String(event.id),
  source: origin.manager,
  type: `bellwether.${event.category}.${event.type}`,
  subject: event.node_id ?? event.rollout_id ?? event.group_id,
  time: event.at,
  datacontenttype: 'application/json',
  sequence: String(event.id).padStart(SEQUENCE_DIGITS, '0'),
  severitytext: event.severity,
  data: toJson(event),
});
