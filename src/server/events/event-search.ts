import { SEVERITIES, type EventCategory, type Severity } from '../../protocol/index.js';
import type { Sql, SqlValue } from '../platform/index.js';
import { blockOf, BLOCK_EVENTS, firstIdOf, MARK } from './event-index.js';
import { COLUMNS, type EventRow } from './event-rows.js';

/** Rows looked at for one page when a filter lets little through; bounds one answer's work. */
export const SCAN_MAX = 20_000;
/** Blocks that are asked for at once, first; each further look takes four times as many. */
const FIRST_WINDOW = 128;
const WINDOW_GROWTH = 4;
/** Subqueries in one statement; a reader of more groups asks several times. */
const GROUPS_PER_STATEMENT = 32;

/** SQLite takes 32 766 parameters a statement. */
const FILLED_MAX = 16_384;

/** What is wanted of the log; each that is given must fit. Times are of reception, epoch ms. */
export interface EventWanted {
  readonly groups: 'all' | readonly string[];
  readonly category?: string | readonly EventCategory[] | undefined;
  readonly type?: readonly string[] | undefined;
  readonly severity?: Severity | undefined;
  /** This or graver. */
  readonly min_severity?: Severity | undefined;
  readonly node_id?: string | undefined;
  readonly rollout_id?: string | undefined;
  readonly error_code?: string | undefined;
  /** In the message; case does not matter for ASCII letters. */
  readonly text?: string | undefined;
  /** From this moment on. */
  readonly sinceMs?: number | undefined;
  /** Before this moment. */
  readonly untilMs?: number | undefined;
}

export type Order = 'oldest' | 'newest';

export interface SearchPage {
  readonly rows: EventRow[];
  /**
   * The last id that was looked at: all on this side of it were judged. Give it back as `after` (oldest
   * first) or `before` (newest first). Null when there is no more in that direction now.
   */
  readonly next: number | null;
}

interface Range {
  /** Exclusive. */
  readonly after: number;
  /** Inclusive. */
  readonly through: number;
}

interface Stretch {
  readonly range: Range;
  readonly where: readonly string[];
  readonly params: readonly SqlValue[];
  readonly order: Order;
  readonly limit: number;
}

export const groupsIn = ({ groups }: EventWanted): readonly string[] | null =>
  groups === 'all' ? null : groups;

const listOf = (value: string | readonly string[] | undefined): readonly string[] | null =>
  value === undefined ? null : typeof value === 'string' ? [value] : value;

export const severitiesOf = ({ severity, min_severity: min }: EventWanted): readonly string[] => {
  const graver = min === undefined ? SEVERITIES : SEVERITIES.slice(SEVERITIES.indexOf(min));
  return severity === undefined ? graver : graver.filter((one) => one === severity);
};

/** Letters that SQL compares without case on both databases: those of ASCII. */
const folded = (text: string): string => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

/** Lists of the same length share a prepared statement: they are filled up to a power of two. */
function filledUp(values: readonly string[]): readonly string[] {
  let size = 1;
  while (size < values.length && size < FILLED_MAX) size *= 2;
  const last = values.at(-1) ?? '';
  return [...values, ...Array.from({ length: Math.max(0, size - values.length) }, () => last)];
}

const inList = (column: string, values: readonly string[]): string =>
  `${column} IN (${values.map(() => '?').join(', ')})`;

