export { InProcessWakeups } from './in-process.js';
export { WAKEUPS, type Wakeups } from './wakeups.port.js';
