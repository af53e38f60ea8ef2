export { canonicalJson, type JsonValue } from './canonical-json.js';
export { FleetError, invariant, unreachable } from './errors.js';
export { seededRandom, shuffled, type Random } from './random.js';
export { err, ok, refuse, type Refusal, type Result } from './result.js';
export {
  DAY_MS,
  durationInWords,
  HOUR_MS,
  instant,
  MINUTE_MS,
  plus,
  SECOND_MS,
  toIso,
  type Instant,
} from './time.js';
