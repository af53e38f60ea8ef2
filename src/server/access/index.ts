export { Access } from './access.js';
export { AccessModule } from './access.module.js';
export { groupView } from './access.view.js';
export { GROUP_DEPTH_MAX, Groups, type GroupRecord } from './groups.store.js';
export { OpenRequests } from './open-requests.js';
export { REFUSAL_REFILL_MS, Refusals, REFUSALS_BURST_MAX } from './refusals.js';
export { RequestRates } from './request-rates.js';
export { Setup } from './setup.js';
export { ApiTokens, type TokenRecord } from './tokens.store.js';
