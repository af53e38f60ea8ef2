export { CONTENT_TYPE, exposition, formatFor, type Format } from './exposition.js';
export { Meters, meters, type Series } from './meters.js';
export { METRICS, OTHER, type Metric, type MetricName } from './metrics.js';
export { tellProcess } from './process-meters.js';
export {
  commandsSent,
  requestSpan,
  traced,
  useTracer,
  type RequestSpan,
  type SpanAbout,
  type Tracer,
} from './traces.js';
