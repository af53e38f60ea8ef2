export { EventLog, type EventFilter, type LogHead } from './event-log.js';
export { searchEvents } from './event-search.js';
export type { EventRow, NewEvent } from './event-rows.js';
export { EventsModule } from './events.module.js';
export { Ingest, type NodeEventObserver, type NodeNews } from './ingest.js';
export { deadLettersByKind, sinkLags, SinksModule, type SinkLag } from './sinks/index.js';
export { verifyStoredSeals, type VerifiedSeals } from './stored-seals.js';
