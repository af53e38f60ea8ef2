/** What the agent lends to the operator of Kubernetes: link, spool, policy, releases. No rule is in here. */
export { postInTurn } from '../enroll.js';
export {
  agentFor,
  ask,
  bytesOf,
  HttpFetcher,
  Link,
  MANAGER_ONLY,
  type IncomingCommand,
  type LinkState,
  type Reach,
} from '../link/index.js';
export { makeLog, type Log } from '../log.js';
export { PolicyFile, type PolicyRead } from '../policy-file.js';
export { reachFrom } from '../reach-config.js';
export { Spool, toSpoolEvent } from '../report/index.js';
export { openClock, type Clock } from '../runtime/clock.js';
export {
  Channels,
  factsOf,
  failureOf,
  inputOf,
  judgeEarly,
  judgeStaged,
  soonerOf,
  type Answer,
  type Fetcher,
} from '../updater/index.js';
export { AGENT_VERSION } from '../version.js';
