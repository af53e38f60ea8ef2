import { createHash } from 'node:crypto';
import { FleetError } from '../../core/kernel/index.js';
import { verifyStoredLog, type VerifiedLog } from '../audit/index.js';
import { verifyStoredSeals, type VerifiedSeals } from '../events/index.js';
import { lineOfRow, type Row, type Table, type TableWriter } from '../platform/index.js';
import type { Progress } from './progress.js';

/** How many rows a table has, and the digest over their lines in the order of the key. */
export interface Tally {
  readonly rows: number;
  readonly sha256: string;
}

/** Where rows come from: a database or a backup. */
export interface Source {
  readonly migrations: readonly string[];
  readonly tables: readonly Table[];
  /** What a backup says that there is; null: nobody has counted yet. */
  readonly told: ReadonlyMap<string, Tally> | null;
  rows(table: Table): AsyncIterable<readonly Row[]>;
}

/** What was found right on the other side. */
export interface Poured {
  readonly rows: number;
  readonly tables: number;
  /** Null when the tables are those of an earlier version: the next start brings them up to date. */
  readonly log: VerifiedLog | null;
  readonly seals: VerifiedSeals | null;
}

/** Passes rows on and counts them; `tally` is for afterwards. */
export function counted(
  rows: AsyncIterable<readonly Row[]>,
  progress: Progress,
): { readonly rows: AsyncIterable<readonly Row[]>; tally(): Tally } {
  const hash = createHash('sha256');
  let count = 0;
  const passing = async function* (): AsyncGenerator<readonly Row[]> {
    for await (const some of rows) {
      for (const row of some) hash.update(lineOfRow(row));
      count += some.length;
      progress.add(some.length);
      yield some;
    }
  };
  return { rows: passing(), tally: () => ({ rows: count, sha256: hash.digest('hex') }) };
}

/**
 * Fills the target with every row of the source, reads it back, and compares: counts and digests of each table,
 * the audit log with its tree, the events with their seals. Nothing is committed: that is the caller's. Throws
 * `backup_damaged` with the first difference.
 */
export async function pour(
  source: Source,
  target: TableWriter,
  options: { readonly progress: Progress; readonly isCurrent: boolean },
): Promise<Poured> {
  const { progress, isCurrent } = options;
  requireSameTables(source.tables, await target.tables());
  const tallies = new Map<string, Tally>();
  for (const table of source.tables) {
    progress.begin(`copying ${table.name}`);
    const passing = counted(source.rows(table), progress);
    for await (const rows of passing.rows) await target.insert(table, rows);
    const tally = passing.tally();
    requireSame(table, source.told?.get(table.name) ?? tally, tally, 'its file is');
    tallies.set(table.name, tally);
  }
  progress.begin('checking what rows say of each other');
  await target.finish();
  let rows = 0;
  for (const table of source.tables) {
    progress.begin(`checking ${table.name}`);
    const passing = counted(target.rows(table), progress);
    for await (const some of passing.rows) rows += some.length;
    requireSame(table, tallies.get(table.name), passing.tally(), 'the copy is');
  }
  progress.begin('checking the audit log and the seals of events');
  const log = isCurrent ? await verifyStoredLog(target.sql) : null;
  const seals = isCurrent ? await verifyStoredSeals(target.sql) : null;
  return { rows, tables: source.tables.length, log, seals };
}

function requireSame(table: Table, wanted: Tally | undefined, found: Tally, what: string): void {
  if (wanted?.rows === found.rows && wanted.sha256 === found.sha256) return;
  throw new FleetError(
    'backup_damaged',
    `table ${table.name}: ${what} not the same (${wanted?.rows ?? 0} rows wanted, ${found.rows} found)`,
  );
}

function requireSameTables(source: readonly Table[], target: readonly Table[]): void {
  const [wanted, found] = [source, target].map((tables) =>
    tables.map(({ name, columns, key }) => [
      name,
      columns.map((column) => `${column.name} ${column.kind}`).join(),
      key.join(),
    ]),
  );
  if (JSON.stringify(wanted) === JSON.stringify(found)) return;
  const odd = source.find((_, at) => JSON.stringify(wanted?.[at]) !== JSON.stringify(found?.[at]));
  throw new FleetError(
    'schema_differs',
    `the tables are not the same on both sides, first ${odd?.name ?? target.at(-1)?.name ?? ''}`,
  );
}
