export { RolloutsModule } from './rollouts.module.js';
export { newestProven } from './rollouts.store.js';
