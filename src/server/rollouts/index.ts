export { RolloutsModule } from './rollouts.module.js';
export { newestProven, rolloutNumbers, type RolloutNumbers } from './rollouts.store.js';