/** The conditions on one row; `groups` too, unless the caller walks them himself. */
export function whereOf(
  wanted: EventWanted,
  groups: 'with groups' | 'without groups' = 'with groups',
): { where: string[]; params: SqlValue[] } {
  const where: string[] = [];
  const params: SqlValue[] = [];
  const need = (condition: string, ...values: readonly SqlValue[]): void => {
    where.push(condition);
    params.push(...values);
  };
  const oneOf = (column: string, values: readonly string[] | null): void => {
    if (values === null) return;
    const filled = filledUp(values);
    need(
      values.length === 0 ? '1 = 0' : inList(column, filled),
      ...(values.length === 0 ? [] : filled),
    );
  };
  for (const column of ['node_id', 'rollout_id', 'error_code'] as const) {
    const value = wanted[column];
    if (value !== undefined) need(`${column} = ?`, value);
  }
  oneOf('category', listOf(wanted.category));
  oneOf('type', listOf(wanted.type));
  const severities = severitiesOf(wanted);
  if (severities.length < SEVERITIES.length) oneOf('severity', severities);
  if (wanted.sinceMs !== undefined) need('at >= ?', wanted.sinceMs);
  if (wanted.untilMs !== undefined) need('at < ?', wanted.untilMs);
  if (wanted.text !== undefined) {
    const pattern = folded(wanted.text).replace(/[\\%_]/g, (letter) => `\\${letter}`);
    need(`LOWER(message) LIKE ? ESCAPE '\\'`, `%${pattern}%`);
  }
  if (groups === 'with groups') oneOf('group_id', groupsIn(wanted));
  return { where, params };
}

/** The first rows of a range that fit, in order. */
export async function stretchOf(sql: Sql, stretch: Stretch): Promise<EventRow[]> {
  const { range, where, params, order, limit } = stretch;
  const direction = order === 'oldest' ? 'ASC' : 'DESC';
  return sql.all<EventRow>(
    `SELECT ${COLUMNS} FROM events WHERE ${['id > ?', 'id <= ?', ...where].join(' AND ')}
     ORDER BY id ${direction} LIMIT ?`,
    [range.after, range.through, ...params, limit],
  );
}

/** Every event of a range, in order; fewer only where some are gone. */
export const rowsIn = (sql: Sql, range: Stretch['range']): Promise<EventRow[]> =>
  stretchOf(sql, {
    ...{ range, where: [], params: [], order: 'oldest' },
    limit: range.through - range.after,
  });

/** The same of one row that is in memory already: for whoever reads the end of the log once for many. */
export function matcherOf(wanted: EventWanted): (row: EventRow) => boolean {
  const groups = groupsIn(wanted);
  const sets: (readonly [keyof EventRow, ReadonlySet<string>])[] = [];
  if (groups !== null) sets.push(['group_id', new Set(groups)]);
  for (const column of ['category', 'type'] as const) {
    const values = listOf(wanted[column]);
    if (values !== null) sets.push([column, new Set(values)]);
  }
  for (const column of ['node_id', 'rollout_id', 'error_code'] as const) {
    const value = wanted[column];
    if (value !== undefined) sets.push([column, new Set([value])]);
  }
  sets.push(['severity', new Set(severitiesOf(wanted))]);
  const text = wanted.text === undefined ? null : folded(wanted.text);
  const since = wanted.sinceMs ?? -Infinity;
  const until = wanted.untilMs ?? Infinity;
  return (row) =>
    row.at >= since &&
    row.at < until &&
    sets.every(([column, values]) => values.has(String(row[column]))) &&
    (text === null || folded(row.message).includes(text));
}

/** Marks of which a block must have one each, the most telling first. */
function marksOf(wanted: EventWanted): readonly (readonly string[])[] {
  const severities = severitiesOf(wanted);
  const lists: readonly (readonly [string, readonly string[] | null])[] = [
    [MARK.node, listOf(wanted.node_id)],
    [MARK.rollout, listOf(wanted.rollout_id)],
    [MARK.error, listOf(wanted.error_code)],
    [MARK.type, listOf(wanted.type)],
    [MARK.severity, severities.length < SEVERITIES.length ? severities : null],
    [MARK.category, listOf(wanted.category)],
  ];
  return lists.flatMap(([kind, words]) =>
    words === null ? [] : [filledUp(words.map((word) => kind + word))],
  );
}

