import { Injectable } from '@nestjs/common';
import { toIso } from '../../core/kernel/index.js';
import { windowOf } from '../../core/release/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { Database, filledUp, questionMarks, type Sql } from '../platform/database/index.js';
import type { Badge, Installed, Upgrader } from './node-facts.js';
import type { NodeStatus } from './nodes.store.js';
import { SoftwareBook, textOf, type Standing } from './software-book.js';

type Summary = Answer<'fleet.summary'>;

interface CountRow {
  readonly group_id: string;
  readonly software: string | null;
  readonly status: NodeStatus;
  readonly badge: Badge;
  readonly upgrader: Upgrader;
  readonly n: number;
}

/** Versions of one product in one answer; the rest of a very mixed fleet is left out. */
const VERSIONS_MAX = 200;

/** How many nodes there are of each kind: one walk over a narrow index, whatever their number. */
@Injectable()
export class FleetCensus {
  constructor(
    private readonly database: Database,
    private readonly software: SoftwareBook,
  ) {}

  async take(
    groups: 'all' | readonly string[],
    { product, now }: { readonly product: string | undefined; readonly now: number },
  ): Promise<Summary> {
    const rows = await this.rows(this.database.read, groups);
    const tally = new Tally();
    const mixes = await this.software.read([...new Set(rows.map(markOf))]);
    const installed = [...mixes.values()].flat();
    const known = await this.software.standing(installed);
    for (const row of rows) tally.add(row, mixes.get(markOf(row)) ?? [], known.old);
    return { at: toIso(now), ...tally.view(product, known) };
  }

  /** In the order of the index, so that nothing is sorted. */
  async rows(sql: Sql, groups: 'all' | readonly string[]): Promise<CountRow[]> {
    if (groups !== 'all' && groups.length === 0) return [];
    const filled = groups === 'all' ? [] : filledUp(groups);
    const along = this.database.kind === 'sqlite' ? ' INDEXED BY nodes_by_facts' : '';
    const where = groups === 'all' ? '' : ` WHERE group_id IN (${questionMarks(filled.length)})`;
    return await sql.all<CountRow>(
      `SELECT software, group_id, status, badge, upgrader, COUNT(*) AS n FROM nodes${along}${where}
       GROUP BY software, group_id, status, badge, upgrader`,
      filled,
    );
  }
}

const markOf = ({ software }: CountRow): string => software ?? '';

class Tally {
  readonly #status = new Map<NodeStatus, number>();
  readonly #upgrader = new Map<Upgrader, number>();
  readonly #badge = new Map<Badge, number>();
  readonly #products = new Map<string, Map<string | null, number>>();
  readonly #nodesOf = new Map<string, number>();
  #nodes = 0;
  #outdated = 0;

  add(row: CountRow, mix: readonly Installed[], old: ReadonlySet<string>): void {
    const { n } = row;
    more(this.#status, row.status, n);
    if (row.status === 'revoked') return;
    this.#nodes += n;
    more(this.#upgrader, row.upgrader, n);
    more(this.#badge, row.badge, n);
    if (mix.some((one) => old.has(textOf(one)))) this.#outdated += n;
    for (const { product, version } of mix) {
      const versions = this.#products.get(product) ?? new Map<string | null, number>();
      this.#products.set(product, versions);
      more(versions, version, n);
    }
    for (const product of new Set(mix.map((one) => one.product))) more(this.#nodesOf, product, n);
  }

  view(wanted: string | undefined, known: Standing): Omit<Summary, 'at'> {
    const products = [...this.#products]
      .filter(([product]) => wanted === undefined || wanted === product)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([product, versions]) => {
        const newest = known.newest.get(product) ?? null;
        const counts = [...versions]
          .sort(([, a], [, b]) => b - a)
          .slice(0, VERSIONS_MAX)
          .map(([version, nodes]) => ({
            version,
            nodes,
            outdated: known.old.has(textOf({ product, version })),
            window: windowOf(version, newest),
          }));
        return { product, nodes: this.#nodesOf.get(product) ?? 0, newest, versions: counts };
      });
    return {
      nodes: this.#nodes,
      by_status: Object.fromEntries(this.#status),
      by_upgrader: Object.fromEntries(this.#upgrader),
      by_upgrade: Object.fromEntries(this.#badge),
      outdated: this.#outdated,
      products,
    };
  }
}

const more = <K>(counts: Map<K, number>, key: K, by: number): void => {
  counts.set(key, (counts.get(key) ?? 0) + by);
};
