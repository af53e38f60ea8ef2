export { ChildProcessDriver } from './child-process.js';
export type { ServiceDriver, ServiceStatus } from './driver.port.js';
export { isHealthy } from './health.js';
export { openDriver, unitOf } from './open-driver.js';
export { killGroup, runCommand } from './run-command.js';
export { SelfDriver } from './self.js';
export { HealthCheck, HookCommands, ServiceConfig } from './service-config.js';
export { HOOK_NAMES, UpdateHooks, type HookName } from './update-hooks.js';