async function blockWhere(
  sql: Sql,
  which: 'MIN' | 'MAX',
  condition: string,
  atMs: number,
): Promise<number | null> {
  const row = await sql.get<{ block: number | null }>(
    `SELECT ${which}(block) AS block FROM event_blocks WHERE ${condition}`,
    [atMs],
  );
  return row?.block ?? null;
}

/** The ids that a span of time can lie in; clocks of managers differ, so the rows are looked at too. */
async function rangeOfTime(sql: Sql, wanted: EventWanted, range: Range): Promise<Range> {
  let { after, through } = range;
  if (wanted.sinceMs !== undefined) {
    const block = await blockWhere(sql, 'MIN', 'last_at >= ?', wanted.sinceMs);
    after = Math.max(after, block === null ? through : firstIdOf(block) - 1);
  }
  if (wanted.untilMs !== undefined) {
    const block = await blockWhere(sql, 'MAX', 'first_at < ?', wanted.untilMs);
    through = Math.min(through, block === null ? after : firstIdOf(block + 1) - 1);
  }
  return { after, through: Math.max(after, through) };
}

/**
 * One page, oldest or newest first, however long the log is: by the index of a group where only groups are
 * asked for, by the marks of blocks where a mark exists, and else over a bounded stretch of ids.
 */
export async function searchEvents(
  sql: Sql,
  page: {
    readonly wanted: EventWanted;
    readonly range: Range;
    readonly order: Order;
    readonly limit: number;
  },
): Promise<SearchPage> {
  const { wanted, order, limit } = page;
  const groups = groupsIn(wanted);
  const range = await rangeOfTime(sql, wanted, page.range);
  if (groups?.length === 0 || range.after >= range.through) return { rows: [], next: null };
  const search = new Search(sql, wanted, order, limit);
  const marks = marksOf(wanted);
  const end = order === 'oldest' ? range.through : range.after + 1;
  let seen: number | null;
  if (marks.length > 0) seen = await search.byMarks(marks, range);
  else if (groups !== null && wanted.text === undefined)
    seen = await search.byGroups(groups, range);
  else seen = await search.byStretch(range);
  const isOver = seen === null || seen === end;
  return { rows: search.rows, next: isOver ? null : seen };
}

class Search {
  readonly rows: EventRow[] = [];
  readonly #sql: Sql;
  readonly #wanted: EventWanted;
  readonly #order: Order;
  readonly #limit: number;

  constructor(sql: Sql, wanted: EventWanted, order: Order, limit: number) {
    this.#sql = sql;
    this.#wanted = wanted;
    this.#order = order;
    this.#limit = limit;
  }

