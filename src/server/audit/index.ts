export { AUDIT_ACTIONS, type AuditAction } from './actions.js';
export { AuditKey, AUDIT_KEY_FILE } from './audit-key.js';
export {
  AuditLog,
  type AuditFilter,
  type AuditStretch,
  type AuditWanted,
  type NewAuditEntry,
} from './audit-log.js';
export { AuditModule } from './audit.module.js';
export { AuditTree } from './audit-tree.js';
export { CHECKPOINT_INTERVAL_MS, Checkpoints, type StoredCheckpoint } from './checkpoints.js';
export { Segments, SEGMENTS_DIR, type Segment } from './segments.js';
export { verifyStoredLog, type VerifiedLog } from './stored-log.js';
