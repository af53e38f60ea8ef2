import { Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import { Database, filledUp, questionMarks, type SqlValue } from '../platform/database/index.js';
import { labelMark, nameKeyOf, type Badge, type Upgrader } from './node-facts.js';
import { Nodes, type FleetNode, type NodeStatus } from './nodes.store.js';

/** What is wanted of a list; each that is given must fit. */
export interface NodeFilter {
  readonly groups: 'all' | readonly string[];
  readonly status?: NodeStatus | 'pending' | undefined;
  readonly labels: readonly (readonly [key: string, value: string])[];
  /** Marks of `softwareOf`; null: whatever it runs. */
  readonly software: readonly string[] | null;
  readonly upgrader?: Upgrader | undefined;
  readonly badge?: Badge | undefined;
  /** In the name, or the whole id. */
  readonly text?: string | undefined;
  /** Only nodes that are away and were here before: those that can be sorted by when. */
  readonly isGone?: boolean | undefined;
}

/** Columns of the index; the last is asked for only among nodes that are offline, which has its own. */
const SORTS = {
  enrolled_at: 'enrolled_at',
  name: 'name_key',
  status: 'status',
  upgrade: 'badge',
  upgrader: 'upgrader',
  last_seen_at: 'last_seen_at',
} as const;
export type NodeSort = keyof typeof SORTS;

export interface NodeOrder {
  readonly sort: NodeSort;
  readonly order: 'asc' | 'desc';
}

/** Where a page ended: the sort key of its last row, and its id, which breaks ties. */
export interface NodePlace {
  readonly key: string | number;
  readonly id: string;
}

interface Condition {
  readonly where: readonly string[];
  readonly params: readonly SqlValue[];
  /** Of a row it asks for nothing but its name and id, which every index has that sorts by one. */
  readonly isOfName: boolean;
}

/** In a pattern of LIKE these stand for themselves behind a backslash. */
const literally = (text: string): string => text.replace(/[\\%_]/g, '\\$&');

function conditionOf(filter: NodeFilter): Condition {
  const { groups, status, labels, software, upgrader, badge, text, isGone } = filter;
  const where: string[] = [];
  const params: SqlValue[] = [];
  const need = (condition: string, ...values: readonly SqlValue[]): void => {
    where.push(condition);
    params.push(...values);
  };
  const oneOf = (column: string, values: readonly string[]): void => {
    const filled = filledUp(values);
    need(
      values.length === 0 ? '1 = 0' : `${column} IN (${questionMarks(filled.length)})`,
      ...filled,
    );
  };
  // Word for word as in the index of these.
  if (isGone === true) need(`status = 'offline' AND last_seen_at > 0`);
  if (software !== null) oneOf('software', software);
  if (groups !== 'all') oneOf('group_id', groups);
  for (const [column, value] of Object.entries({ status, badge, upgrader })) {
    if (value !== undefined) need(`${column} = ?`, value);
  }
  for (const [key, value] of labels) need('label_key LIKE ?', `%${labelMark(key, value)}%`);
  const isOfName = where.length === 0;
  if (text !== undefined) {
    need(`(name_key LIKE ? ESCAPE '\\' OR id = ?)`, `%${literally(nameKeyOf(text))}%`, text);
  }
  return { where, params, isOfName };
}

/** Lists of nodes: filtered, sorted, in pages, and counted. */
@Injectable()
export class NodeSearch {
  constructor(
    private readonly database: Database,
    private readonly nodes: Nodes,
  ) {}

  /**
   * One page, from one walk over a narrow index whatever the filter; ids break ties, so a row is met
   * once however deep the page. Throws `invalid_request` for a sort that has no index.
   */
  async page(
    filter: NodeFilter,
    { sort, order }: NodeOrder,
    { after, limit }: { readonly after: NodePlace | null; readonly limit: number },
  ): Promise<{ readonly nodes: FleetNode[]; readonly places: ReadonlyMap<string, NodePlace> }> {
    if (sort === 'last_seen_at' && filter.isGone !== true) throw noIndex();
    const column = SORTS[sort];
    const { where, params, isOfName } = conditionOf(filter);
    const isPlain = where.length === 0 || (isOfName && sort === 'name');
    const beyond = order === 'asc' ? '>' : '<';
    const conditions = [...where];
    const values = [...params];
    if (after !== null) {
      conditions.push(`(${column}, id) ${beyond} (?, ?)`);
      values.push(after.key, after.id);
    }
    const direction = order === 'asc' ? 'ASC' : 'DESC';
    const rows = await this.database.read.all<{ id: string; key: string | number }>(
      `SELECT id, ${column} AS key FROM nodes${this.#along(filter, isPlain ? sort : null)}
       WHERE ${conditions.length === 0 ? '1 = 1' : conditions.join(' AND ')}
       ORDER BY ${column} ${direction}, id ${direction} LIMIT ?`,
      [...values, limit],
    );
    const found = new Map(
      (await this.nodes.findAll(rows.map(({ id }) => id))).map((node) => [node.id, node]),
    );
    return {
      nodes: rows.flatMap(({ id }) => found.get(id) ?? []),
      places: new Map(rows.map(({ id, key }) => [id, { key, id }])),
    };
  }

  /** How many there are on all pages together. */
  async count(filter: NodeFilter): Promise<number> {
    const { where, params } = conditionOf(filter);
    const row = await this.database.read.get<{ n: number }>(
      `SELECT COUNT(*) AS n FROM nodes${this.#along(filter, null)}
       WHERE ${where.length === 0 ? '1 = 1' : where.join(' AND ')}`,
      params,
    );
    return row?.n ?? 0;
  }

  /**
   * SQLite knows nothing of how the values lie: told which index, it never walks the wide rows. A text is looked for in the
   * order of names, which ends with the page.
   */
  #along({ isGone }: NodeFilter, onlySort: NodeSort | null): string {
    if (this.database.kind !== 'sqlite') return '';
    if (isGone === true) return ' INDEXED BY nodes_offline';
    if (onlySort === 'name') return ' INDEXED BY nodes_by_name';
    if (onlySort === 'enrolled_at') return ' INDEXED BY nodes_by_age';
    return ' INDEXED BY nodes_by_facts';
  }
}

function noIndex(): FleetError {
  const message = 'only with status=offline: who is online was seen just now';
  return new FleetError('invalid_request', `query.sort: ${message}`, {
    context: { problems: [{ path: 'query.sort', message }] },
  });
}
