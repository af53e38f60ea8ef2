export { apply, diff } from './apply.js';
