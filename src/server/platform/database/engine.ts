import type { Sql, SqlValue } from './sql.js';

/** One connection inside BEGIN … COMMIT. Exactly one of `commit` and `rollback` ends it. */
export interface EngineTx extends Sql {
  insertRows(
    into: string,
    rows: readonly (readonly SqlValue[])[],
    alike?: readonly number[],
  ): Promise<void>;
  /** Rejects when nothing was committed, or when that cannot be known (a lost connection). */
  commit(): Promise<void>;
  /** Never rejects. */
  rollback(): Promise<void>;
}

/** What differs between the databases; everything above it is shared. */
export interface Engine {
  readonly kind: 'sqlite' | 'postgres';
  /** Sees committed rows only. */
  readonly read: Sql;
  begin(): Promise<EngineTx>;
  /** Waits until nobody else, in whichever process, holds a lock of this number; the answer frees it. */
  lock(key: number): Promise<() => Promise<void>>;
  /** Whether the same work may succeed when it is run again from the start. */
  isRetryable(error: unknown): boolean;
  /** Whether the database could not be reached or could not write, whatever was asked of it. */
  isOutage(error: unknown): boolean;
  close(): Promise<void>;
}

/** The code of a driver's error: `SQLITE_…`, an SQLSTATE, or one of Node such as ECONNREFUSED. */
export const errorCode = (error: unknown): string =>
  String((error as { code?: string | number } | null)?.code ?? '');
