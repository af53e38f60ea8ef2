export { ChildProcessDriver } from './child-process.js';
export type { ServiceDriver, ServiceStatus } from './driver.port.js';
export { isHealthy } from './health.js';
export { openDriver } from './open-driver.js';
export { SelfDriver } from './self.js';
export { HealthCheck, HookCommands, ServiceConfig } from './service-config.js';
