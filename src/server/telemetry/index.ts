export { MetricsListener } from './metrics-listener.js';
export { TelemetryModule } from './telemetry.module.js';
