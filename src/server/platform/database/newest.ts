import { questionMarks } from './lists.js';
import type { Sql, SqlValue } from './sql.js';

/** A page of what belongs to groups. */
export interface PageOfGroups {
  readonly groups: 'all' | readonly string[];
  /** The last one that was seen; null: from the newest on. */
  readonly after: { readonly at: number; readonly id: string } | null;
  readonly limit: number;
}

/**
 * Rows of a table with `id`, `group_id` and `created_at`, the newest first. `select` is the statement up to its
 * conditions; `more` are conditions beside those of the page, all of which hold.
 */
export async function newestFirst<Row>(
  sql: Sql,
  select: string,
  { groups, after, limit }: PageOfGroups,
  more: readonly (readonly [condition: string, value: SqlValue])[] = [],
): Promise<Row[]> {
  if (groups !== 'all' && groups.length === 0) return [];
  const where = ['1 = 1', ...more.map(([condition]) => condition)];
  const params = more.map(([, value]) => value);
  if (groups !== 'all') {
    where.push(`group_id IN (${questionMarks(groups.length)})`);
    params.push(...groups);
  }
  if (after !== null) {
    where.push('(created_at < ? OR (created_at = ? AND id < ?))');
    params.push(after.at, after.at, after.id);
  }
  return await sql.all<Row>(
    `${select} WHERE ${where.join(' AND ')} ORDER BY created_at DESC, id DESC LIMIT ?`,
    [...params, limit],
  );
}
