export { GatewayModule } from './gateway.module.js';
export { Doors, type Door, type Knock } from './doors.js';
export { LinkAdapter, type Admission } from './link.adapter.js';
export { FrontDoor } from './front-door.js';
export { LoadWatch } from './load-watch.js';
export { Links, type LinkCounter, type OpenLink } from './links.js';
export { TAKEOVERS_MAX } from './takeovers.js';
export { TokenBucket } from './token-bucket.js';
export { NodeAuthenticator } from './node-authenticator.js';
export type { Transport, Wire } from './wire.js';
export type {
  Arrival,
  CheckpointSource,
  CommandHandler,
  Elsewhere,
  EventHandler,
  IngestResult,
  LinkHolder,
  NodeIdentities,
  NodeIdentity,
  PermitAnswer,
  PresenceHandler,
  RefusalRecorder,
  RefusedPeer,
  UrgencySource,
  UrgentNodes,
} from './ports.js';
