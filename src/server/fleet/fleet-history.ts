import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { Logger } from 'pino';
import { DAY_MS, FleetError, HOUR_MS, MINUTE_MS, toIso } from '../../core/kernel/index.js';
import { FLEET_HISTORY_DAYS, FLEET_POINTS_MAX, type Answer } from '../../protocol/api/index.js';
import {
  Database,
  filledUp,
  questionMarks,
  type SqlValue,
  type Tx,
} from '../platform/database/index.js';
import { CLOCK, LOGGER, type Clock } from '../platform/index.js';
import { fillFacts } from './facts.store.js';
import { FleetCensus } from './fleet-census.js';
import { SoftwareBook } from './software-book.js';

/** Counted this often; within an hour the last count stands. */
const COUNT_EVERY_MS = 10 * MINUTE_MS;
/** Lines of one hour; versions that fewer nodes run count as `other`, so that no node can fill the table. */
const LINES_MAX = 2_000;
const OTHER = 'other';
/** Series in one answer, those of the most nodes. */
const SERIES_MAX = 100;

interface Line {
  readonly groupId: string;
  readonly product: string;
  readonly version: string;
  readonly nodes: number;
}

export interface HistoryWish {
  readonly product: string | undefined;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly stepHours: number;
}

/**
 * How many nodes of a group ran which version, hour by hour. Hours in which nothing changed are one row, so
 * a calm fleet costs nothing; an hour in which no manager ran is a gap, and not a guess.
 */
@Injectable()
export class FleetHistory implements OnApplicationBootstrap, BeforeApplicationShutdown {
  #timer: NodeJS.Timeout | null = null;
  #counting: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: Database,
    private readonly census: FleetCensus,
    private readonly software: SoftwareBook,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  onApplicationBootstrap(): void {
    const count = (): void => void this.count();
    this.#counting = fillFacts(this.database).catch((error: unknown) =>
      this.log.warn({ err: error }, 'what lists are filtered by could not be worked out'),
    );
    count();
    this.#timer = setInterval(count, COUNT_EVERY_MS);
    this.#timer.unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#counting;
  }

  /** Counts this hour, again if need be, and forgets what is too old. Never rejects; safe to run twice. */
  count(): Promise<void> {
    this.#counting = this.#counting.then(() =>
      this.#count().catch((error: unknown) =>
        this.log.warn({ err: error }, 'the nodes could not be counted'),
      ),
    );
    return this.#counting;
  }

  /** Throws `invalid_request` for more points than one answer holds. */
  async read(
    groups: 'all' | readonly string[],
    wish: HistoryWish,
  ): Promise<Answer<'fleet.history'>> {
    const stepMs = wish.stepHours * HOUR_MS;
    const first = Math.floor(wish.sinceMs / stepMs) * stepMs;
    const length = Math.max(0, Math.ceil((wish.untilMs - first) / stepMs));
    if (length > FLEET_POINTS_MAX) {
      const message = `that is more than ${FLEET_POINTS_MAX} points; take longer steps`;
      throw new FleetError('invalid_request', `query.step_hours: ${message}`, {
        context: { problems: [{ path: 'query.step_hours', message }] },
      });
    }
    const at = Array.from({ length }, (_, i) => first + i * stepMs);
    const series = new Map<
      string,
      { product: string; version: string; nodes: (number | null)[] }
    >();
    const counted = new Array<boolean>(length).fill(false);
    for (const row of await this.#spans(groups, wish, first)) {
      const key = `${row.product} ${row.version}`;
      const one = series.get(key) ?? {
        product: row.product,
        version: row.version,
        nodes: new Array<number | null>(length).fill(null),
      };
      series.set(key, one);
      const from = Math.max(0, Math.ceil((row.from_at - first) / stepMs));
      const to = Math.min(length - 1, Math.floor((row.to_at - first) / stepMs));
      for (let i = from; i <= to; i += 1) {
        one.nodes[i] = (one.nodes[i] ?? 0) + row.nodes;
        counted[i] = true;
      }
    }
    return {
      at: at.map((ms) => toIso(ms)),
      series: [...series.values()]
        .sort((a, b) => peakOf(b.nodes) - peakOf(a.nodes))
        .slice(0, SERIES_MAX)
        .map(({ product, version, nodes }) => ({
          product,
          version: version === '' ? null : version,
          // In an hour that was counted, what nobody ran was run by none.
          nodes: nodes.map((count, i) => count ?? (counted[i] === true ? 0 : null)),
        })),
    };
  }

  async #spans(groups: 'all' | readonly string[], wish: HistoryWish, first: number) {
    if (groups !== 'all' && groups.length === 0) return [];
    const where = ['to_at >= ?', 'from_at < ?'];
    const params: SqlValue[] = [first, wish.untilMs];
    if (wish.product !== undefined) {
      where.push('product = ?');
      params.push(wish.product);
    }
    if (groups !== 'all') {
      const filled = filledUp(groups);
      where.push(`group_id IN (${questionMarks(filled.length)})`);
      params.push(...filled);
    }
    return await this.database.read.all<{
      product: string;
      version: string;
      from_at: number;
      to_at: number;
      nodes: number;
    }>(
      `SELECT product, version, from_at, to_at, SUM(nodes) AS nodes FROM fleet_spans
       WHERE ${where.join(' AND ')} GROUP BY product, version, from_at, to_at`,
      params,
    );
  }

  async #count(): Promise<void> {
    const lines = await this.#lines();
    const hour = Math.floor(this.clock.now() / HOUR_MS) * HOUR_MS;
    await this.database.transaction(async (tx) => {
      for (const line of lines) await write(tx, line, hour);
      await endOthers(tx, lines, hour);
      await tx.run('DELETE FROM fleet_spans WHERE to_at < ?', [hour - FLEET_HISTORY_DAYS * DAY_MS]);
    });
  }

  async #lines(): Promise<Line[]> {
    const rows = await this.census.rows(this.database.read, 'all');
    const mixes = await this.software.read([
      ...new Set(rows.map(({ software }) => software ?? '')),
    ]);
    const counts = new Map<string, Line>();
    const add = (line: Line): void => {
      const key = `${line.groupId} ${line.product} ${line.version}`;
      counts.set(key, { ...line, nodes: (counts.get(key)?.nodes ?? 0) + line.nodes });
    };
    for (const { group_id: groupId, software, status, n } of rows) {
      if (status === 'revoked') continue;
      for (const { product, version } of mixes.get(software ?? '') ?? []) {
        add({ groupId, product, version: version ?? '', nodes: n });
      }
    }
    const lines = [...counts.values()].sort((a, b) => b.nodes - a.nodes);
    if (lines.length <= LINES_MAX) return lines;
    counts.clear();
    lines.forEach((line, i) => add(i < LINES_MAX ? line : { ...line, version: OTHER }));
    return [...counts.values()];
  }
}

