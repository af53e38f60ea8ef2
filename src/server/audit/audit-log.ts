import { Inject, Injectable } from '@nestjs/common';
import { cleanDetails, cleanText, type AuditRecord } from '../../core/audit/index.js';
import { toIso, type JsonValue } from '../../core/kernel/index.js';
import type { AuditEntry } from '../../protocol/api/index.js';
import type { Sql, SqlValue, Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import type { AuditAction } from './actions.js';

/** An entry before it has a number. `details` must hold nothing secret: it is kept for ever. */
export interface NewAuditEntry {
  readonly caller: Caller;
  readonly action: AuditAction;
  readonly targetKind: string;
  readonly targetId: string;
  /** The group whose admins may read the entry; null keeps it to super admins. */
  readonly groupId: string | null;
  readonly outcome: 'allowed' | 'refused' | 'failed';
  readonly details: Readonly<Record<string, JsonValue>>;
}

/** What is looked for; what is left out is not asked about. */
export interface AuditWanted {
  readonly action?: string | undefined;
  readonly outcome?: string | undefined;
  readonly actor_kind?: string | undefined;
  readonly actor_id?: string | undefined;
  readonly target_kind?: string | undefined;
  readonly target_id?: string | undefined;
  readonly request_id?: string | undefined;
  /** RFC 3339, inclusive. */
  readonly since?: string | undefined;
  /** RFC 3339, exclusive. */
  readonly until?: string | undefined;
}

export interface AuditFilter extends AuditWanted {
  /** Entries with a smaller id; null starts at the newest. */
  readonly before: number | null;
  readonly limit: number;
  readonly groups: 'all' | readonly string[];
}

/** A stretch of the log in its own order. */
export interface AuditStretch extends AuditWanted {
  readonly after: number;
  /** The last entry that is meant. */
  readonly through: number;
  readonly limit: number;
  readonly groups: 'all' | readonly string[];
}

/** A row as it is stored; `details` is JSON. */
export interface AuditRow {
  id: number;
  at: number;
  actor_kind: AuditEntry['actor_kind'];
  actor_id: string;
  actor_name: string;
  action: string;
  target_kind: string;
  target_id: string;
  group_id: string | null;
  outcome: AuditEntry['outcome'];
  details: string;
  request_id: string;
  ip: string;
  user_agent: string;
}

export const AUDIT_COLUMNS = [
  'id, at, actor_kind, actor_id, actor_name, action, target_kind',
  'target_id, group_id, outcome, details, request_id, ip, user_agent',
].join(', ');

const EQUAL = [
  'action',
  'outcome',
  'actor_kind',
  'actor_id',
  'target_kind',
  'target_id',
  'request_id',
] as const;

const PLACES = '(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)';
/** 14 columns; SQLite takes 32 766 parameters a statement. */
const ROWS_PER_INSERT = 100;

/** After the event log, which uses rank 0: two counters that are locked in one order. */
const COMMIT_RANK = 1;

/**
 * What people, tokens and nodes did, append-only. Ids are gapless and follow the order of the
 * commits on both databases: they come from a counter row that is taken just before COMMIT.
 */
@Injectable()
export class AuditLog {
  readonly #waiting = new WeakMap<Tx, SqlValue[][]>();

  constructor(@Inject(CLOCK) private readonly clock: Clock) {}

  /**
   * Appends in the transaction of the deed: both are kept, or neither is. Secrets in `details` are
   * taken out by name and by look; what is too long is cut.
   */
  async append(tx: Tx, entry: NewAuditEntry): Promise<void> {
    const values = toValues(entry, this.clock.now());
    const waiting = this.#waiting.get(tx);
    if (waiting !== undefined) {
      waiting.push(values);
      return;
    }
    this.#waiting.set(tx, [values]);
    tx.beforeCommit(this, () => this.#writeTold(tx), COMMIT_RANK);
  }

  /** Entries newest first; one more than `limit` may be asked for to see whether there are more. */
  async read(sql: Sql, filter: AuditFilter): Promise<AuditEntry[]> {
    const { where, params } = conditionsOf(filter);
    if (filter.groups !== 'all' && filter.groups.length === 0) return [];
    const rows = await sql.all<AuditRow>(
      `SELECT ${AUDIT_COLUMNS} FROM audit_entries
       WHERE id < ?${where} ORDER BY id DESC LIMIT ?`,
      [filter.before ?? Number.MAX_SAFE_INTEGER, ...params, filter.limit],
    );
    return rows.map(toEntry);
  }

  /** The same, oldest first: for exports. Entries that were sealed are no longer in the table. */
  async readOn(sql: Sql, stretch: AuditStretch): Promise<AuditEntry[]> {
    const { where, params } = conditionsOf(stretch);
    if (stretch.groups !== 'all' && stretch.groups.length === 0) return [];
    const rows = await sql.all<AuditRow>(
      `SELECT ${AUDIT_COLUMNS} FROM audit_entries
       WHERE id > ? AND id <= ?${where} ORDER BY id LIMIT ?`,
      [stretch.after, stretch.through, ...params, stretch.limit],
    );
    return rows.map(toEntry);
  }

  /** The last id that was given; every entry up to it is there, or sealed. */
  async head(sql: Sql): Promise<number> {
    const row = await sql.get<{ value: number }>('SELECT value FROM audit_head WHERE id = 1');
    return row?.value ?? 0;
  }

  /** Without its entry a deed is undone; that this happens is counted. */
  async #writeTold(tx: Tx): Promise<void> {
    try {
      await this.#write(tx);
    } catch (error) {
      meters.count('bellwether_audit_failures_total', 'entry');
      throw error;
    }
  }

  async #write(tx: Tx): Promise<void> {
    const entries = this.#waiting.get(tx) ?? [];
    // From here on an append starts a new round: it may come from another work of this commit.
    this.#waiting.delete(tx);
    const head = await tx.get<{ value: number }>(
      'UPDATE audit_head SET value = value + ? WHERE id = 1 RETURNING value',
      [entries.length],
    );
    tx.afterCommit(() => {
      for (const values of entries) {
        meters.count('bellwether_audit_entries_total', String(values[OUTCOME_AT]));
      }
    });
    let id = (head?.value ?? 0) - entries.length;
    const rows = entries.map((values) => [(id += 1), ...values]);
    for (let start = 0; start < rows.length; start += ROWS_PER_INSERT) {
      const chunk = rows.slice(start, start + ROWS_PER_INSERT);
      const places = chunk.map(() => PLACES).join(', ');
      await tx.run(`INSERT INTO audit_entries (${AUDIT_COLUMNS}) VALUES ${places}`, chunk.flat());
    }
  }
}

