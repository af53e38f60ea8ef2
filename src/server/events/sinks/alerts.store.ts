import type { AlertRule, AlertState, EventSeverity } from '../../../core/event/index.js';
import {
  filledUp,
  questionMarks,
  type Cursor,
  type Sql,
  type SqlValue,
  type Tx,
} from '../../platform/index.js';

export interface AlertRecord {
  readonly id: string;
  readonly rule: AlertRule;
  readonly key: string;
  readonly state: AlertState | 'resolved';
  readonly severity: EventSeverity;
  readonly groupId: string;
  readonly nodeId: string | null;
  readonly rolloutId: string | null;
  readonly service: string | null;
  readonly message: string;
  /** When a waiting one is raised; epoch ms. */
  readonly dueAt: number | null;
  /** Of a waiting one: when it began to wait. */
  readonly raisedAt: number;
  readonly resolvedAt: number | null;
}

interface Row {
  id: string;
  rule: AlertRule;
  dedupe_key: string;
  state: AlertRecord['state'];
  severity: EventSeverity;
  group_id: string;
  node_id: string | null;
  rollout_id: string | null;
  service: string | null;
  message: string;
  due_at: number | null;
  raised_at: number;
  resolved_at: number | null;
}

const COLUMNS =
  'id, rule, dedupe_key, state, severity, group_id, node_id, rollout_id, service, message, due_at, raised_at, resolved_at';

const toRecord = (row: Row): AlertRecord => ({
  id: row.id,
  rule: row.rule,
  key: row.dedupe_key,
  state: row.state,
  severity: row.severity,
  groupId: row.group_id,
  nodeId: row.node_id,
  rolloutId: row.rollout_id,
  service: row.service,
  message: row.message,
  dueAt: row.due_at,
  raisedAt: row.raised_at,
  resolvedAt: row.resolved_at,
});
const valuesOf = (alert: AlertRecord): SqlValue[] => [
  alert.id,
  alert.rule,
  alert.key,
  alert.state,
  alert.severity,
  alert.groupId,
  alert.nodeId,
  alert.rolloutId,
  alert.service,
  alert.message,
  alert.dueAt,
  alert.raisedAt,
  alert.resolvedAt,
];

/** How far the log was looked through, held until the transaction ends: one at a time looks on. */
export async function holdAlertCursor(tx: Tx): Promise<number> {
  const row = await tx.get<{ value: number }>(
    'UPDATE alert_cursor SET value = value WHERE id = 1 RETURNING value',
  );
  return row?.value ?? 0;
}

export async function saveAlertCursor(tx: Tx, value: number): Promise<void> {
  await tx.run('UPDATE alert_cursor SET value = ? WHERE id = 1', [value]);
}

export async function alertCursor(sql: Sql): Promise<number> {
  const row = await sql.get<{ value: number }>('SELECT value FROM alert_cursor WHERE id = 1');
  return row?.value ?? 0;
}

/** Those of these keys that are not over, by key. */
export async function openAlerts(
  sql: Sql,
  keys: Iterable<string>,
): Promise<Map<string, AlertRecord>> {
  const asked = filledUp([...new Set(keys)]);
  if (asked.length === 0) return new Map();
  const rows = await sql.all<Row>(
    `SELECT ${COLUMNS} FROM alerts
     WHERE dedupe_key IN (${questionMarks(asked.length)}) AND resolved_at IS NULL`,
    asked,
  );
  return new Map(rows.map((row) => [row.dedupe_key, toRecord(row)]));
}

export async function findAlert(sql: Sql, id: string): Promise<AlertRecord | null> {
  const row = await sql.get<Row>(`SELECT ${COLUMNS} FROM alerts WHERE id = ?`, [id]);
  return row === undefined ? null : toRecord(row);
}

export async function insertAlert(tx: Tx, alert: AlertRecord): Promise<void> {
  const values = valuesOf(alert);
  await tx.run(
    `INSERT INTO alerts (${COLUMNS}) VALUES (${values.map(() => '?').join(', ')})`,
    values,
  );
}

export async function updateAlert(tx: Tx, alert: AlertRecord): Promise<void> {
  await tx.run(
    `UPDATE alerts SET state = ?, severity = ?, message = ?, due_at = ?, raised_at = ?, resolved_at = ?
     WHERE id = ?`,
    [
      alert.state,
      alert.severity,
      alert.message,
      alert.dueAt,
      alert.raisedAt,
      alert.resolvedAt,
      alert.id,
    ],
  );
}

/** One that was never told leaves no trace. */
export async function removeAlert(tx: Tx, id: string): Promise<void> {
  await tx.run('DELETE FROM alerts WHERE id = ?', [id]);
}

export async function dueAlerts(sql: Sql, now: number, limit: number): Promise<AlertRecord[]> {
  const rows = await sql.all<Row>(
    `SELECT ${COLUMNS} FROM alerts WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?`,
    [now, limit],
  );
  return rows.map(toRecord);
}

/** Alerts of one rule that are raised and not resolved. */
export async function raisedAlerts(sql: Sql, rule: AlertRule): Promise<AlertRecord[]> {
  const rows = await sql.all<Row>(
    `SELECT ${COLUMNS} FROM alerts WHERE rule = ? AND resolved_at IS NULL ORDER BY id`,
    [rule],
  );
  return rows.map(toRecord);
}

/** Newest first; those that wait are not told to anybody. */
export async function listAlerts(
  sql: Sql,
  wanted: {
    readonly groups: 'all' | readonly string[];
    readonly state?: 'raised' | 'resolved' | undefined;
    readonly rule?: string | undefined;
    readonly before: Cursor | null;
    readonly limit: number;
  },
): Promise<AlertRecord[]> {
  const { groups, state, rule, before, limit } = wanted;
  if (groups !== 'all' && groups.length === 0) return [];
  const where = ["state <> 'waiting'"];
  const params: SqlValue[] = [];
  const add = (condition: string, ...values: SqlValue[]): void => {
    where.push(condition);
    params.push(...values);
  };
  if (before !== null) {
    add('(raised_at < ? OR (raised_at = ? AND id < ?))', before.at, before.at, before.id);
  }
  if (groups !== 'all') add(`group_id IN (${groups.map(() => '?').join(', ')})`, ...groups);
  if (state !== undefined) add('state = ?', state);
  if (rule !== undefined) add('rule = ?', rule);
  const rows = await sql.all<Row>(
    `SELECT ${COLUMNS} FROM alerts WHERE ${where.join(' AND ')}
     ORDER BY raised_at DESC, id DESC LIMIT ?`,
    [...params, limit],
  );
  return rows.map(toRecord);
}
