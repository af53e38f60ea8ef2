import { toIso, type JsonValue } from '../../core/kernel/index.js';
import {
  clockOf,
  EVENT_TYPES,
  type EventCategory,
  type EventType,
  type Severity,
} from '../../protocol/index.js';
import type { Event } from '../../protocol/api/index.js';
import type { SqlValue } from '../platform/index.js';

/** An event before it has a number. */
export interface NewEvent {
  readonly category: EventCategory;
  /** A row of `EVENT_TYPES`: add it there first. */
  readonly type: EventType;
  readonly severity: Severity;
  readonly nodeId: string | null;
  readonly groupId: string;
  readonly rolloutId?: string | null;
  readonly commandId?: string | null;
  readonly service?: string | null;
  readonly message: string;
  readonly details: Readonly<Record<string, JsonValue>>;
  /** When it was learned, epoch ms. */
  readonly at: number;
  /** By the clock of whoever saw it; left out where that is the manager itself. */
  readonly occurredAt?: number | null;
}

export interface EventRow {
  id: number;
  at: number;
  occurred_at: number | null;
  category: string;
  type: string;
  version: number;
  severity: Severity;
  node_id: string | null;
  group_id: string;
  rollout_id: string | null;
  command_id: string | null;
  service: string | null;
  error_code: string | null;
  message: string;
  details: string;
}

export const COLUMNS =
  'id, at, occurred_at, category, type, version, severity, node_id, group_id, rollout_id, ' +
  'command_id, service, error_code, message, details';

/** Places in `COLUMNS` of what neighbours mostly share: those of one node, or of one decision. */
export const ALIKE = [
  'at',
  'category',
  'version',
  'severity',
  'node_id',
  'group_id',
  'rollout_id',
  'command_id',
  'service',
  'error_code',
].map((column) => COLUMNS.split(', ').indexOf(column));

/** PostgreSQL takes no NUL in a text; SQLite tools stop at one. */
const NUL = '\u0000';
const withoutNul = (text: string): string =>
  text.includes(NUL) ? text.replaceAll(NUL, '\ufffd') : text;

export const errorCodeOf = ({ details }: Pick<NewEvent, 'details'>): string | null => {
  const code = details['error_code'];
  return typeof code === 'string' && code !== '' ? withoutNul(code.slice(0, 64)) : null;
};

/** In the order of `COLUMNS`. */
export const toValues = (id: number, event: NewEvent): SqlValue[] => [
  id,
  event.at,
  event.occurredAt ?? null,
  event.category,
  event.type,
  EVENT_TYPES[event.type].version,
  event.severity,
  event.nodeId,
  event.groupId,
  event.rolloutId ?? null,
  event.commandId ?? null,
  event.service ?? null,
  errorCodeOf(event),
  withoutNul(event.message),
  JSON.stringify(event.details),
];

let lastAt = { ms: 0, text: toIso(0) };
/** Events that were stored together have the same moment, and writing it out is half of what a row costs. */
function receivedAt(ms: number): string {
  if (lastAt.ms !== ms) lastAt = { ms, text: toIso(ms) };
  return lastAt.text;
}

const timesOf = (row: EventRow) => {
  const occurredAt = row.occurred_at ?? row.at;
  return {
    at: receivedAt(row.at),
    occurred_at: toIso(occurredAt),
    clock: clockOf(occurredAt, row.at),
  };
};

export const toEvent = (row: EventRow): Event => ({
  id: row.id,
  ...timesOf(row),
  category: row.category,
  type: row.type,
  version: row.version,
  severity: row.severity,
  node_id: row.node_id,
  group_id: row.group_id,
  rollout_id: row.rollout_id,
  command_id: row.command_id,
  service: row.service,
  error_code: row.error_code,
  message: row.message,
  details: JSON.parse(row.details) as Record<string, unknown>,
});

const quoted = (text: string | null): string => (text === null ? 'null' : `"${text}"`);

/**
 * The one line of an event, byte for byte: what is exported, streamed and sealed. The same fields as
 * `toEvent`, details as they were stored. Ids, times and words need no escapes.
 */
export function toLine(row: EventRow): string {
  const { at, occurred_at: occurredAt, clock } = timesOf(row);
  return (
    `{"id":${row.id},"at":"${at}","occurred_at":"${occurredAt}","clock":"${clock}",` +
    `"category":${JSON.stringify(row.category)},"type":${JSON.stringify(row.type)},` +
    `"version":${row.version},"severity":"${row.severity}",` +
    `"node_id":${quoted(row.node_id)},"group_id":"${row.group_id}",` +
    `"rollout_id":${quoted(row.rollout_id)},"command_id":${quoted(row.command_id)},` +
    `"service":${quoted(row.service)},"error_code":${JSON.stringify(row.error_code)},` +
    `"message":${JSON.stringify(row.message)},"details":${row.details}}`
  );
}
