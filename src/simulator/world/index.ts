export { FAULT_KINDS, type FaultKind } from './faults.js';
export type { MutableParts } from './manager.js';
export { openWorldDatabase, type WorldDatabase } from './mortal-database.js';
export type { Mutant } from './mutant.js';
export type { Step } from './nodes/sim-node.js';
export { Violation } from './checks/violation.js';
export { runWorld, type WorldOptions, type WorldResult } from './world.js';
