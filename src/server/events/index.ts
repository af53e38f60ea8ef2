export { EventLog, type NewEvent } from './event-log.js';
export { EventsModule } from './events.module.js';
export { Ingest, type NodeEventObserver, type NodeNews } from './ingest.js';
