import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { diag, DiagLogLevel, trace, type Context } from '@opentelemetry/api';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  type Resource,
} from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
} from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import { MINUTE_MS, SECOND_MS } from '../../../core/kernel/index.js';
import { VERSION, type LogSink, type OtelConfig } from '../../platform/index.js';
import { useTracer } from '../../platform/telemetry/index.js';
import { OtelLogLines } from './log-lines.js';
import { OtelSpans } from './spans.js';

/** Spans, and log lines, that wait for the collector; more are dropped. The standard's default. */
const QUEUE_MAX = 2_048;
const BATCH_MAX = 512;
/** What a collector gets to take the last of it when the manager stops. */
const STOP_GRACE_MS = 3 * SECOND_MS;
const COMPLAINT_EVERY_MS = MINUTE_MS;
const SCOPE = 'bellwether';

/** Traces and logs on their way to an OpenTelemetry collector. */
export interface Otel {
  /** What the logger adds to each line, and where its lines go as well. */
  readonly sink: LogSink;
  /** Where to say that the collector cannot be reached: once a minute. */
  complainTo(log: Logger): void;
  /** Sends what waits, for three seconds at the most. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Switches tracing on for this process. Sending is done aside, in batches from queues with a bound; a
 * collector that is slow, away or refuses costs what is dropped, and nobody waits for it.
 */
export function startOtel(config: OtelConfig): Otel {
  const active = new AsyncLocalStorage<Context>();
  const complaints = new Complaints();
  diag.setLogger(complaints, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const resource = resourceOf(config);
  const stops: (() => Promise<void>)[] = [];
  if (config.traces) {
    const provider = new TracerProvider({
      resource,
      sampler: samplerOf(config),
      spanProcessors: [
        new BatchSpanProcessor({
          exporter: new OTLPTraceExporter(),
          maxQueueSize: QUEUE_MAX,
          maxExportBatchSize: BATCH_MAX,
          scheduledDelayMillis: config.traceDelayMs,
        }),
      ],
    });
    useTracer(new OtelSpans(provider.getTracer(SCOPE, VERSION), active));
    stops.push(() => provider.shutdown());
  }
  let lines: OtelLogLines | null = null;
  if (config.logs) {
    const provider = new LoggerProvider({
      resource,
      processors: [
        new BatchLogRecordProcessor({
          exporter: new OTLPLogExporter(),
          maxQueueSize: QUEUE_MAX,
          maxExportBatchSize: BATCH_MAX,
          scheduledDelayMillis: config.logDelayMs,
        }),
      ],
    });
    lines = new OtelLogLines(provider.getLogger(SCOPE, VERSION), active);
    stops.push(() => provider.shutdown());
  }
  const stop = async (): Promise<void> => {
    useTracer(null);
    const ended = Promise.allSettled(stops.splice(0).map((one) => one()));
    await Promise.race([ended, sleep(STOP_GRACE_MS, null, { ref: false })]);
    diag.disable();
  };
  return {
    sink: { fields: () => idsIn(active.getStore()), lines },
    complainTo: (log) => complaints.to(log),
    stop,
  };
}

function idsIn(context: Context | undefined): Readonly<Record<string, string>> {
  const span = context === undefined ? undefined : trace.getSpanContext(context);
  return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId };
}

const resourceOf = ({ serviceName }: OtelConfig): Resource =>
  defaultResource()
    .merge(resourceFromAttributes({ 'service.version': VERSION }))
    .merge(detectResources({ detectors: [resourceAttributesEnvDetector] }))
    .merge(resourceFromAttributes({ 'service.name': serviceName }));

function samplerOf({ sampler, samplerArg }: OtelConfig): Sampler {
  const own: Sampler = sampler.endsWith('always_on')
    ? new AlwaysOnSampler()
    : sampler.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(samplerArg);
  return sampler.startsWith('parentbased_') ? new ParentBasedSampler({ root: own }) : own;
}

/** What the packages complain about, in our log: the first at once, then one line a minute with a count. */
class Complaints {
  #log: Logger | null = null;
  #lastMs = -Infinity;
  #unsaid = 0;

  to(log: Logger): void {
    this.#log = log;
  }

  error(message: string): void {
    this.#say(message);
  }
  warn(message: string): void {
    this.#say(message);
  }
  info(): void {
    // Not asked for.
  }
  debug(): void {
    // Not asked for.
  }
  verbose(): void {
    // Not asked for.
  }

  #say(message: string): void {
    const nowMs = performance.now();
    if (this.#log === null || nowMs - this.#lastMs < COMPLAINT_EVERY_MS) {
      this.#unsaid += 1;
      return;
    }
    this.#lastMs = nowMs;
    const more = this.#unsaid;
    this.#unsaid = 0;
    const why = message.slice(0, 300);
    this.#log.warn({ why, more }, 'OpenTelemetry data could not be sent; it is dropped');
  }
}
