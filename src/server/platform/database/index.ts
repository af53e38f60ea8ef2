export { Database } from './database.js';
export { openDatabase, prepareDataDir } from './open.js';
export type { Sql, SqlValue, Tx } from './sql.js';
