export { Plans } from './plans.js';
export { PlansModule } from './plans.module.js';
export { holdPlan, type StoredPlan } from './plans.store.js';
export {
  invalidPlan,
  limitIn,
  problemsOfTimes,
  termsOf,
  windowOf,
  type Problem,
} from './request.js';
