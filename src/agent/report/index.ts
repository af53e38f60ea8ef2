export { Spool, type SpooledEvent } from './spool.js';
