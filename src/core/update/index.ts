export {
  answerTo,
  FRESH_WATCH,
  HEALTHY_RESULTS_MIN,
  nextAction,
  SICK_RESULTS_MAX,
  step,
  type Action,
  type FailedStep,
  type Facts,
  type Input,
  type Machine,
  type UpgradeOrder,
  type Watch,
} from './machine.js';
export {
  freshState,
  InstalledVersion,
  Job,
  OutboxEvent,
  UpdateOutcome,
  UpdateState,
} from './state.js';
