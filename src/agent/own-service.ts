import { FleetError } from '../core/kernel/index.js';
import type { AgentConfig } from './config.js';
import type { ServiceConfig } from './supervisor/index.js';

/** A service that looks after its own upgrades. */
export interface OwnService {
  readonly service: ServiceConfig;
  /** Whether it is well, by its own word. */
  readonly isWell: () => Promise<boolean>;
  /** Ends this process in an orderly way; whoever keeps it running then starts `current`. */
  readonly restart: () => void;
}

/** Throws `config_invalid` when `agent.toml` has a service of the same name or root. */
export function withOwn(config: AgentConfig, own: OwnService | undefined): AgentConfig {
  if (own === undefined) return config;
  const { name, root } = own.service;
  const taken = config.services.some((one) => one.name === name || one.root === root);
  if (!taken) return { ...config, services: [...config.services, own.service] };
  throw new FleetError('config_invalid', `agent.toml has the service ${name} already`);
}