function conditionsOf(filter: AuditWanted & { readonly groups: 'all' | readonly string[] }): {
  readonly where: string;
  readonly params: SqlValue[];
} {
  const params: SqlValue[] = [];
  let where = '';
  const add = (condition: string, ...values: readonly SqlValue[]): void => {
    where += ` AND ${condition}`;
    params.push(...values);
  };
  for (const column of EQUAL) {
    const wanted = filter[column];
    if (wanted !== undefined) add(`${column} = ?`, wanted);
  }
  if (filter.since !== undefined) add('at >= ?', Date.parse(filter.since));
  if (filter.until !== undefined) add('at < ?', Date.parse(filter.until));
  if (filter.groups !== 'all') {
    add(`group_id IN (${filter.groups.map(() => '?').join(', ')})`, ...filter.groups);
  }
  return { where, params };
}

/** Where `toValues` has it. */
const OUTCOME_AT = 8;

/** Everything is cleaned before it is stored: the leaf of the tree is made from what is stored. */
const toValues = (entry: NewAuditEntry, nowMs: number): SqlValue[] => [
  nowMs,
  entry.caller.kind,
  cleanText(entry.caller.id),
  cleanText(entry.caller.name),
  entry.action,
  cleanText(entry.targetKind),
  cleanText(entry.targetId),
  entry.groupId,
  entry.outcome,
  JSON.stringify(cleanDetails(entry.details)),
  cleanText(entry.caller.requestId),
  cleanText(entry.caller.ip),
  cleanText(entry.caller.userAgent ?? ''),
];

/** A row as it is shown, exported and hashed. */
export const toEntry = (row: AuditRow): AuditEntry & AuditRecord => ({
  ...row,
  at: toIso(row.at),
  details: JSON.parse(row.details) as Record<string, unknown>,
});
