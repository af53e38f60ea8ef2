import { ChildProcessDriver } from './child-process.js';
import type { ServiceDriver } from './driver.port.js';
import { CommandHooks } from './hooks.js';
import { SelfDriver } from './self.js';
import type { ServiceConfig } from './service-config.js';
import { SupervisedDriver } from './supervised.js';
import { SystemdUnit } from './systemd.js';

/** The template that comes with the agent, for services that name no unit of their own. */
export const unitOf = (config: ServiceConfig): string =>
  config.unit ?? `bellwether-svc@${config.name}.service`;

/** Who runs this service, as `agent.toml` says. */
export function openDriver(config: ServiceConfig): ServiceDriver {
  if (config.driver === 'systemd') {
    return new SupervisedDriver(config, new SystemdUnit(unitOf(config)));
  }
  if (config.driver === 'hooks' && config.commands !== undefined) {
    return new SupervisedDriver(config, new CommandHooks(config, config.commands));
  }
  if (config.driver === 'self') return new SelfDriver(config.root);
  return new ChildProcessDriver(config);
}
