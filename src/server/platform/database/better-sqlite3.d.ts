/** The small part of better-sqlite3 that we use; the package brings no types of its own. */
declare module 'better-sqlite3' {
  export interface Statement {
    /** True when the statement gives rows: then `all` and `get` work, otherwise only `run`. */
    readonly reader: boolean;
    all(...params: unknown[]): unknown[];
    get(...params: unknown[]): unknown;
    run(...params: unknown[]): { changes: number; lastInsertRowid: number | bigint };
    /** From here on rows come as lists of their values. */
    raw(): this;
    iterate(...params: unknown[]): IterableIterator<unknown>;
  }
  class BetterSqlite3 {
    constructor(
      path: string,
      options?: { readonly?: boolean; fileMustExist?: boolean; timeout?: number },
    );
    prepare(sql: string): Statement;
    exec(sql: string): this;
    pragma(text: string): unknown;
    close(): this;
    readonly inTransaction: boolean;
  }
  export default BetterSqlite3;
}
