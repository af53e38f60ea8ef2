export { ChildProcessDriver } from './child-process.js';
export type { ServiceDriver, ServiceStatus } from './driver.port.js';
export { isHealthy } from './health.js';
export { HealthCheck, ServiceConfig } from './service-config.js';
