import type { SourceResult } from '../../../protocol/api/index.js';
import type { Sql, Tx } from '../../platform/index.js';

/** What is remembered of a source from one look to the next. */
export interface SourceState {
  readonly etag: string | null;
  readonly nextAt: number;
  /** Looks in a row that failed. */
  readonly failures: number;
  readonly lastResult: SourceResult | null;
}

interface SourceRow {
  name: string;
  etags: string;
  next_at: number;
  failures: number;
  last_result: string | null;
}

export async function sourceStates(sql: Sql): Promise<Map<string, SourceState>> {
  const rows = await sql.all<SourceRow>('SELECT * FROM release_sources');
  return new Map(
    rows.map((row) => [
      row.name,
      {
        etag: row.etags === '' ? null : row.etags,
        nextAt: row.next_at,
        failures: row.failures,
        lastResult: row.last_result === null ? null : (JSON.parse(row.last_result) as SourceResult),
      },
    ]),
  );
}

export async function saveSource(tx: Tx, name: string, state: SourceState): Promise<void> {
  await tx.run(
    `INSERT INTO release_sources (name, etags, next_at, failures, last_result)
     VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET etags = excluded.etags, next_at = excluded.next_at,
       failures = excluded.failures, last_result = excluded.last_result`,
    [
      name,
      state.etag ?? '',
      state.nextAt,
      state.failures,
      state.lastResult === null ? null : JSON.stringify(state.lastResult),
    ],
  );
}
