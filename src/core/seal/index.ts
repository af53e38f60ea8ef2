export {
  leafOfPart,
  makeSeal,
  NO_SEAL,
  PartHasher,
  sealHash,
  type Seal,
  type SealPart,
} from './seal.js';
export {
  EventsVerifier,
  EXPORT_LINE_BYTES_MAX,
  EXPORT_SCHEMA,
  linesOfExport,
  type ExportHead,
  type SealLine,
  type Verified,
} from './verify.js';
