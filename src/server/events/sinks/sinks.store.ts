import type { Circuit, SinkFilter } from '../../../core/event/index.js';
import type { SinkKind } from '../../../protocol/api/index.js';
import type { Cursor, Sql, SqlValue, Tx } from '../../platform/index.js';

/** A sink as it is stored. */
export interface SinkRecord {
  readonly id: string;
  readonly name: string;
  readonly kind: SinkKind;
  /** Null: of the platform. */
  readonly groupId: string | null;
  readonly config: Readonly<Record<string, unknown>>;
  /** Sealed. */
  readonly credentials: string;
  readonly credentialNames: readonly string[];
  readonly filter: SinkFilter;
  readonly isPaused: boolean;
  /** Where delivery stands, and what is wrong. */
  readonly place: SinkPlace;
  readonly fence: number;
  readonly leaseUntil: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** What delivery moves, always by whoever holds the newest fence. */
export interface SinkPlace {
  readonly cursor: number;
  readonly delivered: number;
  readonly missed: number;
  readonly lastDeliveredAt: number | null;
  readonly circuit: Circuit;
  readonly error: { readonly code: string; readonly message: string; readonly at: number } | null;
  /** Up to here events are sent one by one, to find the one that is not taken. */
  readonly singleThrough: number;
  /** The event that was not taken, and how often. */
  readonly stuck: { readonly id: number; readonly tries: number };
}

interface SinkRow {
  id: string;
  name: string;
  kind: SinkKind;
  group_id: string | null;
  config: string;
  credentials: string;
  credential_names: string;
  filter: string;
  is_paused: number;
  cursor_id: number;
  delivered: number;
  missed: number;
  last_delivered_at: number | null;
  circuit: Circuit['state'];
  circuit_since: number;
  failures: number;
  next_try_at: number;
  error_code: string | null;
  error_message: string | null;
  error_at: number | null;
  single_through: number;
  stuck_id: number;
  stuck_tries: number;
  fence: number;
  lease_until: number;
  created_at: number;
  updated_at: number;
}

const PLACE_COLUMNS = [
  'cursor_id',
  'delivered',
  'missed',
  'last_delivered_at',
  'circuit',
  'circuit_since',
  'failures',
  'next_try_at',
  'error_code',
  'error_message',
  'error_at',
  'single_through',
  'stuck_id',
  'stuck_tries',
] as const;
const OWN_COLUMNS = [
  'name',
  'config',
  'credentials',
  'credential_names',
  'filter',
  'is_paused',
  'updated_at',
] as const;
const COLUMNS = [
  ...['id', 'kind', 'group_id'],
  ...OWN_COLUMNS,
  ...PLACE_COLUMNS,
  ...['fence', 'lease_until', 'created_at'],
].join(', ');

const toRecord = (row: SinkRow): SinkRecord => ({
  id: row.id,
  name: row.name,
  kind: row.kind,
  groupId: row.group_id,
  config: JSON.parse(row.config) as Record<string, unknown>,
  credentials: row.credentials,
  credentialNames: JSON.parse(row.credential_names) as string[],
  filter: JSON.parse(row.filter) as SinkFilter,
  isPaused: row.is_paused === 1,
  place: {
    cursor: row.cursor_id,
    delivered: row.delivered,
    missed: row.missed,
    lastDeliveredAt: row.last_delivered_at,
    circuit: {
      state: row.circuit,
      since: row.circuit_since,
      failures: row.failures,
      nextTryAt: row.next_try_at,
    },
    error:
      row.error_code === null
        ? null
        : { code: row.error_code, message: row.error_message ?? '', at: row.error_at ?? 0 },
    singleThrough: row.single_through,
    stuck: { id: row.stuck_id, tries: row.stuck_tries },
  },
  fence: row.fence,
  leaseUntil: row.lease_until,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

const placeValues = (place: SinkPlace): SqlValue[] => [
  place.cursor,
  place.delivered,
  place.missed,
  place.lastDeliveredAt,
  place.circuit.state,
  place.circuit.since,
  place.circuit.failures,
  place.circuit.nextTryAt,
  place.error?.code ?? null,
  place.error?.message ?? null,
  place.error?.at ?? null,
  place.singleThrough,
  place.stuck.id,
  place.stuck.tries,
];
const ownValues = (sink: SinkRecord): SqlValue[] => [
  sink.name,
  JSON.stringify(sink.config),
  sink.credentials,
  JSON.stringify(sink.credentialNames),
  JSON.stringify(sink.filter),
  sink.isPaused ? 1 : 0,
  sink.updatedAt,
];
const settersOf = (columns: readonly string[]): string =>
  columns.map((column) => `${column} = ?`).join(', ');

export async function insertSink(tx: Tx, sink: SinkRecord): Promise<void> {
  const values = [
    ...[sink.id, sink.kind, sink.groupId],
    ...ownValues(sink),
    ...placeValues(sink.place),
    ...[sink.fence, sink.leaseUntil, sink.createdAt],
  ];
  const marks = values.map(() => '?').join(', ');
  await tx.run(`INSERT INTO sinks (${COLUMNS}) VALUES (${marks})`, values);
}

export async function findSink(sql: Sql, id: string): Promise<SinkRecord | null> {
  const row = await sql.get<SinkRow>(`SELECT ${COLUMNS} FROM sinks WHERE id = ?`, [id]);
  return row === undefined ? null : toRecord(row);
}

/** Held until the transaction ends; what `change` makes of it should be stored in the same one. */
export async function holdSink(tx: Tx, id: string): Promise<SinkRecord | null> {
  const row = await tx.get<SinkRow>(
    `UPDATE sinks SET fence = fence + 1 WHERE id = ? RETURNING ${COLUMNS}`,
    [id],
  );
  return row === undefined ? null : toRecord(row);
}

/** Stores all of it but the lease. Of a sink that this transaction holds. */
export async function saveSink(tx: Tx, sink: SinkRecord): Promise<void> {
  await tx.run(`UPDATE sinks SET ${settersOf([...OWN_COLUMNS, ...PLACE_COLUMNS])} WHERE id = ?`, [
    ...ownValues(sink),
    ...placeValues(sink.place),
    sink.id,
  ]);
}

export async function removeSink(tx: Tx, id: string): Promise<void> {
  await tx.run('DELETE FROM sink_dead_letters WHERE sink_id = ?', [id]);
  await tx.run('DELETE FROM sinks WHERE id = ?', [id]);
}

/** How far one sink is behind the log. */
export interface SinkLag extends Pick<SinkRecord, 'id' | 'name' | 'kind' | 'groupId' | 'isPaused'> {
  readonly circuit: Circuit['state'];
  /** Events that it has still to look at. */
  readonly events: number;
  /** When the oldest of them was learned, epoch ms; null when there is none. */
  readonly oldestAt: number | null;
}

/** Of every sink; one look into the primary key of the log for each. */
export async function sinkLags(sql: Sql): Promise<SinkLag[]> {
  const rows = await sql.all<{
    id: string;
    name: string;
    kind: SinkKind;
    group_id: string | null;
    is_paused: number;
    circuit: Circuit['state'];
    behind: number;
    oldest_at: number | null;
  }>(
    `SELECT id, name, kind, group_id, is_paused, circuit,
       (SELECT value FROM event_head WHERE event_head.id = 1) - cursor_id AS behind,
       (SELECT at FROM events WHERE events.id > sinks.cursor_id ORDER BY events.id LIMIT 1) AS oldest_at
     FROM sinks ORDER BY id`,
  );
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    kind: row.kind,
    groupId: row.group_id,
    isPaused: row.is_paused === 1,
    circuit: row.circuit,
    events: Math.max(0, row.behind),
    oldestAt: row.oldest_at,
  }));
}

