export { EnrollmentModule } from './enrollment.module.js';
export { GoneNodes } from './gone-nodes.js';
