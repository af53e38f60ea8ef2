export { CURRENT, isShown, makesSomething, type Shown } from './conditions.js';
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
  COUNT_BUCKETS_MAX,
  CreateRollout,
  Event,
  EVENTS_WS_CREDIT_MAX,
  EVENTS_WS_FRAME_BYTES_MAX,
  EVENTS_WS_PATH,
  EVENTS_WS_SUBPROTOCOL,
  EventsConsumerMessage,
  EventsManagerMessage,
  GroupRole,
  Node,
  Problem,
  Rollout,
  SourceName,
  type SourceResult,
} from './schemas.js';
export {
  Alert,
  Sink,
  SINK_CONFIGS,
  SINK_CREDENTIALS,
  SINK_KINDS,
  type SinkConfig,
  type SinkCredentials,
  type SinkKind,
} from './sink-schemas.js';
export { Plan, PlanTerms, Schedule } from './plan-schemas.js';
export { PLAN_FIELDS, UpgradeGroup, Window } from './rollout-schemas.js';
export { CELLS_MAX, FLEET_HISTORY_DAYS, FLEET_POINTS_MAX, NEED_KINDS } from './fleet-schemas.js';