export async function countSinks(sql: Sql): Promise<number> {
  const row = await sql.get<{ count: number }>('SELECT count(*) AS count FROM sinks');
  return row?.count ?? 0;
}

/** Oldest first. */
export async function listSinks(
  sql: Sql,
  wanted: {
    readonly groups: 'all' | readonly string[];
    readonly after: Cursor | null;
    readonly limit: number;
  },
): Promise<SinkRecord[]> {
  const { groups, after, limit } = wanted;
  if (groups !== 'all' && groups.length === 0) return [];
  const where = ['(created_at > ? OR (created_at = ? AND id > ?))'];
  const params: SqlValue[] = [after?.at ?? -1, after?.at ?? -1, after?.id ?? ''];
  if (groups !== 'all') {
    where.push(`group_id IN (${groups.map(() => '?').join(', ')})`);
    params.push(...groups);
  }
  const rows = await sql.all<SinkRow>(
    `SELECT ${COLUMNS} FROM sinks WHERE ${where.join(' AND ')} ORDER BY created_at, id LIMIT ?`,
    [...params, limit],
  );
  return rows.map(toRecord);
}

/**
 * Sinks with something to deliver, that nobody delivers and that may be tried now. Answers with ids, the one
 * that waits longest first.
 */
export async function dueSinks(sql: Sql, now: number, limit: number): Promise<string[]> {
  const rows = await sql.all<{ id: string }>(
    `SELECT id FROM sinks
     WHERE is_paused = 0 AND lease_until <= ? AND next_try_at <= ?
       AND (cursor_id < (SELECT value FROM event_head WHERE id = 1)
         OR EXISTS (SELECT 1 FROM sink_dead_letters
                    WHERE sink_dead_letters.sink_id = sinks.id AND is_wanted = 1))
     ORDER BY next_try_at, id LIMIT ?`,
    [now, now, limit],
  );
  return rows.map(({ id }) => id);
}

