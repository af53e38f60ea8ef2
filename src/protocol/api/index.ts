export {
  PERMISSIONS,
  ROUTES,
  type Answer,
  type Call,
  type Input,
  type Permission,
  type Route,
  type RouteName,
} from './routes.js';
export {
  AuditConsistency,
  AuditEntry,
  CreateRollout,
  Event,
  GroupRole,
  Node,
  Problem,
  Rollout,
  SourceName,
  type SourceResult,
} from './schemas.js';
