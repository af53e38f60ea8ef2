export { BUS, IDS_MAX, LocalBus, openBus, type Bus } from './bus/index.js';
export {
  configOfProcess,
  invalidConfig,
  loadConfig,
  redactedConfig,
  withPort,
  type Config,
  type OtelConfig,
} from './config/index.js';
export {
  Database,
  fillPostgres,
  fillSqlite,
  filledUp,
  holdDataDir,
  lineOfRow,
  MIGRATION_NAMES,
  newestFirst,
  openDatabase,
  postgresAddress,
  prepareDataDir,
  questionMarks,
  readPostgres,
  readSqlite,
  rowOfLine,
  ROWS_BYTES_MAX,
  ROWS_MAX,
  SQLITE_FILE,
  tableOf,
  WORKS_PER_COMMIT_MAX,
  type Asked,
  type PageOfGroups,
  type Row,
  type Sql,
  type SqlValue,
  type Table,
  type TableReader,
  type TableWriter,
  type Tx,
} from './database/index.js';
export {
  callerOf,
  consoleMiddleware,
  docsMiddleware,
  Endpoint,
  firstMiddleware,
  Given,
  ipOf,
  JSON_BODY_BYTES_MAX,
  ManagerHttpAdapter,
  openApiDocument,
  pageFrom,
  personBehind,
  problemOf,
  readPages,
  readCursor,
  requestIdOf,
  routeOf,
  setCaller,
  systemCaller,
  TlsFiles,
  TrustedProxies,
  Who,
  type Caller,
  type Cursor,
} from './http/index.js';
export { VERSION } from './version.js';
export { hashSecret, newId, newSecret } from './ids.js';
export { makeLogger, nestLogger, type LogSink } from './log.js';
export { LEASE_MS, Members } from './members/index.js';
export { PlatformModule, type Platform } from './platform.module.js';
export { openSecrets, Secrets, sealedColumn, type SealedPlaces } from './secrets/index.js';
export { CLOCK, CONFIG, LOGGER, type Clock } from './tokens.js';
