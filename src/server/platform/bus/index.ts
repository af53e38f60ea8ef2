export { BUS, type Bus } from './bus.port.js';
export { LocalBus } from './local.js';
export { openBus } from './open.js';
export { IDS_MAX, TOPICS, type MessageOf, type Topic } from './topics.js';