  get #isFull(): boolean {
    return this.rows.length >= this.#limit;
  }

  /** Over ids as they come; gives the last one looked at. */
  async byStretch(range: Range): Promise<number> {
    const isOld = this.#order === 'oldest';
    const part = isOld
      ? { after: range.after, through: Math.min(range.through, range.after + SCAN_MAX) }
      : { after: Math.max(range.after, range.through - SCAN_MAX), through: range.through };
    await this.#take(part, whereOf(this.#wanted));
    return this.#isFull ? this.#lastId : isOld ? part.through : part.after + 1;
  }

  /** The newest or oldest of each group by its index, then the first of them all. */
  async byGroups(groups: readonly string[], range: Range): Promise<number | null> {
    const { where, params } = whereOf(this.#wanted, 'without groups');
    if (groups.length === 1) {
      const condition = { where: ['group_id = ?', ...where], params: [...groups, ...params] };
      await this.#take(range, condition);
      return this.#isFull ? this.#lastId : null;
    }
    const ids = await this.#idsOfGroups(groups, range);
    if (ids.length === 0) return null;
    const filled = filledUp(ids.map(String)).map(Number);
    const direction = this.#order === 'oldest' ? 'ASC' : 'DESC';
    const conditions = [`id IN (${filled.map(() => '?').join(', ')})`, ...where].join(' AND ');
    this.rows.push(
      ...(await this.#sql.all<EventRow>(
        `SELECT ${COLUMNS} FROM events WHERE ${conditions} ORDER BY id ${direction}`,
        [...filled, ...params],
      )),
    );
    // Rows at the edge of a span of time fall out of a block that belongs to it.
    return ids.length < this.#limit ? null : (ids.at(-1) ?? null);
  }

  async #idsOfGroups(groups: readonly string[], range: Range): Promise<number[]> {
    const direction = this.#order === 'oldest' ? 'ASC' : 'DESC';
    const one = `SELECT id FROM (SELECT id FROM events
      WHERE group_id = ? AND id > ? AND id <= ? ORDER BY id ${direction} LIMIT ?) AS part`;
    const ids = new Set<number>();
    for (let at = 0; at < groups.length; at += GROUPS_PER_STATEMENT) {
      const some = filledUp(groups.slice(at, at + GROUPS_PER_STATEMENT));
      const found = await this.#sql.all<{ id: number }>(
        some.map(() => one).join(' UNION ALL '),
        some.flatMap((group) => [group, range.after, range.through, this.#limit]),
      );
      for (const { id } of found) ids.add(id);
    }
    const sign = this.#order === 'oldest' ? 1 : -1;
    return [...ids].sort((a, b) => sign * (a - b)).slice(0, this.#limit);
  }

  /** Block by block, those that have every mark; gives the last id looked at. */
  async byMarks(marks: readonly (readonly string[])[], range: Range): Promise<number> {
    const isOld = this.#order === 'oldest';
    const condition = whereOf(this.#wanted);
    const [first, last] = [blockOf(range.after + 1), blockOf(range.through)];
    let budget = SCAN_MAX;
    let size = FIRST_WINDOW;
    for (let at = isOld ? first : last; isOld ? at <= last : at >= first;) {
      const window = isOld
        ? { from: at, to: Math.min(last, at + size - 1) }
        : { from: Math.max(first, at - size + 1), to: at };
      for (const block of await this.#blocksWith(marks, window)) {
        const part = {
          after: Math.max(range.after, firstIdOf(block) - 1),
          through: Math.min(range.through, firstIdOf(block + 1) - 1),
        };
        await this.#take(part, condition);
        if (this.#isFull) return this.#lastId;
        budget -= BLOCK_EVENTS;
        if (budget <= 0) return isOld ? part.through : part.after + 1;
      }
      at = isOld ? window.to + 1 : window.from - 1;
      size *= WINDOW_GROWTH;
    }
    return isOld ? range.through : range.after + 1;
  }

  async #blocksWith(
    marks: readonly (readonly string[])[],
    window: { readonly from: number; readonly to: number },
  ): Promise<number[]> {
    const [main = [], ...others] = marks;
    const also = others.map(
      (keys) =>
        ` AND EXISTS (SELECT 1 FROM event_marks AS other
          WHERE ${inList('other.key', keys)} AND other.block = main.block)`,
    );
    const rows = await this.#sql.all<{ block: number }>(
      `SELECT DISTINCT main.block AS block FROM event_marks AS main
       WHERE ${inList('main.key', main)} AND main.block >= ? AND main.block <= ?${also.join('')}
       ORDER BY block ${this.#order === 'oldest' ? 'ASC' : 'DESC'}`,
      [...main, window.from, window.to, ...others.flat()],
    );
    return rows.map(({ block }) => block);
  }

  async #take(
    range: Range,
    condition: { readonly where: readonly string[]; readonly params: readonly SqlValue[] },
  ): Promise<void> {
    const limit = this.#limit - this.rows.length;
    this.rows.push(
      ...(await stretchOf(this.#sql, { range, ...condition, order: this.#order, limit })),
    );
  }

  get #lastId(): number {
    return this.rows.at(-1)?.id ?? 0;
  }
}
