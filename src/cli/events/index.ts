export { exportEvents, listSegments, verifyEvents } from './export.js';
export { countEvents, listEvents, showEvent } from './list.js';
export { tailEvents } from './tail.js';
