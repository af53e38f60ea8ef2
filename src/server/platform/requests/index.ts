export { Conditional } from './conditional.js';
export { Idempotency } from './idempotency.js';
