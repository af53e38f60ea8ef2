export {
  frozenUntil,
  isTimeZone,
  nextOpening,
  nextWindow,
  problemsOfWindow,
  windowAt,
  type Freeze,
  type Span,
  type Weekday,
  type WindowRule,
} from './calendar.js';
export {
  cutWaves,
  limitOf,
  problemsOfCut,
  problemsOfRules,
  type Cut,
  type CutRules,
  type CutWave,
  type Limit,
  type Member,
  type Selector,
} from './cut.js';
export { sumOver } from './draft.js';
export { countOf, evolve } from './evolve.js';
export { whyNot, type Because, type NodeFacts } from './explain.js';
export { advance, isHeldBack, nextWake, OFFERS_PER_PASS } from './flow.js';
export { forecast, usualMs, type Forecast } from './forecast.js';
export { failuresIn, openIn, verdictOf } from './gates/index.js';
export { join, waveFor } from './join.js';
export { observe, WAITS_FOR_HAND } from './observe.js';
export {
  downMax,
  hasBudget,
  permit,
  type Denial,
  type PermitDenial,
  type PermitFacts,
} from './permit.js';
export {
  noCounts,
  pendingTarget,
  pendingWave,
  planRollout,
  skipReason,
  type Candidate,
  type PlanInput,
  type SkipReason,
} from './plan.js';
export {
  rulesOf,
  stepsOf,
  STRICT,
  type CustomWaveSpec,
  type PresetSpec,
  type RingSpec,
  type RulePlan,
  type StartSpec,
  type Tolerance,
} from './presets.js';
export {
  canRetry,
  canWithdraw,
  CELL_LETTERS,
  isOpen,
  isOver,
  isStuck,
  isSwapping,
  rankOf,
  TARGET_STATES,
  type BrokenGlass,
  type Circumstances,
  type Counts,
  type Decision,
  type Effect,
  type Gate,
  type Plan,
  type Report,
  type RolloutEvent,
  type RolloutState,
  ROLLOUT_STATUSES,
  type RolloutStatus,
  type Strategy,
  type Target,
  type TargetState,
  type Verdict,
  type WavePlan,
  type WaveState,
} from './types.js';
export {
  judgeSchedule,
  missedWindow,
  wentBack,
  type OpenRollout,
  type ReleaseNews,
  type ScheduleLook,
  type ScheduleStep,
} from './schedule.js';
export { allowedVerbs, decide, type Verb, type VerbMoment, type VerbName } from './verbs.js';
