import { Inject, Injectable } from '@nestjs/common';
import { toIso, type JsonValue } from '../../core/kernel/index.js';
import type { AuditEntry } from '../../protocol/api/index.js';
import type { Sql, SqlValue, Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
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

export interface AuditFilter {
  /** Entries with a smaller id; null starts at the newest. */
  readonly before: number | null;
  readonly limit: number;
  readonly groups: 'all' | readonly string[];
  readonly action?: string | undefined;
}

interface AuditRow {
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
}

const COLUMNS = [
  'id, at, actor_kind, actor_id, actor_name, action, target_kind',
  'target_id, group_id, outcome, details, request_id, ip',
].join(', ');

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

  /** Appends in the transaction of the deed: both are kept, or neither is. */
  async append(tx: Tx, entry: NewAuditEntry): Promise<void> {
    const values = toValues(entry, this.clock.now());
    const waiting = this.#waiting.get(tx);
    if (waiting !== undefined) {
      waiting.push(values);
      return;
    }
    this.#waiting.set(tx, [values]);
    tx.beforeCommit(this, () => this.#write(tx), COMMIT_RANK);
  }

  /** Entries newest first; one more than `limit` may be asked for to see whether there are more. */
  async read(sql: Sql, filter: AuditFilter): Promise<AuditEntry[]> {
    const where = ['id < ?'];
    const params: SqlValue[] = [filter.before ?? Number.MAX_SAFE_INTEGER];
    if (filter.action !== undefined) {
      where.push('action = ?');
      params.push(filter.action);
    }
    if (filter.groups !== 'all') {
      if (filter.groups.length === 0) return [];
      where.push(`group_id IN (${filter.groups.map(() => '?').join(', ')})`);
      params.push(...filter.groups);
    }
    params.push(filter.limit);
    const rows = await sql.all<AuditRow>(
      `SELECT ${COLUMNS} FROM audit_entries WHERE ${where.join(' AND ')} ORDER BY id DESC LIMIT ?`,
      params,
    );
    return rows.map(toEntry);
  }

  async #write(tx: Tx): Promise<void> {
    const entries = this.#waiting.get(tx) ?? [];
    // From here on an append starts a new round: it may come from another work of this commit.
    this.#waiting.delete(tx);
    const head = await tx.get<{ value: number }>(
      'UPDATE audit_head SET value = value + ? WHERE id = 1 RETURNING value',
      [entries.length],
    );
    let id = (head?.value ?? 0) - entries.length;
    for (const values of entries) {
      id += 1;
      await tx.run(
        `INSERT INTO audit_entries (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        [id, ...values],
      );
    }
  }
}

const toValues = (entry: NewAuditEntry, nowMs: number): SqlValue[] => [
  nowMs,
  entry.caller.kind,
  entry.caller.id,
  entry.caller.name,
  entry.action,
  entry.targetKind,
  entry.targetId,
  entry.groupId,
  entry.outcome,
  JSON.stringify(entry.details),
  entry.caller.requestId,
  entry.caller.ip,
];

const toEntry = (row: AuditRow): AuditEntry => ({
  ...row,
  at: toIso(row.at),
  details: JSON.parse(row.details) as Record<string, unknown>,
});
