export { GatewayModule } from './gateway.module.js';
export { LinkAdapter } from './link.adapter.js';
export { Links, type LinkCounter } from './links.js';
export { NodeAuthenticator } from './node-authenticator.js';
export type {
  CommandHandler,
  EventHandler,
  IngestResult,
  NodeIdentities,
  NodeIdentity,
  PermitAnswer,
  PresenceHandler,
} from './ports.js';
