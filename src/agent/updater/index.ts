export { FAULT_POINTS, faultsFrom, NO_FAULTS, type FaultPoint, type Faults } from './faults.js';
export type { Fetcher } from './fetcher.port.js';
export { Updater, type Answer, type UpdaterOptions } from './updater.js';
