export { waitingForHand, wayBack } from './by-hand.js';
export { answerTo, GENERATION_STEP_MAX } from './commands.js';
export { step } from './machine.js';
export { nextAction } from './next-action.js';
export { HEALTHY_RESULTS_MIN, ROLLED_BACK_BY_HAND, SICK_RESULTS_MAX } from './probation.js';
export { Pact, stepSet, wordTo, type SetMember } from './sets.js';
export {
  freshState,
  InstalledVersion,
  Job,
  OutboxEvent,
  UpdateOutcome,
  UpdateState,
} from './state.js';
export {
  FRESH_WATCH,
  leaseNowMs,
  type Action,
  type Arrival,
  type IndexInput,
  type FailedStep,
  type HookProblem,
  type Facts,
  type Input,
  type LinkInput,
  type Machine,
  type SetWord,
  type UpgradeOrder,
  type Watch,
} from './types.js';
