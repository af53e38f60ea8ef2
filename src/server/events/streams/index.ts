export { EventsGateway, EventsUpgradeController } from './events.gateway.js';
export { EventStreamController } from './sse.controller.js';
export { STREAMS_MAX, STREAMS_PER_CREDENTIAL_MAX, Streams } from './streams.js';
export { Tail } from './tail.js';
