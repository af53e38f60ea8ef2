export { completions } from './complete.js';
export { completion } from './scripts.js';
