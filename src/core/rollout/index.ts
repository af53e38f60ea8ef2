export { evolve } from './evolve.js';
export { failuresIn, openIn, SILENT_SHARE_MAX, stopReason, verdictOf } from './gate.js';
export {
  advance,
  allowedVerbs,
  decide,
  nextWake,
  observe,
  permit,
  type PermitDenial,
  type Verb,
} from './machine.js';
export {
  noCounts,
  planRollout,
  skipReason,
  waveSizes,
  type Candidate,
  type SkipReason,
} from './plan.js';
export {
  canRetry,
  canWithdraw,
  isOpen,
  rankOf,
  TARGET_STATES,
  type Decision,
  type Effect,
  type Plan,
  type Report,
  type RolloutEvent,
  type RolloutState,
  type RolloutStatus,
  type Strategy,
  type Target,
  type TargetState,
  type Verdict,
  type WaveState,
} from './types.js';
