import type { FleetEvent } from './event.js';

/** The event as the HTTP interface gives it, and nothing else. */
export const toJson = (event: FleetEvent): Readonly<Record<string, unknown>> => ({
  id: event.id,
  at: event.at,
  occurred_at: event.occurred_at,
  clock: event.clock,
  category: event.category,
  type: event.type,
  version: event.version,
  severity: event.severity,
  node_id: event.node_id,
  group_id: event.group_id,
  rollout_id: event.rollout_id,
  command_id: event.command_id,
  service: event.service,
  error_code: event.error_code,
  message: event.message,
  details: event.details,
});
