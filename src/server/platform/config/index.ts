export {
  configOfProcess,
  invalidConfig,
  loadConfig,
  redactedConfig,
  withPort,
  type Config,
  type LogLevel,
} from './config.js';
export { authorityIn, isUntrusted, secretIn } from './named-files.js';
export { parseRanges } from './ranges.js';
export type { MasterKeyConfig } from './master-key.js';
export type { OtelConfig } from './telemetry.js';
