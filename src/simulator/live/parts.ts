/** Everything of the agent and of the client that runs in the live simulator as it is; see world/parts.ts. */
export { Backoff } from '../../agent/link/backoff.js';
export { toSpoolEvent, type SpoolEvent } from '../../agent/report/index.js';
export { inputOf } from '../../agent/updater/translate.js';
export {
  addressesOf,
  ApiProblem,
  itemsOf,
  makeClient,
  NoAnswer,
  type Client,
} from '../../client/index.js';
