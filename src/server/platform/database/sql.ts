export type SqlValue = string | number | null | Uint8Array;

/**
 * SQL with `?` placeholders that both databases know: `ON CONFLICT`, `RETURNING`, CTEs; columns
 * are text, bigint, integer or bytes (`blob` and `bytea`). Never write `?` inside a literal.
 * Texts should be constants: each one is prepared once and kept.
 *
 * Statements of one transaction run in the order of the calls, also when nobody waits for the answers between:
 * `Promise.all` over several is one way to the server and back on PostgreSQL, and each later one sees what those before it did.
 * Outside of a transaction there is no such order.
 */
export interface Sql {
  /** The rows, in the order of the statement. */
  all<Row>(sql: string, params?: readonly SqlValue[]): Promise<Row[]>;
  /** The first row, if there is one. */
  get<Row>(sql: string, params?: readonly SqlValue[]): Promise<Row | undefined>;
  /** How many rows were changed. */
  run(sql: string, params?: readonly SqlValue[]): Promise<number>;
}

/**
 * One open transaction. A statement that fails dooms it: every later statement and the commit fail
 * too, on both databases alike, so use `ON CONFLICT` where a clash is expected. A handle is dead
 * once its transaction has ended.
 */
export interface Tx extends Sql {
  /**
   * Inserts many rows the quickest way that the database has: `into` is the table with its columns, such as
   * `events (id, at)`, a constant; each row has a value for each of them. `alike` are the columns, by their
   * place, in which neighbours mostly have the same value: always right, and quicker where they do.
   */
  insertRows(
    into: string,
    rows: readonly (readonly SqlValue[])[],
    alike?: readonly number[],
  ): Promise<void>;
  /**
   * Runs `work` inside the transaction, just before COMMIT. A key waits at most once: the first
   * `work` under a key counts until it has run. Works run one after another, lower ranks first
   * (the default is 0), within a rank in the order of registration, and may register more. Ranks
   * let all transactions lock shared rows in one order, so that no two wait for each other.
   */
  beforeCommit(key: object, work: () => Promise<void>, rank?: number): void;
  /** Runs only after a commit that succeeded. What it throws is logged and changes nothing. */
  afterCommit(work: () => void): void;
}
