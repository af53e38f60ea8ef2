export { report } from './report.js';
export { status } from './status.js';
