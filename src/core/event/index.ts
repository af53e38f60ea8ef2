export {
  ALERT_CATEGORY,
  ALERT_RULES,
  ALERTING_TYPES,
  lagNews,
  SINK_BEHIND_MS,
  SINK_CAUGHT_UP_MS,
  sinkKey,
  alertNewsOf,
  SILENT_AFTER_MS,
  stepAlert,
  type AlertNews,
  type AlertRule,
  type AlertState,
  type AlertStep,
} from './alert.js';
export {
  backoffMs,
  BACKOFF_MAX_MS,
  newCircuit,
  onFailure,
  onSuccess,
  onTry,
  OPEN_AFTER_FAILURES,
  readRetryAfter,
  RETRY_AFTER_MAX_MS,
  type Circuit,
} from './circuit.js';
export { ECS_VERSION } from './ecs.js';
export {
  EVENT_SEVERITIES,
  type EventOrigin,
  type EventSeverity,
  type FleetEvent,
} from './event.js';
export { wants, type SinkFilter } from './filter.js';
export {
  EVENT_FORMATS,
  OBJECT_FORMATS,
  toLine,
  toObject,
  type EventFormat,
  type ObjectFormat,
} from './formats.js';
export { OCSF_VERSION } from './ocsf.js';
export { octetCounted, SYSLOG_FACILITIES, toSyslog, type SyslogFacility } from './syslog.js';
export { jsonLine, visible } from './text.js';
export {
  verifyWebhook,
  webhookHeaders,
  webhookKey,
  WEBHOOK_SECRET_PREFIX,
  type WebhookMessage,
} from './webhook.js';
