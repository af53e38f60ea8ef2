export { AUDIT_ACTIONS, type AuditAction } from './actions.js';
export { AuditLog, type AuditFilter, type NewAuditEntry } from './audit-log.js';
export { AuditModule } from './audit.module.js';
