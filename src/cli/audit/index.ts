export { exportAudit, makeCheckpoint, proveConsistency, showAuditKey } from './fetch.js';
export { compareCheckpoints, verifyAudit } from './verify.js';
