export { InProcessWakeups } from './in-process.js';
export { MeteredWakeups } from './metered.js';
export { openWakeups } from './open.js';
export { RoutedWakeups } from './routed.js';
export { WAKEUPS, type Wakeups } from './wakeups.port.js';
