import { PlanTerms } from '../../protocol/api/index.js';
import {
  newestFirst,
  questionMarks,
  type PageOfGroups,
  type Sql,
  type SqlValue,
  type Tx,
} from '../platform/index.js';

/** A plan as it is stored. */
export interface StoredPlan {
  readonly id: string;
  readonly groupId: string;
  readonly name: string;
  readonly note: string;
  /** From 1; one more with each change of the terms. */
  readonly revision: number;
  readonly terms: PlanTerms;
  /** How many schedules start rollouts by it. */
  readonly schedules: number;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly updatedBy: string;
  readonly updatedAt: number;
}

interface PlanRow {
  id: string;
  group_id: string;
  name: string;
  note: string;
  revision: number;
  terms: string;
  schedules: number;
  created_by: string;
  created_at: number;
  updated_by: string;
  updated_at: number;
}

const SELECT = `SELECT id, group_id, name, note, revision, terms, created_by, created_at, updated_by, updated_at,
  CAST((SELECT count(*) FROM schedules WHERE plan_id = rollout_plans.id) AS integer) AS schedules
  FROM rollout_plans`;

const toPlan = (row: PlanRow): StoredPlan => ({
  id: row.id,
  groupId: row.group_id,
  name: row.name,
  note: row.note,
  revision: row.revision,
  // Read by the schema: a term that came later has its default in plans of before.
  terms: PlanTerms.parse(JSON.parse(row.terms)),
  schedules: row.schedules,
  createdBy: row.created_by,
  createdAt: row.created_at,
  updatedBy: row.updated_by,
  updatedAt: row.updated_at,
});

/** False when the group has one of this name; then nothing was written. */
export async function insertPlan(tx: Tx, plan: StoredPlan): Promise<boolean> {
  const values: SqlValue[] = [
    plan.id,
    plan.groupId,
    plan.name,
    plan.note,
    plan.revision,
    JSON.stringify(plan.terms),
    plan.createdBy,
    plan.createdAt,
    plan.updatedBy,
    plan.updatedAt,
  ];
  const inserted = await tx.run(
    `INSERT INTO rollout_plans (id, group_id, name, note, revision, terms, created_by, created_at, updated_by, updated_at)
     VALUES (${questionMarks(values.length)}) ON CONFLICT (group_id, name) DO NOTHING`,
    values,
  );
  return inserted === 1;
}

export async function findPlan(sql: Sql, id: string): Promise<StoredPlan | null> {
  const row = await sql.get<PlanRow>(`${SELECT} WHERE id = ?`, [id]);
  return row === undefined ? null : toPlan(row);
}

/** Held until the transaction ends: no schedule can take it up, and nobody else change it. */
export async function holdPlan(tx: Tx, id: string): Promise<StoredPlan | null> {
  const held = await tx.run('UPDATE rollout_plans SET note = note WHERE id = ?', [id]);
  return held === 0 ? null : findPlan(tx, id);
}

/** Of the transaction that holds it. */
export async function savePlan(tx: Tx, plan: StoredPlan): Promise<void> {
  await tx.run(
    `UPDATE rollout_plans SET name = ?, note = ?, revision = ?, terms = ?, updated_by = ?, updated_at = ?
     WHERE id = ?`,
    [
      plan.name,
      plan.note,
      plan.revision,
      JSON.stringify(plan.terms),
      plan.updatedBy,
      plan.updatedAt,
      plan.id,
    ],
  );
}

export async function removePlan(tx: Tx, id: string): Promise<void> {
  await tx.run('DELETE FROM rollout_plans WHERE id = ?', [id]);
}

export async function countPlans(sql: Sql, groupId: string): Promise<number> {
  const row = await sql.get<{ count: number }>(
    'SELECT CAST(count(*) AS integer) AS count FROM rollout_plans WHERE group_id = ?',
    [groupId],
  );
  return row?.count ?? 0;
}

/** Of these groups, by its name. */
export async function plansNamed(
  sql: Sql,
  name: string,
  groups: readonly string[],
): Promise<StoredPlan[]> {
  const rows = await sql.all<PlanRow>(
    `${SELECT} WHERE name = ? AND group_id IN (${questionMarks(groups.length)})`,
    [name, ...groups],
  );
  return rows.map(toPlan);
}

/** Newest first. */
export async function listPlans(sql: Sql, page: PageOfGroups): Promise<StoredPlan[]> {
  return (await newestFirst<PlanRow>(sql, SELECT, page)).map(toPlan);
}
