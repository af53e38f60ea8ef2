export { Asks } from './asks.js';
export { type Chore, type Task } from './chores.js';
export { LATER, Orchestrator } from './rollouts.orchestrator.js';
export { Sweeper } from './sweeper.js';
export { CircumstancesBook, type UpgradeMode } from './circumstances.js';
export { NodeLook } from './node-look.js';
export { Visible } from './visible.js';
export { RolloutsModule } from './rollouts.module.js';
export {
  findRollout,
  isWhole,
  newestProven,
  openGroupRollouts,
  wasRolledOut,
  rolloutNumbers,
  type RolloutNumbers,
} from './tables/rollouts.store.js';
