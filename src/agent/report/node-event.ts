import type { OutboxEvent } from '../../core/update/index.js';
import { EVENT_DETAILS_BYTES_MAX, NodeEvent } from '../../protocol/node/index.js';
import type { SpoolEvent } from './segment.js';

const MESSAGE_MAX = 2_000;
const DETAIL_MAX = 4_000;
/** A detail that had to be cut keeps this much. */
const DETAIL_CUT = 200;

const categoryOf = (type: string): SpoolEvent['category'] => {
  if (type.startsWith('upgrade_')) return 'upgrade';
  return type.startsWith('service_') ? 'service' : 'agent';
};

function fitDetails(details: OutboxEvent['details'], stringMax: number): OutboxEvent['details'] {
  const entries = Object.entries(details).map(
    ([key, value]) =>
      [key.slice(0, 64), typeof value === 'string' ? value.slice(0, stringMax) : value] as const,
  );
  return Object.fromEntries(entries);
}

/**
 * An event as the link takes it, or null when nothing can make it fit. What is too long is cut: one
 * event that the manager refuses would hold up all behind it for ever.
 */
export function toSpoolEvent(service: string | null, event: OutboxEvent): SpoolEvent | null {
  let details = fitDetails(event.details, DETAIL_MAX);
  if (Buffer.byteLength(JSON.stringify(details)) > EVENT_DETAILS_BYTES_MAX) {
    details = fitDetails(event.details, DETAIL_CUT);
  }
  if (Buffer.byteLength(JSON.stringify(details)) > EVENT_DETAILS_BYTES_MAX) {
    details = { error_code: event.details['error_code'] ?? null };
  }
  const parsed = NodeEvent.omit({ seq: true }).safeParse({
    at: event.at,
    type: event.type,
    category: categoryOf(event.type),
    severity: event.severity,
    service,
    command_id: event.command_id,
    message: event.message.slice(0, MESSAGE_MAX),
    details,
  });
  return parsed.success ? parsed.data : null;
}
