export { DropBook, type Dropped } from './dropped.js';
export { toSpoolEvent } from './node-event.js';
export type { SpoolEvent } from './segment.js';
export { Spool, type SpoolBatch, type SpoolOptions } from './spool.js';
