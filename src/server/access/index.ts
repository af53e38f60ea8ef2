export { Access } from './access.js';
export { AccessModule } from './access.module.js';
export { GROUP_DEPTH_MAX, Groups, type GroupRecord } from './groups.store.js';
export { REFUSAL_REFILL_MS, Refusals, REFUSALS_BURST_MAX } from './refusals.js';
export { Setup } from './setup.js';
export { ApiTokens, type TokenRecord } from './tokens.store.js';
