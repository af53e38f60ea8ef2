export { exportEvents, listSegments, verifyEvents } from './export.js';
export { countEvents, listEvents } from './list.js';
export { tailEvents } from './tail.js';
