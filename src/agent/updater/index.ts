export {
  FAULT_POINTS,
  faultsFrom,
  HOOK_FAULT_POINTS,
  NO_FAULTS,
  SET_FAULT_POINTS,
  type FaultPoint,
  type Faults,
} from './faults.js';
export { saysNo, type DocumentName, type Fetcher } from './fetcher.port.js';
export type { HandRequest } from './by-hand.js';
export { compareWithArchive } from './compare.js';
export { InstallRoot, MARKER } from './install-root.js';
export { rollBackOffline } from './offline.js';
export { programAt } from './run-hook.js';
export { Updater } from './updater.js';
export { Channels } from './channels.js';
export { factsOf, failureOf, inputOf, judgeEarly, judgeStaged } from './translate.js';
export type { Answer, UpdaterOptions } from './updater-options.js';
export { soonerOf } from './sooner-of.js';
