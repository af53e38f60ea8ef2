export {
  CHECKPOINT_BYTES_MAX,
  formatVerifier,
  isSignedBy,
  makeCheckpoint,
  parseCheckpoint,
  parseNote,
  parseVerifier,
  signNote,
  trustedCheckpoint,
  verifierOf,
  type Checkpoint,
  type CheckpointErrorCode,
  type Note,
  type NoteVerifier,
} from './checkpoint.js';
export { compareHistories } from './histories.js';
export { csvCell, CSV_HEAD, csvLine } from './export-form.js';
export {
  EMPTY_ROOT,
  Frontier,
  HASH_BYTES,
  joined,
  leafHash,
  nodeHash,
  nodesOf,
  type Hash,
  type Node,
} from './merkle.js';
export {
  consistencySteps,
  inclusionSteps,
  proofOf,
  verifyConsistency,
  verifyInclusion,
  type ProofStep,
} from './proofs.js';
export {
  cleanDetails,
  cleanText,
  leafOf,
  RECORD_FIELDS,
  REDACTED,
  type AuditRecord,
} from './record.js';
export {
  ExportVerifier,
  formatHeader,
  headerOf,
  linesIn,
  verifyFile,
  EXPORT_LINE_BYTES_MAX,
  type ExportHeader,
} from './verify-export.js';
