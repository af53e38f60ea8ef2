export { deadLettersByKind } from './dead-letters.store.js';
export { SinksModule } from './sinks.module.js';
export { sinkLags, type SinkLag } from './sinks.store.js';
