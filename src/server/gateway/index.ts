export { GatewayModule } from './gateway.module.js';
export { LinkAdapter } from './link.adapter.js';
export { Links, type LinkCounter } from './links.js';
export { TokenBucket } from './token-bucket.js';
export { NodeAuthenticator } from './node-authenticator.js';
export type { Transport } from './wire.js';
export type {
  Arrival,
  CheckpointSource,
  CommandHandler,
  EventHandler,
  IngestResult,
  NodeIdentities,
  NodeIdentity,
  PermitAnswer,
  PresenceHandler,
  RefusalRecorder,
  RefusedPeer,
} from './ports.js';
