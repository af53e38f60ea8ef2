/**
 * Everything of the manager and of the agent that runs in the simulator as it is. The only file of the
 * simulator that looks behind the doors of the modules: what stands here is real, the rest is not.
 */
export { AuditLog } from '../../server/audit/index.js';
export { Groups } from '../../server/access/index.js';
export { EventLog, Ingest, type NodeEventObserver } from '../../server/events/index.js';
export { HealthBook, Nodes, type FleetNode } from '../../server/fleet/index.js';
export { InstalledVersions } from '../../server/fleet/installed-versions.js';
export { Presence } from '../../server/fleet/presence.js';
export { Links, type NodeIdentity } from '../../server/gateway/index.js';
export { Session, type Opening } from '../../server/gateway/session.js';
export {
  loadConfig,
  newId,
  openDatabase,
  type Caller,
  type Clock,
  type Config,
  type Database,
  type Sql,
  type SqlValue,
  type Tx,
} from '../../server/platform/index.js';
export {
  Batches,
  JointCommits,
  WORKS_PER_COMMIT_MAX,
  type Asked,
  type Locks,
} from '../../server/platform/database/index.js';
export type { Wakeups } from '../../server/platform/queue/index.js';
export type { Blobs } from '../../server/releases/store/blobs.port.js';
export { DiskBlobs } from '../../server/releases/store/disk-blobs.js';
export { Releases, type StoredRelease } from '../../server/releases/index.js';
export { insertRelease } from '../../server/releases/releases.store.js';
export { Chronicle } from '../../server/rollouts/chronicle.js';
export { CircumstancesBook } from '../../server/rollouts/circumstances.js';
export { Dispatcher } from '../../server/rollouts/dispatcher.js';
export { Newcomers } from '../../server/rollouts/newcomers.js';
export { NodeSide } from '../../server/rollouts/node-side.js';
export { oneNode } from '../../server/rollouts/one-node.js';
export type { RolloutRequest } from '../../server/rollouts/planning.js';
export { Reverts } from '../../server/rollouts/reverts.js';
export { RolloutUnits } from '../../server/rollouts/rollout-units.js';
export { Orchestrator } from '../../server/rollouts/rollouts.orchestrator.js';
export {
  findRollout,
  type RolloutMeta,
  type Scope,
  type StoredRollout,
} from '../../server/rollouts/tables/rollouts.store.js';
export { Scopes } from '../../server/rollouts/scope.js';
export { choresOf, Sweeper } from '../../server/rollouts/sweeper.js';
export { Backoff } from '../../agent/link/backoff.js';
export { toSpoolEvent, type SpoolEvent } from '../../agent/report/index.js';
export { inputOf } from '../../agent/updater/translate.js';