const peakOf = (nodes: readonly (number | null)[]): number =>
  nodes.reduce<number>((peak, count) => Math.max(peak, count ?? 0), 0);

/** The row of the hour before goes on when it says the same, and of this hour the last count stands. */
async function write(
  tx: Tx,
  { groupId, product, version, nodes }: Line,
  hour: number,
): Promise<void> {
  const key = [groupId, product, version];
  const goesOn = await tx.run(
    `UPDATE fleet_spans SET to_at = ? WHERE group_id = ? AND product = ? AND version = ?
     AND to_at >= ? AND to_at < ? AND nodes = ?`,
    [hour, ...key, hour - HOUR_MS, hour, nodes],
  );
  if (goesOn > 0) {
    // It was another number for a while of this hour.
    await tx.run(
      `DELETE FROM fleet_spans WHERE group_id = ? AND product = ? AND version = ? AND from_at = ?`,
      [...key, hour],
    );
    return;
  }
  const stays = await tx.run(
    `UPDATE fleet_spans SET nodes = ? WHERE group_id = ? AND product = ? AND version = ?
     AND to_at = ? AND (nodes = ? OR from_at = ?)`,
    [nodes, ...key, hour, nodes, hour],
  );
  if (stays > 0) return;
  // What this hour began as is another number now: the longer row ends an hour earlier.
  await tx.run(
    `UPDATE fleet_spans SET to_at = ? WHERE group_id = ? AND product = ? AND version = ? AND to_at = ?`,
    [hour - HOUR_MS, ...key, hour],
  );
  await tx.run(
    `INSERT INTO fleet_spans (group_id, product, version, from_at, to_at, nodes)
     VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (group_id, product, version, from_at) DO UPDATE SET nodes = excluded.nodes`,
    [...key, hour, hour, nodes],
  );
}

/** What was counted earlier in this hour and is no more. */
async function endOthers(tx: Tx, lines: readonly Line[], hour: number): Promise<void> {
  const keys = new Set(lines.map((one) => `${one.groupId} ${one.product} ${one.version}`));
  const rows = await tx.all<{
    group_id: string;
    product: string;
    version: string;
    from_at: number;
  }>('SELECT group_id, product, version, from_at FROM fleet_spans WHERE to_at = ?', [hour]);
  for (const { group_id: groupId, product, version, from_at: fromAt } of rows) {
    if (keys.has(`${groupId} ${product} ${version}`)) continue;
    const key = [groupId, product, version, fromAt];
    const where = 'group_id = ? AND product = ? AND version = ? AND from_at = ?';
    if (fromAt === hour) await tx.run(`DELETE FROM fleet_spans WHERE ${where}`, key);
    else await tx.run(`UPDATE fleet_spans SET to_at = ? WHERE ${where}`, [hour - HOUR_MS, ...key]);
  }
}