/**
 * Takes the sink for one run of delivery, or answers null: it is paused, waits, is gone, or another has it.
 * The fence that comes with it is newer than all before.
 */
export async function takeSink(
  tx: Tx,
  id: string,
  lease: { readonly owner: string; readonly now: number; readonly until: number },
): Promise<SinkRecord | null> {
  const row = await tx.get<SinkRow>(
    `UPDATE sinks SET lease_owner = ?, lease_until = ?, fence = fence + 1
     WHERE id = ? AND is_paused = 0 AND lease_until <= ? AND next_try_at <= ?
     RETURNING ${COLUMNS}`,
    [lease.owner, lease.until, id, lease.now, lease.now],
  );
  return row === undefined ? null : toRecord(row);
}

/** False when the fence is not the newest any more: whoever asks must stop. */
export async function renewLease(
  tx: Tx,
  { id, fence }: Pick<SinkRecord, 'id' | 'fence'>,
  until: number,
): Promise<boolean> {
  const changed = await tx.run('UPDATE sinks SET lease_until = ? WHERE id = ? AND fence = ?', [
    until,
    id,
    fence,
  ]);
  return changed === 1;
}

/** Also when the fence was overtaken: whoever waits for the end of this run need not wait longer. */
export async function endLease(tx: Tx, id: string, owner: string): Promise<void> {
  await tx.run(
    'UPDATE sinks SET lease_until = 0, lease_owner = NULL WHERE id = ? AND lease_owner = ?',
    [id, owner],
  );
}

/** False when the fence is not the newest any more; then nothing was changed. */
export async function savePlace(
  tx: Tx,
  { id, fence }: Pick<SinkRecord, 'id' | 'fence'>,
  place: SinkPlace,
): Promise<boolean> {
  const changed = await tx.run(
    `UPDATE sinks SET ${settersOf(PLACE_COLUMNS)} WHERE id = ? AND fence = ?`,
    [...placeValues(place), id, fence],
  );
  return changed === 1;
}
