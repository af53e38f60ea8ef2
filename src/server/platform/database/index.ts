export { Batches, WORKS_PER_COMMIT_MAX, type Asked } from './batches.js';
export { Database } from './database.js';
export { JointCommits, type Locks } from './joint-commits.js';
export { filledUp, questionMarks, rowsOf, tableOf } from './lists.js';
export { newestFirst, type PageOfGroups } from './newest.js';
export { holdDataDir, openDatabase, prepareDataDir } from './open.js';
export type { Sql, SqlValue, Tx } from './sql.js';
export { postgresAddress, type PostgresAddress } from './postgres-address.js';
export { SQLITE_FILE } from './sqlite-engine.js';
export { fillPostgres, readPostgres } from './postgres-tables.js';
export { fillSqlite, readSqlite } from './sqlite-tables.js';
export {
  lineOfRow,
  MIGRATION_NAMES,
  rowOfLine,
  ROWS_BYTES_MAX,
  ROWS_MAX,
  type Row,
  type Table,
  type TableReader,
  type TableWriter,
} from './table-rows.js';
