export { CircumstancesBook, type UpgradeMode } from './circumstances.js';
export { NodeLook } from './node-look.js';
export { Visible } from './visible.js';
export { RolloutsModule } from './rollouts.module.js';
export {
  findRollout,
  newestProven,
  rolloutNumbers,
  type RolloutNumbers,
} from './rollouts.store.js';
