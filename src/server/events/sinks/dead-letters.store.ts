import type { FleetEvent } from '../../../core/event/index.js';
import type { Sql, SqlValue, Tx } from '../../platform/index.js';

/** An event that a receiver will not take, as it was when it was not taken. */
export interface DeadLetterRecord {
  readonly event: FleetEvent;
  readonly at: number;
  readonly code: string;
  readonly message: string;
  readonly tries: number;
  /** Somebody asked to have it tried once more. */
  readonly isWanted: boolean;
}

interface Row {
  at: number;
  code: string;
  message: string;
  tries: number;
  is_wanted: number;
  event: string;
}

const COLUMNS = 'at, code, message, tries, is_wanted, event';
/** Ids in one statement; SQLite takes 32 766 parameters. */
const CHOICE_MAX = 1_000;

const toRecord = (row: Row): DeadLetterRecord => ({
  event: JSON.parse(row.event) as FleetEvent,
  at: row.at,
  code: row.code,
  message: row.message,
  tries: row.tries,
  isWanted: row.is_wanted === 1,
});

/** A letter that is there already counts its tries on, and waits for nobody any more. */
export async function putDeadLetter(
  tx: Tx,
  sinkId: string,
  letter: Omit<DeadLetterRecord, 'isWanted'>,
): Promise<void> {
  await tx.run(
    `INSERT INTO sink_dead_letters (sink_id, event_id, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, 0, ?)
     ON CONFLICT (sink_id, event_id) DO UPDATE SET at = excluded.at, code = excluded.code,
       message = excluded.message, tries = sink_dead_letters.tries + excluded.tries, is_wanted = 0`,
    [
      sinkId,
      letter.event.id,
      letter.at,
      letter.code,
      letter.message,
      letter.tries,
      JSON.stringify(letter.event),
    ],
  );
}

/** By kind of sink; kinds without any are left out. */
export async function deadLettersByKind(sql: Sql): Promise<ReadonlyMap<string, number>> {
  const rows = await sql.all<{ kind: string; count: number }>(
    `SELECT kind, count(*) AS count FROM sink_dead_letters
     JOIN sinks ON sinks.id = sink_dead_letters.sink_id GROUP BY kind`,
  );
  return new Map(rows.map(({ kind, count }) => [kind, count]));
}

export async function countDeadLetters(sql: Sql, sinkId: string): Promise<number> {
  const row = await sql.get<{ count: number }>(
    'SELECT count(*) AS count FROM sink_dead_letters WHERE sink_id = ?',
    [sinkId],
  );
  return row?.count ?? 0;
}

/** In the order of the log. */
export async function listDeadLetters(
  sql: Sql,
  sinkId: string,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<DeadLetterRecord[]> {
  const rows = await sql.all<Row>(
    `SELECT ${COLUMNS} FROM sink_dead_letters WHERE sink_id = ? AND event_id > ?
     ORDER BY event_id LIMIT ?`,
    [sinkId, after, limit],
  );
  return rows.map(toRecord);
}

export async function wantedDeadLetters(
  sql: Sql,
  sinkId: string,
  limit: number,
): Promise<DeadLetterRecord[]> {
  const rows = await sql.all<Row>(
    `SELECT ${COLUMNS} FROM sink_dead_letters WHERE sink_id = ? AND is_wanted = 1
     ORDER BY event_id LIMIT ?`,
    [sinkId, limit],
  );
  return rows.map(toRecord);
}

/** `ids` null: all of them. Answers how many there were. */
export async function wantDeadLetters(
  tx: Tx,
  sinkId: string,
  ids: readonly number[] | null,
): Promise<number> {
  const [where, params] = choice(sinkId, ids);
  return await tx.run(`UPDATE sink_dead_letters SET is_wanted = 1 WHERE ${where}`, params);
}

export async function removeDeadLetters(
  tx: Tx,
  sinkId: string,
  ids: readonly number[] | null,
): Promise<number> {
  const [where, params] = choice(sinkId, ids);
  return await tx.run(`DELETE FROM sink_dead_letters WHERE ${where}`, params);
}

const choice = (sinkId: string, ids: readonly number[] | null): [string, SqlValue[]] =>
  ids === null
    ? ['sink_id = ?', [sinkId]]
    : [
        `sink_id = ? AND event_id IN (${ids
          .slice(0, CHOICE_MAX)
          .map(() => '?')
          .join(', ')})`,
        [sinkId, ...ids.slice(0, CHOICE_MAX)],
      ];
