export { ERROR_CODES, ERRORS, isErrorCode, type ErrorCode, type Severity } from './errors.js';
export {
  CLOCK_AHEAD_MS,
  CLOCK_FLAGS,
  CLOCK_LATE_MS,
  clockOf,
  EVENT_CATEGORIES,
  EVENT_TYPE_NAMES,
  EVENT_TYPES,
  isEventCategory,
  isEventType,
  SEVERITIES,
  type ClockFlag,
  type EventCategory,
  type EventType,
  type NodeToldType,
} from './event-types.js';
